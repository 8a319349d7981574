// From a key to a command. Browsing, letters are commands; writing, they are letters, and no key that types is ever taken.
import * as completion from "./completion.js";
import * as offers from "./offers.js";
import { commands, keysOf, nameOf, shownKey } from "./keymap.js";
import { byId, on, state } from "./state.js";
import { takesKeys } from "../fields.js";

const CHORD_MS = 1500;
let actions = {};
let first = "";
let timer = 0;
let waiting = 0;

function forget() {
  clearTimeout(timer);
  first = "";
  hint();
}

function find(name) {
  // The sheet of keys can be had wherever letters are commands.
  return commands.find((each) => (each.mode === state.mode || (each.id === "sheet" && state.mode !== "edit")) && keysOf(each).includes(name));
}

function begins(name) {
  return commands.some((each) => each.mode === state.mode && keysOf(each).some((key) => key.startsWith(`${name} `)));
}

function pressed(event) {
  // While an input method composes, every key is its own.
  if (event.isComposing || event.keyCode === 229 || !(event.target instanceof Element)) return;
  if (event.target.closest("dialog") || document.querySelector("dialog[open]")) return;
  if (["Control", "Shift", "Alt", "Meta", "AltGraph", "CapsLock", "Dead"].includes(event.key)) return;
  if (used(event)) {
    event.preventDefault();
    event.stopPropagation();
  }
}

function used(event) {
  const { target } = event;
  const isCaption = target === byId("caption");
  if (isCaption && completion.key(event)) return true;
  if (target === byId("filter") && offers.key(event)) return true;
  if (target.matches(".label-chip-edit")) return false;
  if (!isCaption && takesKeys(target)) return event.key === "Escape" ? back() : false;
  // A focused button or link is pressed by its own keys.
  if (["Enter", " "].includes(event.key) && target.matches("a[href], button, summary, [role=button]") && !target.matches(".label-chip") && !event.ctrlKey) return false;
  const name = first ? `${first} ${nameOf(event)}` : nameOf(event);
  const command = find(name);
  if (!command && !first && begins(name)) {
    first = name;
    timer = setTimeout(forget, CHORD_MS);
    hint();
    return true;
  }
  const wasChord = Boolean(first);
  forget();
  if (!command) return wasChord;
  actions[command.id]();
  return true;
}

function back() {
  if (!actions.back()) byId("grid").focus({ preventScroll: true });
  return true;
}

function hint() {
  const told = byId("status-keys");
  if (waiting) return (told.textContent = `${waiting === 1 ? "1 key waits" : `${waiting} keys wait`} for the answer …`);
  if (first) return (told.textContent = `${shownKey(first)} …`);
  const [help] = commands.filter((each) => each.id === "sheet").flatMap(keysOf);
  const words = {
    nav: [["edit", "write"], ["reviewed", "reviewed"], ["filter", "filter"], ["undo", "undo"], ["palette", "commands"]],
    edit: [["leave", "done"], ["write-next", "next"]],
    chip: [["chip-edit", "rewrite"], ["chip-remove", "take out"], ["chip-earlier", "move"], ["chip-pin", "keep in front"], ["chip-end", "done"]],
    pass: [["pass-yes", "yes"], ["pass-no", "no"], ["pass-end", "end"]],
  }[state.mode].map(([id, word]) => {
    const [key] = commands.filter((each) => each.id === id).flatMap(keysOf);
    return key ? `${shownKey(key)} ${word}` : "";
  });
  if (state.mode === "edit") words.unshift("Tab completes");
  if (state.mode === "nav" && state.marked.size > 1) words.unshift(`Keys change all ${state.marked.size} marked`);
  told.textContent = [...words.filter(Boolean), state.mode === "edit" || !help ? "" : `${shownKey(help)} all keys`].filter(Boolean).join(" · ");
}

export function start(table) {
  actions = table;
  addEventListener("keydown", pressed, true);
  on("mode", forget);
  on("keys", hint);
  on("marked", hint);
  document.addEventListener("keys-waiting", (event) => {
    waiting = event.detail;
    hint();
  });
  hint();
}
