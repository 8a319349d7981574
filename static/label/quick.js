// Quick tags: nine of them for this project, kept in this browser.
import { hasTag } from "./segments.js";
import { textOf } from "./saving.js";
import { byId, on, recall, remember, state } from "./state.js";

const KEY = `label-quick-${state.project}`;
const dialog = byId("quick-dialog");
const form = byId("quick-form");
const DIGITS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export const quickTag = (digit) => recall(KEY, {})[digit] ?? "";

export function edit() {
  for (const digit of DIGITS) form.elements[`quick-${digit}`].value = quickTag(digit);
  dialog.showModal();
}

function draw(toggle) {
  const words = textOf(state.current);
  const items = DIGITS.filter(quickTag).map((digit) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "label-quick" });
    made.ariaPressed = String(hasTag(words, quickTag(digit)));
    made.append(Object.assign(document.createElement("kbd"), { textContent: digit }), quickTag(digit));
    made.addEventListener("click", () => toggle(digit));
    const row = document.createElement("li");
    row.append(made);
    return row;
  });
  if (!items.length) items.push(Object.assign(document.createElement("li"), { className: "muted small", textContent: "None yet. Choose tags that you need often; Q and a digit then sets them." }));
  byId("quick").replaceChildren(...items);
}

export function start(toggle) {
  const renew = () => draw(toggle);
  form.addEventListener("submit", () => {
    remember(KEY, Object.fromEntries(DIGITS.map((digit) => [digit, form.elements[`quick-${digit}`].value.trim()])));
    renew();
  });
  byId("quick-edit").addEventListener("click", edit);
  on("text", renew);
  on("saving", (id) => id === state.current && renew());
  renew();
}
