// The line at the foot: where one is, which filter holds, and whether everything is saved.
import { history } from "./commands.js";
import { ask } from "./net.js";
import { settled, standing } from "./saving.js";
import { byId, on, place, state } from "./state.js";

const WORDS = { nav: "Browse", edit: "Write", chip: "Tags", pass: "One tag" };
const ADDRESS_MS = 500;
const REST_MS = 400;
const FEW = 5000;
let timer = 0;

function where() {
  byId("status-mode").textContent = WORDS[state.mode];
  const at = place();
  const marked = state.marked.size ? ` · ${state.marked.size} marked` : "";
  byId("status-place").textContent = at < 0 ? "no image" : `${at + 1}/${state.ids.length}${marked}`;
  byId("status-filter").textContent = state.filter ? `filter: ${state.filter}` : "all images";
}

function saved() {
  const { pending, failed, refused, conflicts, savedAt } = standing();
  const told = byId("status-saving");
  const parts = [];
  if (conflicts) parts.push(`${conflicts} changed by somebody else (M)`);
  if (failed) parts.push(`${failed} not saved, trying again`);
  if (refused) parts.push(`${refused} cannot be saved`);
  if (pending) parts.push(`saving ${pending}`);
  if (!parts.length && savedAt) parts.push(`saved ${new Date(savedAt).toLocaleTimeString("en-GB")}`);
  told.textContent = parts.join(" · ");
  told.dataset.tone = failed || refused || conflicts ? "bad" : pending ? "" : "ok";
  if (pending) return;
  clearTimeout(timer);
  // What undo would take back is asked for once the writing rests.
  timer = setTimeout(async () => {
    if (!(await settled())) return;
    history();
    progress();
  }, REST_MS);
}

// How many images have words, in the step above; once all have, training is offered beside it.
async function progress() {
  const step = document.querySelector(".step[aria-current]");
  const note = step?.querySelector(".step-note");
  if (!note || state.total > FEW) return;
  const { status, body } = await ask(`${state.url}/label/index.json?filter=is:tagged`);
  if (status !== 200 || body.error) return;
  note.textContent = `${body.count}/${body.total}`;
  const isDone = body.count >= body.total;
  const use = step.querySelector(".step-mark use");
  step.dataset.state = isDone ? "done" : "attention";
  step.querySelector(".visually-hidden").textContent = isDone ? "(done)" : "(needs attention)";
  byId("label-next").hidden = !isDone;
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, isDone ? "#circle-check" : "#alert"));
}

let addressed = 0;

// The address leads back to this image and filter, after a reload or from another page.
function address() {
  clearTimeout(addressed);
  addressed = setTimeout(() => {
    const asked = new URLSearchParams({ ...(state.current ? { image: state.current } : {}), ...(state.filter ? { filter: state.filter } : {}) });
    window.history.replaceState(null, "", `${location.pathname}?${asked}`);
  }, ADDRESS_MS);
}

export function start() {
  for (const name of ["current", "index", "marked", "mode"]) on(name, where);
  for (const name of ["current", "index"]) on(name, address);
  on("saving", saved);
  where();
}
