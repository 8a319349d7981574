// Two people changed the same words: both versions and what comes of them together, chosen by a key.
import { merge } from "./segments.js";
import { conflictOf, entryOf, settle, textOf } from "./saving.js";
import { byId, on, state, tell, toast } from "./state.js";

const dialog = byId("merge-dialog");
const merged = byId("merge-merged");
let waiting = [];
let id = 0;

function open(next) {
  const conflict = conflictOf(next);
  if (!conflict || dialog.open) return;
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
export function decide() {
  const next = conflictOf(state.current) ? state.current : waiting.find(conflictOf);
  if (next) open(next);
  else toast("Nothing was changed by two people.");
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
  dialog.addEventListener("close", () => {
    byId(state.mode === "edit" ? "caption" : "grid").focus({ preventScroll: true });
    waiting = waiting.filter(conflictOf);
  });
  on("conflict", (next) => {
    waiting = [...waiting.filter((each) => each !== next), next];
    // A dialog that opens under somebody's typing would take the keys; it waits until that person has gone on or stops.
    if (state.mode === "edit" && next !== state.current) toast(`${state.rows.get(next)?.name ?? "An image"} was changed by somebody else. Press M to decide.`, "warn");
    else open(next);
  });
}
