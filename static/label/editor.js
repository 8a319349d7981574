// The caption: words belong to the image they were typed for from the first key on, whatever is shown by the time they are saved.
import * as completion from "./completion.js";
import { merge, moveTag } from "./segments.js";
import { conflictOf, entryOf, stateOf, textOf, writeText } from "./saving.js";
import { byId, currentRow, on, setMode, state, tell } from "./state.js";

const IDLE_MS = 900;
const area = byId("caption");
// The image whose words stand in the field, and whether its row had come when they were put there.
let holds = 0;
let isThere = false;
let timer = 0;

// Words typed for images whose rows had not come yet, by image.
const early = new Map();

const join = (words, typed) => (!typed.trim() || !words ? words || typed : words + (/^[\s,]/.test(typed) ? typed : `, ${typed}`));

// Hands what was typed to the queue of its image; at the end without the comma that a completion left behind.
export function flush(isEnd = false) {
  clearTimeout(timer);
  if (!holds || !isThere) return;
  const kept = textOf(holds);
  if (isEnd && area.value !== kept && /[^\s,],\s*$/.test(area.value)) area.value = area.value.replace(/,\s*$/, "");
  const typed = area.value;
  // A field knows one kind of line end: words that differ in that alone were not touched.
  if (typed === kept.replace(/\r\n?/g, "\n")) return;
  tell("edited", { id: holds, before: kept, after: typed });
  shownBefore = typed;
  writeText(holds, typed);
}

function put() {
  const row = currentRow();
  const typed = holds === state.current && !isThere ? area.value : (early.get(state.current) ?? "");
  early.delete(state.current);
  holds = state.current;
  isThere = Boolean(row);
  const words = row ? textOf(holds).replace(/\r\n?/g, "\n") : "";
  // What was typed while the row was on its way is kept behind the words that then came.
  const next = row ? join(words, typed) : typed;
  if (area.value !== next) area.value = next;
  area.placeholder = row ? "No caption yet. Enter starts writing." : state.current ? "Loading…" : "";
  if (row && typed.trim()) writeText(holds, next);
  shownBefore = area.value;
  if (state.mode === "edit") area.setSelectionRange(area.value.length, area.value.length);
  facts();
  tell("text", { id: holds, text: area.value });
}

// Words that changed elsewhere come in, unless a person is at them.
function renew(id) {
  if (early.has(id) && id !== state.current) {
    writeText(id, join(textOf(id), early.get(id)));
    early.delete(id);
  }
  if (id !== state.current) return;
  if (!isThere) return put();
  const words = textOf(id).replace(/\r\n?/g, "\n");
  if (words !== shownBefore) take(words);
  facts();
}

let shownBefore = "";

// Words that came in are joined with what is being typed; neither is lost.
function take(words) {
  const both = area.value === shownBefore ? words : merge(shownBefore, area.value, words);
  // A separator typed last is for the next tag.
  const [tail] = /[\s,]*$/.exec(area.value);
  replace(area.value === shownBefore || both.endsWith(tail) ? both : both.replace(/[\s,]*$/, "") + tail);
  shownBefore = words;
  tell("text", { id: holds, text: area.value });
}

// The caret stays where it was in the words.
function replace(words) {
  const { value, selectionStart, selectionEnd } = area;
  if (value === words) return;
  area.value = words;
  if (document.activeElement !== area) return;
  const moved = (place) => (place < value.length && words.startsWith(value.slice(0, place)) ? place : Math.max(0, words.length - (value.length - place)));
  area.setSelectionRange(moved(selectionStart), moved(selectionEnd));
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(flush, IDLE_MS);
}

const MARKS = { pending: ["Saving…", ""], failed: ["Not saved, trying again", "bad"], refused: ["Not saved", "bad"], conflict: ["Changed by somebody else", "bad"] };

function facts() {
  const row = currentRow();
  const entry = entryOf(state.current);
  const [word, tone] = entry ? (MARKS[stateOf(state.current)] ?? ["", ""]) : ["", ""];
  byId("saved-mark").textContent = word;
  byId("saved-mark").className = `saved-mark ${tone}`;
  const problem = byId("problem");
  problem.hidden = !entry?.reason || stateOf(state.current) === "pending";
  problem.textContent = entry?.reason ? `Not saved: ${entry.reason}` : "";
  if (!row) return;
  byId("caption-by").textContent = row.by && row.caption ? `by ${row.by}` : "";
  const reviewed = byId("fact-reviewed");
  reviewed.ariaPressed = String(Boolean(row.reviewed_by));
  reviewed.querySelector("span").textContent = row.reviewed_by ? `Reviewed by ${row.reviewed_by}` : "Not reviewed";
  const split = byId("fact-split");
  split.ariaPressed = String(row.split !== "train");
  split.querySelector("span").textContent = row.split === "train" ? "Trains" : "Held out";
  byId("fact-repeats").textContent = `${row.repeats} ×`;
}

export function enter() {
  if (!state.current) return;
  setMode("edit");
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}

export function leave() {
  area.blur();
  byId("grid").focus({ preventScroll: true });
}

// Replaces part of the field as typing does, so that the browser's own undo knows of it.
export function insert(from, to, words) {
  area.focus();
  area.setSelectionRange(from, to);
  if (!document.execCommand("insertText", false, words)) area.setRangeText(words, from, to, "end");
}

// Words that were changed beside the field take the same way as those typed into it.
export function rewrite(words) {
  if (!holds || !isThere || area.value === words) return;
  area.value = words;
  tell("text", { id: holds, text: words });
  flush();
}

export function shift(by) {
  const moved = moveTag(area.value, area.selectionStart, by);
  if (!moved) return;
  insert(0, area.value.length, moved[0]);
  area.setSelectionRange(moved[1], moved[1]);
}

export function start() {
  area.addEventListener("focus", () => setMode("edit"));
  area.addEventListener("blur", () => {
    if (document.hasFocus()) flush(true);
    else flush();
    completion.close();
    setMode("nav");
  });
  area.addEventListener("input", () => {
    later();
    tell("text", { id: holds, text: area.value });
  });
  on("leave", () => {
    if (!isThere && holds && area.value.trim()) early.set(holds, area.value);
    else flush(true);
  });
  on("current", ({ isSame }) => {
    if (!isSame || !isThere) put();
  });
  on("row", renew);
  on("saving", (id) => id === state.current && facts());
  on("settled", (id) => {
    if (id !== state.current || conflictOf(id)) return;
    const words = textOf(id).replace(/\r\n?/g, "\n");
    if (words !== shownBefore) take(words);
  });
}
