// Suggestions as ghosts: grey beside the caption until a person takes them; what is dismissed is not suggested again.
import { flush } from "./editor.js";
import { ask, reason } from "./net.js";
import { inTurn, refresh } from "./rows.js";
import { settled } from "./saving.js";
import { byId, on, recall, remember, state, toast } from "./state.js";
import { hold } from "../turns.js";

const DELAY_MS = 120;
const region = byId("ghosts");
const list = byId("ghost-list");
const threshold = byId("threshold");
let timer = 0;
let asked = null;
let shown = { id: 0, items: [] };

const limit = () => Math.min(100, Math.max(0, Number(threshold.value) || 0)) / 100;
const buttons = () => [...list.querySelectorAll("button")];

async function load() {
  clearTimeout(timer);
  const id = state.current;
  asked?.abort();
  asked = new AbortController();
  const { status, body, isAborted } = id ? await ask(`/images/${id}/suggestions.json`, { signal: asked.signal }) : { status: 0 };
  if (id !== state.current || isAborted) return;
  shown = { id, items: status === 200 ? body : [] };
  draw();
}

function draw() {
  region.hidden = !shown.items.length;
  list.replaceChildren(
    ...shown.items.map((item) => {
      const made = Object.assign(document.createElement("button"), { type: "button", className: "label-ghost" });
      made.dataset.id = item.id;
      made.dataset.category = item.category || "general";
      made.classList.toggle("sure", item.confidence >= limit());
      made.title = `${item.model}, ${Math.round(item.confidence * 100)} %: take it`;
      made.append(item.text, Object.assign(document.createElement("span"), { className: "num", textContent: `${Math.round(item.confidence * 100)} %` }));
      const row = document.createElement("li");
      row.append(made);
      return row;
    }),
  );
}

const none = () => toast("No suggestions for this image.");
const isShown = () => shown.id === state.current;

// What is suggested for the image that is shown, once it has come.
async function ready() {
  if (!isShown()) await load();
  if (isShown() && shown.items.length) return true;
  none();
  return false;
}

// The words of the image change in the store: what is typed goes there first, and the row is read anew.
function act(id, url, form) {
  flush();
  return inTurn(() => settle(id, url, form));
}

async function settle(id, url, form) {
  if (!(await settled(id))) return toast("This image has words that are not saved yet. Save them first.", "warn");
  const answer = await ask(url, { form });
  if (answer.status >= 300 || !answer.status) return toast(`That did not work: ${reason(answer)}.`, "bad");
  if (!answer.body?.count) answer.body?.suggestions?.length ? toast("No suggestion for this image is as sure as the limit.") : none();
  await refresh([id]);
  if (id === state.current) await load();
}

// Those of the image that is shown, also where they have not come yet.
export function acceptAll() {
  if (!state.current || (isShown() && !shown.items.length)) return none();
  act(state.current, `/images/${state.current}/suggestions/accept`, { threshold: String(limit()) });
}

export const choose = () => hold(ready().then((isThere) => isThere && (buttons()[0].focus(), true)));

// The next key is about the suggestion that then has the focus.
function one(button, verb) {
  const at = buttons().indexOf(button);
  const done = act(shown.id, `/suggestions/${button.dataset.id}/${verb}`, verb === "dismiss" ? { everywhere: "on" } : {});
  hold(done.then(() => {
    // Whoever has gone on to somewhere else stays there.
    if (document.activeElement !== document.body && !list.contains(document.activeElement)) return;
    const left = buttons();
    if (left.length) left[Math.min(at, left.length - 1)].focus();
    else byId("grid").focus({ preventScroll: true });
  }));
}

export function dismiss() {
  const button = document.activeElement.closest?.(".label-ghost");
  if (button) one(button, "dismiss");
  else choose();
}

export function start() {
  threshold.value = recall("label-threshold", 50);
  threshold.addEventListener("change", () => {
    remember("label-threshold", Math.round(limit() * 100));
    draw();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) one(button, "accept");
  });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = buttons();
    if (by) all[(all.indexOf(event.target) + by + all.length) % all.length]?.focus();
    else if (event.key === "Escape") byId("grid").focus({ preventScroll: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  on("current", ({ id }) => {
    if (id === shown.id) return;
    clearTimeout(timer);
    region.hidden = true;
    timer = setTimeout(load, DELAY_MS);
  });
}
