// One tag through all images of the filter, the doubtful ones first: yes or no, and the next one comes.
import { flush } from "./editor.js";
import { addTag, hasTag, removeTag } from "./segments.js";
import { withRows } from "./rows.js";
import { textOf, writeText } from "./saving.js";
import { ask } from "./net.js";
import { byId, on, setMode, show, state, tell, toast } from "./state.js";
import { hold } from "../turns.js";

const dialog = byId("pass-dialog");
const bar = byId("pass");
let tag = "";
// The images in the order in which they are asked about, the place in it, and how many have been answered.
let order = [];
let at = 0;
let answered = 0;
let isReady = false;

export async function begin() {
  flush();
  dialog.showModal();
  byId("pass-tag").select();
  const { status, body } = await ask(`${state.url}/label/facets.json?${new URLSearchParams({ filter: state.filter })}`);
  if (status !== 200) return;
  byId("pass-tags").replaceChildren(...(body.tags ?? []).slice(0, 300).map((each) => Object.assign(document.createElement("option"), { value: each.tag })));
}

async function sort() {
  isReady = false;
  draw();
  const { status, body } = await ask(`${state.url}/label/pass.json?${new URLSearchParams({ tag, filter: state.filter })}`);
  // Whoever has gone on to something else meanwhile is not called back.
  if (state.mode !== "pass") return false;
  order = status === 200 ? body.filter((each) => state.places.has(each.id)) : state.ids.map((id) => ({ id, confidence: null }));
  [at, answered, isReady] = [0, 0, true];
  if (status !== 200) toast("What models said could not be read, so the images come in their own order.", "warn");
  if (order.length) show(order[0].id);
  draw();
}

function draw() {
  bar.hidden = state.mode !== "pass";
  if (bar.hidden) return;
  const part = (name, text, className = "") => Object.assign(document.createElement(name), { textContent: text, className });
  if (!isReady) return bar.replaceChildren(part("p", "Putting the doubtful ones first…"));
  const has = hasTag(textOf(state.current), tag);
  const question = part("p", "");
  question.append(part("strong", tag), has ? " is in the caption" : " is not in the caption");
  const sure = order[at]?.confidence;
  const said = typeof sure === "number" ? `a model is ${Math.round(sure * 100)} % sure` : "no model has said anything of it";
  const keys = part("p", "", "small");
  keys.append(part("kbd", "Y"), " it has it  ", part("kbd", "N"), " it has not  ", part("kbd", "Space"), " skip  ", part("kbd", "Esc"), " end");
  bar.replaceChildren(question, part("p", `${at + 1} of ${order.length} · ${said}`, "small muted num"), keys);
}

function go(by) {
  let next = at + by;
  while (order[next] && !state.places.has(order[next].id)) next += by;
  if (!order[next]) return by > 0 ? end() : undefined;
  at = next;
  show(order[at].id);
  draw();
}

function answer(isThere) {
  const id = order[at]?.id;
  if (!id) return;
  answered += 1;
  const about = tag;
  withRows([id], ([row]) => {
    if (!row) return;
    const words = textOf(id);
    writeText(id, isThere ? addTag(words, about) : removeTag(words, about));
    tell("settled", id);
  });
  go(1);
}

export const yes = () => answer(true);
export const no = () => answer(false);
export const skip = () => go(1);
export const back = () => go(-1);

export function end() {
  if (isReady) toast(`“${tag}”: ${answered} of ${order.length} answered.`);
  setMode("nav");
}

export function askAbout(words) {
  tag = words;
  byId("grid").focus({ preventScroll: true });
  setMode("pass");
  // Keys pressed while the order is on its way are answers about it.
  order = [];
  hold(sort());
}

export function start() {
  byId("pass-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const words = byId("pass-tag").value.trim();
    // Closed at once, which gives the focus back to where it was: the very next key already answers.
    dialog.close();
    if (words) askAbout(words);
  });
  on("mode", draw);
  on("current", draw);
  on("row", (id) => id === state.current && draw());
}
