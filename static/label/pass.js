// One tag through all images of the filter: yes or no, and the next one comes.
import { flush } from "./editor.js";
import { addTag, hasTag, removeTag } from "./segments.js";
import { loaded } from "./rows.js";
import { textOf, writeText } from "./saving.js";
import { ask } from "./net.js";
import { byId, on, place, setMode, state, step, tell } from "./state.js";

const dialog = byId("pass-dialog");
const bar = byId("pass");
let tag = "";

export async function begin() {
  flush();
  dialog.showModal();
  byId("pass-tag").select();
  const { status, body } = await ask(`${state.url}/label/facets.json?${new URLSearchParams({ filter: state.filter })}`);
  if (status !== 200) return;
  byId("pass-tags").replaceChildren(...(body.tags ?? []).slice(0, 300).map((each) => Object.assign(document.createElement("option"), { value: each.tag })));
}

function draw() {
  bar.hidden = state.mode !== "pass";
  if (bar.hidden) return;
  const has = hasTag(textOf(state.current), tag);
  const part = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const question = part("p", "");
  question.append(part("strong", tag), has ? " is in the caption" : " is not in the caption");
  const keys = part("p", "");
  keys.className = "small";
  keys.append(part("kbd", "Y"), " it has it  ", part("kbd", "N"), " it has not  ", part("kbd", "Space"), " skip  ", part("kbd", "Esc"), " end");
  bar.replaceChildren(question, keys);
}

async function answer(isThere) {
  const id = state.current;
  if (place() === state.ids.length - 1) end();
  else step(1);
  const [row] = await loaded([id]);
  if (!row) return;
  const words = textOf(id);
  writeText(id, isThere ? addTag(words, tag) : removeTag(words, tag));
  tell("settled", id);
}

export const yes = () => answer(true);
export const no = () => answer(false);

export function end() {
  setMode("nav");
}

export function start() {
  byId("pass-form").addEventListener("submit", () => {
    tag = byId("pass-tag").value.trim();
    if (tag) setTimeout(() => {
      byId("grid").focus({ preventScroll: true });
      setMode("pass");
    });
  });
  on("mode", draw);
  on("current", draw);
  on("row", (id) => id === state.current && draw());
}
