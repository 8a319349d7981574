// Which key does what: the table, the keys a person chose instead, and the keys that belong to the browser.
import { recall, remember } from "./state.js";

const STORE = "label-keys";
export const MODES = { nav: "While browsing", edit: "While writing", chip: "On a tag", pass: "One tag, image by image" };

// id, mode, keys, words. A key of two parts is pressed one after the other.
const TABLE = [
  ["next", "nav", ["j", "ArrowDown", "ArrowRight"], "Next image"],
  ["previous", "nav", ["k", "ArrowUp", "ArrowLeft"], "Previous image"],
  ["first", "nav", ["g g", "Home"], "First image"],
  ["last", "nav", ["G", "End"], "Last image"],
  ["far-next", "nav", ["PageDown"], "Ten images on"],
  ["far-previous", "nav", ["PageUp"], "Ten images back"],
  ["unreviewed", "nav", ["u"], "Next image that is not reviewed"],
  ["error", "nav", ["e"], "Next image with an error, without words, or with too many"],
  ["edit", "nav", ["Enter", "i"], "Write the caption"],
  ["chips", "nav", ["w"], "Change the tags one by one"],
  ["mark", "nav", ["Space"], "Mark the image, or unmark it"],
  ["mark-next", "nav", ["J", "Shift+ArrowDown", "Shift+ArrowRight"], "Mark and go on"],
  ["mark-previous", "nav", ["K", "Shift+ArrowUp", "Shift+ArrowLeft"], "Mark and go back"],
  ["mark-all", "nav", ["Ctrl+a"], "Mark every image of the filter"],
  ["dismiss-all", "nav", ["Escape"], "Unmark all, close what is open"],
  ["reviewed", "nav", ["y"], "Reviewed, and on to the next"],
  ["unreview", "nav", ["Y"], "Not reviewed after all"],
  ["split", "nav", ["v"], "Train on it, or hold it out"],
  ["more", "nav", ["+", "="], "More repeats"],
  ["fewer", "nav", ["-"], "Fewer repeats"],
  ["remove", "nav", ["x"], "Remove from the project"],
  ["undo", "nav", ["Ctrl+z"], "Undo"],
  ["redo", "nav", ["Ctrl+Shift+z", "Ctrl+y"], "Redo"],
  ["repeat", "nav", ["."], "Do the last edit here, too"],
  ["copy", "nav", ["p"], "Copy the tags"],
  ["paste", "nav", ["P"], "Paste the copied tags"],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [`quick-${digit}`, "nav", [`q ${digit}`], `Quick tag ${digit} on or off`]),
  ["quick-edit", "nav", ["q q"], "Choose the quick tags"],
  ["accept", "nav", ["a"], "Take all suggestions from the limit up"],
  ["choose", "nav", ["A"], "Choose among the suggestions"],
  ["dismiss", "nav", ["d"], "Never suggest the chosen one again"],
  ["pass", "nav", ["t"], "One tag, image by image"],
  ["filter", "nav", ["/"], "Filter"],
  ["facets", "nav", ["f"], "Tags and counts to filter by"],
  ["saved", "nav", ["s"], "Saved filters"],
  ["bulk", "nav", ["b"], "Bulk edit of what the filter finds"],
  ["tags", "nav", [], "All tags of the project"],
  ["versions", "nav", [], "Versions and history"],
  ["polish", "nav", ["c"], "Crop and polish the image"],
  ["size", "nav", ["z"], "Whole image, or actual size"],
  ["loupe", "nav", ["Z"], "Loupe"],
  ["overlay", "nav", ["h"], "Show what the crop keeps"],
  ["mask", "nav", ["o"], "Show what masked loss ignores"],
  ["pan-left", "nav", ["Ctrl+ArrowLeft"], "Move the image right"],
  ["pan-right", "nav", ["Ctrl+ArrowRight"], "Move the image left"],
  ["pan-up", "nav", ["Ctrl+ArrowUp"], "Move the image down"],
  ["pan-down", "nav", ["Ctrl+ArrowDown"], "Move the image up"],
  ["collapse", "nav", ["\\"], "Hide or show the list"],
  ["merge", "nav", ["m"], "Decide what was changed by two people"],
  ["retry", "nav", [], "Save again what was not saved"],
  ["person", "nav", [], "Your name"],
  ["palette", "nav", [":"], "All commands"],
  ["sheet", "nav", ["?"], "These keys"],
  ["leave", "edit", ["Escape"], "Done writing"],
  ["write-next", "edit", ["Ctrl+Enter", "PageDown"], "Next image, still writing"],
  ["write-previous", "edit", ["PageUp"], "Previous image, still writing"],
  ["write-reviewed", "edit", ["Ctrl+Shift+Enter"], "Reviewed, and on to the next, still writing"],
  ["tag-earlier", "edit", ["Alt+ArrowUp"], "Move the tag one place earlier"],
  ["tag-later", "edit", ["Alt+ArrowDown"], "Move the tag one place later"],
  ["chip-next", "chip", ["ArrowRight", "ArrowDown", "l"], "Next tag"],
  ["chip-previous", "chip", ["ArrowLeft", "ArrowUp", "h"], "Previous tag"],
  ["chip-first", "chip", ["Home"], "First tag"],
  ["chip-last", "chip", ["End"], "Last tag"],
  ["chip-earlier", "chip", ["Alt+ArrowLeft", "Alt+ArrowUp"], "Move the tag one place earlier"],
  ["chip-later", "chip", ["Alt+ArrowRight", "Alt+ArrowDown"], "Move the tag one place later"],
  ["chip-edit", "chip", ["Enter", "F2"], "Write the tag anew"],
  ["chip-remove", "chip", ["x", "Delete", "Backspace"], "Take the tag out"],
  ["chip-pin", "chip", ["p", "|"], "Keep the tags up to here in front, or no longer"],
  ["chip-page-next", "chip", ["j", "PageDown"], "Next image, still on its tags"],
  ["chip-page-previous", "chip", ["k", "PageUp"], "Previous image, still on its tags"],
  ["chip-undo", "chip", ["Ctrl+z"], "Undo"],
  ["chip-redo", "chip", ["Ctrl+Shift+z", "Ctrl+y"], "Redo"],
  ["chip-end", "chip", ["Escape"], "Done with the tags"],
  ["pass-yes", "pass", ["y"], "It has the tag"],
  ["pass-no", "pass", ["n"], "It has not"],
  ["pass-skip", "pass", ["Space", "j", "ArrowDown", "ArrowRight"], "Skip"],
  ["pass-back", "pass", ["k", "ArrowUp", "ArrowLeft"], "Back"],
  ["pass-size", "pass", ["z"], "Whole image, or actual size"],
  ["pass-end", "pass", ["Escape"], "End"],
];

const BROWSER = /^(Ctrl\+(Shift\+)?[wtlrnpfdjkhgu]|Ctrl\+Shift\+[ibm]|Ctrl\+[0-9+-]|F([1-9]|1[0-2])|Ctrl\+F\d+|Alt\+(F\d+|[a-z]|ArrowLeft|ArrowRight|Home)|Tab|Shift\+Tab|Ctrl\+Tab|Ctrl\+Shift\+Tab)$/;
const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", PageDown: "Page ↓", PageUp: "Page ↑" };

export const isOfBrowser = (key) => BROWSER.test(key);
export const commands = TABLE.map(([id, mode, keys, words]) => ({ id, mode, keys, words }));
export const shownKey = (key) => key.split(" ").map((each) => each.split(/\+(?=.)/).map((part) => SIGNS[part] ?? (/^[A-Z]$/.test(part) ? `Shift ${part}` : part.length === 1 ? part.toUpperCase() : part)).join(" ")).join(" then ");

export function keysOf(command) {
  return recall(STORE, {})[command.id] ?? command.keys;
}

// Gives a command this key alone, and takes it from whoever had it in the same mode. Answers who that was.
export function assign(id, key) {
  const mine = commands.find((each) => each.id === id);
  const chosen = { ...recall(STORE, {}) };
  const losers = commands.filter((each) => each.id !== id && each.mode === mine.mode && keysOf(each).some((one) => one === key || one.startsWith(`${key} `)));
  for (const each of losers) chosen[each.id] = keysOf(each).filter((one) => one !== key && !one.startsWith(`${key} `));
  chosen[id] = [key];
  remember(STORE, chosen);
  return losers;
}

export const reset = () => remember(STORE, {});

// The name of what was pressed: "j", "G", "Ctrl+Shift+z", "Shift+ArrowDown", "Space".
export function nameOf(event) {
  let { key } = event;
  // On a keyboard of another script the place of the key counts.
  if (key.length === 1 && key.charCodeAt(0) > 127 && /^Key[A-Z]$/.test(event.code)) key = event.shiftKey ? event.code[3] : event.code[3].toLowerCase();
  if (key === " ") key = "Space";
  const isSign = key.length === 1;
  const hasLead = event.ctrlKey || event.metaKey || event.altKey;
  if (isSign && hasLead) key = key.toLowerCase();
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey && (!isSign || hasLead) ? "Shift+" : ""}${key}`;
}
