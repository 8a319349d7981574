// Keys in their order. While an answer still decides what the next key is about, keys wait; then they are pressed again, one by
// one, on whatever has the focus by then. So no key is lost, and none falls on the image or the field that was there before.
import { isText } from "./fields.js";

const MOST_MS = 60_000;
const NAMED = new Set(["Enter", "Escape", "Backspace", "Delete", "Home", "End", "PageUp", "PageDown", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "F2"]);
const WITH_CTRL = new Set(["a", "y", "z", ...NAMED]);
const LEAVING_MS = 30_000;
const holds = new Set();
const waiting = [];
let isAgain = false;

const note = () => document.dispatchEvent(new CustomEvent("keys-waiting", { detail: waiting.length }));

// Keys wait until `work` is done; where it comes to false, they have lost what they were about. `isTyping`: also those that
// type, and what is late does not take them away. Without it, keys for which no answer comes are not carried out.
export function hold(work, { isTyping = false, most_ms = MOST_MS, isKept = isTyping } = {}) {
  const turn = { isTyping };
  const timer = setTimeout(() => end(turn, isKept || letGo("LoRA Studio does not answer")), most_ms);
  holds.add(turn);
  const over = (result) => {
    clearTimeout(timer);
    end(turn, result);
  };
  Promise.resolve(work).then(over, () => over(false));
  return work;
}

function letGo(why) {
  const text = `${why}: ${waiting.length === 1 ? "the key" : `the ${waiting.length} keys`} you pressed before did nothing.`;
  if (waiting.length) document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone: "warn" } }));
  waiting.length = 0;
  return false;
}

// What is pointed at meanwhile is not what those keys were about.
addEventListener("pointerdown", () => [...holds].every((each) => !each.isTyping) && letGo("You have gone on"), true);

function end(turn, result) {
  if (!holds.delete(turn)) return;
  if (result === false) waiting.length = 0;
  release();
}

function release() {
  while (!holds.size && waiting.length) {
    // A key that fails leaves none behind it waiting.
    try {
      again(waiting.shift());
    } catch (error) {
      reportError(error);
    }
  }
  note();
}

function waits(event) {
  if (event.isComposing || event.keyCode === 229) return false;
  const isTyping = [...holds].some((each) => each.isTyping);
  const { target } = event;
  if (!isTyping && target instanceof Element && (isText(target) || target.matches("select") || target.closest("dialog:not(.lightbox)"))) return false;
  // The browser's own ways to stop and to go back stay free.
  if (stay && (event.altKey || event.key === "Escape")) return stay(letGo("You have stayed")) ?? false;
  // Tab goes on at once, and the keys before it were about what it leaves.
  if (event.key === "Tab" && !isTyping) return letGo("You have gone on");
  if (event.ctrlKey || event.metaKey || event.altKey) return WITH_CTRL.has(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return event.key.length === 1 || NAMED.has(event.key) || (isTyping && event.key === "Tab");
}

// First of all listeners, so that whoever else listens hears of it when its turn has come.
addEventListener(
  "keydown",
  (event) => {
    if (isAgain || !holds.size || !waits(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    // A key that is held down repeats itself; it is not meant for what comes next.
    if (!event.repeat) waiting.push(event);
    note();
  },
  true,
);

function again(event) {
  const target = document.activeElement ?? document.body;
  isAgain = true;
  const isFree = target.dispatchEvent(new KeyboardEvent("keydown", event));
  isAgain = false;
  if (isFree) byItself(target, event);
}

// What a browser does with a key that no script has used.
function byItself(target, event) {
  const { key } = event;
  const hasLead = event.ctrlKey || event.metaKey || event.altKey;
  if (key === "Escape") return target.closest("dialog")?.close();
  if (isText(target)) return type(target, key, hasLead);
  if (!hasLead && [" ", "Enter"].includes(key) && target.matches("a[href], button, summary, input")) target.click();
}

const COMMANDS = { Backspace: "delete", Delete: "forwardDelete" };

function type(field, key, hasLead) {
  if (hasLead) return key.toLowerCase() === "a" ? field.select?.() : undefined;
  if (key === "Enter" && !field.matches("textarea")) return submit(field.form);
  if (key in COMMANDS) return document.execCommand(COMMANDS[key]);
  const words = key === "Enter" ? "\n" : key.length === 1 ? key : "";
  if (words) return document.execCommand("insertText", false, words);
  const [from, to] = [field.selectionStart, field.selectionEnd];
  const place = { ArrowLeft: from === to ? from - 1 : from, ArrowRight: from === to ? to + 1 : to, Home: 0, End: field.value.length }[key];
  if (place !== undefined && from !== null) field.setSelectionRange(Math.max(0, place), Math.max(0, place));
}

const submit = (form) => form?.requestSubmit(form.querySelector("button:not([type=button]):not([type=reset])"));

// Keys pressed after one that leads to another page are not about this one any more.
let stay = null;
window.navigation?.addEventListener("navigate", ({ destination, downloadRequest, hashChange }) => {
  if (destination.sameDocument || hashChange || downloadRequest !== null) return;
  stay?.();
  const left = new Promise((resolve) => (stay = resolve)).finally(() => (stay = null));
  hold(left, { most_ms: LEAVING_MS });
});

// A person was asked, and stays.
addEventListener("beforeunload", (event) => setTimeout(() => event.defaultPrevented && stay?.(letGo("You have stayed"))));

// On a page that the browser had kept nothing is awaited any more.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  holds.clear();
  waiting.length = 0;
  note();
});
