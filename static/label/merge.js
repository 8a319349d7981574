// Two people changed the same words: both versions and what comes of them together, chosen by a key.
import { flush } from "./editor.js";
import { merge } from "./segments.js";
import { conflictOf, entryOf, settle, textOf } from "./saving.js";
import { byId, on, state, tell, toast } from "./state.js";

const dialog = byId("merge-dialog");
const merged = byId("merge-merged");
const REST_MS = 700;
let waiting = [];
// Those that nobody has been asked about yet.
const fresh = new Set();
let id = 0;
let pressed = 0;
let timer = 0;

function open(next) {
  const conflict = conflictOf(next);
  if (!conflict || dialog.open) return;
  flush();
  fresh.delete(next);
  id = next;
  const mine = textOf(id);
  const name = state.rows.get(id)?.name ?? `image ${id}`;
  const who = conflict.by === (state.person || "you") ? "Another tab" : conflict.by;
  byId("merge-text").textContent = `${who} saved other words for ${name} while you wrote. Nothing was overwritten. Which words shall it have?`;
  byId("merge-yours").textContent = mine || "(no words)";
  byId("merge-theirs").textContent = conflict.text || "(no words)";
  merged.value = merge(entryOf(id).base, mine, conflict.text);
  dialog.showModal();
  byId("merge-3").focus();
}

function take(text) {
  settle(id, text);
  dialog.close();
  tell("settled", id);
}

const choices = { 1: () => take(textOf(id)), 2: () => take(conflictOf(id).text), 3: () => take(merged.value) };

// The next image with a conflict, the one that is shown first.
const next = () => (conflictOf(state.current) ? state.current : waiting.find(conflictOf));

export function decide() {
  if (next()) open(next());
  else toast("Nothing was changed by two people.");
}

// A dialog that opens by itself would take the keys of somebody who is at work, and they would decide. It waits until the
// keyboard rests.
function openAtRest() {
  clearTimeout(timer);
  const left = REST_MS - (performance.now() - pressed);
  const [late] = [...fresh].filter(conflictOf);
  if (state.mode !== "nav" || !late) return;
  if (left > 0 || document.querySelector("dialog[open]")) timer = setTimeout(openAtRest, Math.max(left, REST_MS / 2));
  else open(late);
}

export function start() {
  for (const [key, choose] of Object.entries(choices)) byId(`merge-${key}`).addEventListener("click", choose);
  dialog.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const isText = event.target === merged;
    if (isText && event.key === "Enter" && event.ctrlKey) choices[3]();
    else if (!isText && choices[event.key] && !event.ctrlKey && !event.altKey) choices[event.key]();
    else return;
    event.preventDefault();
  });
  dialog.addEventListener("close", () => (waiting = waiting.filter(conflictOf)));
  addEventListener("keydown", () => (pressed = performance.now()), true);
  on("conflict", (late) => {
    waiting = [...waiting.filter((each) => each !== late), late];
    fresh.add(late);
    if (state.mode !== "nav") toast(`${state.rows.get(late)?.name ?? "An image"} was changed by somebody else. You decide with M once you are done here.`, "warn");
    else openAtRest();
  });
  on("mode", openAtRest);
}
