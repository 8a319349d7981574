// The filter: read as it is typed; a mistake is shown where it stands, and the last good result stays.
import { ask, reason } from "./net.js";
import { byId, on, setIndex, settleHere, state, toast } from "./state.js";
import { hold } from "../turns.js";

const DELAY_MS = 150;
const input = byId("filter");
const note = byId("filter-note");
let timer = 0;
let seq = 0;
let isBroken = false;
// The text that was read last, and whether what was typed since still waits to be read.
let readText = null;
let isDue = false;

export const isUsable = () => !isBroken;
const query = (text) => new URLSearchParams({ filter: text });

// Keys are about the images that are found: they wait.
export const load = () => hold(read());

async function read() {
  clearTimeout(timer);
  isDue = false;
  const text = input.value;
  const mine = (seq += 1);
  const answer = await ask(`${state.url}/label/index.json?${query(text)}`);
  if (mine !== seq) return;
  readText = text;
  if (answer.status !== 200) return mistake(`The images cannot be listed: ${reason(answer)}.`);
  const { ids, total, error } = answer.body;
  if (error) return mistake(error.message, error.column);
  isBroken = false;
  input.removeAttribute("aria-invalid");
  note.className = "small num muted truncate";
  state.filter = text.trim();
  note.textContent = state.filter ? `${ids.length} of ${total}` : `${total} images`;
  note.removeAttribute("title");
  setIndex(ids, total);
  links();
}

// The images that a filter finds, without showing them; null when it cannot be read.
export async function find(term) {
  const text = state.filter ? `(${state.filter}) ${term}` : term;
  const { status, body } = await ask(`${state.url}/label/index.json?${query(text)}`);
  return status === 200 && !body.error ? body.ids : null;
}

function mistake(message, column = null) {
  isBroken = true;
  input.ariaInvalid = "true";
  note.className = "small label-mistake truncate";
  const where = column === null ? "" : ` (at ${column + 1}: “${input.value.slice(Math.max(0, column - 6), column)}▸${input.value.slice(column, column + 8)}”)`;
  note.textContent = note.title = message + where;
  links();
}

function links() {
  const asked = query(state.filter);
  if (state.marked.size) {
    asked.set("scope", "selected");
    asked.set("ids", [...state.marked].join(","));
  }
  byId("open-bulk").href = `${state.url}/label/bulk?${asked}`;
  // A change of many captions never runs on a filter that cannot be read.
  byId("open-bulk").ariaDisabled = String(isBroken);
}

export function focus() {
  input.focus();
  input.select();
}

export function set(text) {
  input.value = text;
  return load();
}

function toggleTerm(term) {
  const words = ` ${input.value.trim()} `;
  set((words.includes(` ${term} `) ? words.replace(` ${term} `, " ") : `${words} ${term}`).replace(/\s+/g, " ").trim());
}

// Panels below the bar

function pop(name, isOpen = byId(name).hidden) {
  for (const each of ["facets", "saved"]) {
    byId(each).hidden = !(each === name && isOpen);
    byId(`${each}-open`).ariaExpanded = String(!byId(each).hidden);
  }
  return isOpen;
}

export function closePops() {
  const open = ["facets", "saved"].find((each) => !byId(each).hidden);
  if (!open) return false;
  const held = byId(open).contains(document.activeElement);
  pop(open, false);
  if (held) byId("grid").focus({ preventScroll: true });
  return true;
}

const quoted = (tag) => (/^[\p{L}\p{N}_]+$/u.test(tag) && !/^(and|or|not)$/i.test(tag) ? tag : `"${tag.replace(/["\\]/g, "\\$&")}"`);

function facetButton(label, count, term) {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "label-facet" });
  made.append(Object.assign(document.createElement("span"), { className: "truncate", textContent: label }), Object.assign(document.createElement("span"), { className: "num muted", textContent: count.toLocaleString("en") }));
  made.addEventListener("click", () => toggleTerm(term));
  const row = document.createElement("li");
  row.append(made);
  return row;
}

function facetGroup(title, buttons) {
  const group = Object.assign(document.createElement("section"), { className: "stack tight" });
  const items = Object.assign(document.createElement("ul"), { className: "label-facets" });
  items.append(...buttons);
  group.append(Object.assign(document.createElement("h2"), { className: "label-head", textContent: title }), items);
  return group;
}

// The focus comes into a panel once it is there, unless it has gone on to somewhere else.
function openPanel(name, draw) {
  if (!pop(name)) return;
  const from = document.activeElement;
  hold(draw().then(() => {
    if (!byId(name).hidden && document.activeElement === from) byId(name).querySelector("button, input")?.focus();
  }));
}

const labelOf = (element) => element.ariaLabel ?? element.firstElementChild?.textContent ?? element.textContent;

// A panel is drawn anew; the keyboard stays on what it was on.
function redraw(box, ...made) {
  const focused = box.contains(document.activeElement) ? document.activeElement : null;
  const at = [...box.querySelectorAll("button, input")].indexOf(focused);
  const typed = box.querySelector("input")?.value;
  box.replaceChildren(...made);
  const all = [...box.querySelectorAll("button, input")];
  if (typed && box.querySelector("input:enabled")) box.querySelector("input").value = typed;
  if (focused) (all.find((each) => labelOf(each) === labelOf(focused)) ?? all[Math.min(at, all.length - 1)])?.focus();
}

export const facets = () => openPanel("facets", drawFacets);

async function drawFacets() {
  const answer = await ask(`${state.url}/label/facets.json?${query(state.filter)}`);
  const box = byId("facets");
  if (answer.status !== 200) {
    redraw(box, Object.assign(document.createElement("p"), { className: "muted", textContent: `The counts cannot be had: ${reason(answer)}.` }));
    return;
  }
  const { tags = [], facets: others = [] } = answer.body;
  const groups = [facetGroup("Images", others.map((each) => facetButton(each.label ?? each.term, each.count, each.term)))];
  groups.push(facetGroup("Tags", tags.slice(0, 200).map((each) => facetButton(each.tag, each.count, quoted(each.tag)))));
  const shown = groups.filter((each) => each.querySelector("button"));
  redraw(box, ...(shown.length ? shown : [Object.assign(document.createElement("p"), { className: "muted", textContent: "No image here, so nothing to count." })]));
}

export const saved = () => openPanel("saved", drawSaved);

async function drawSaved() {
  const box = byId("saved");
  const { status, body } = await ask(`${state.url}/label/filters.json`);
  const items = Object.assign(document.createElement("ul"), { className: "label-facets" });
  for (const each of status === 200 ? body : []) {
    const row = facetButton(each.name, each.count ?? 0, each.text);
    const [name, count] = row.firstElementChild.children;
    name.title = each.text;
    count.textContent = each.text.length > 24 ? `${each.text.slice(0, 24)}…` : each.text;
    const button = row.firstElementChild.cloneNode(true);
    row.firstElementChild.replaceWith(button);
    button.addEventListener("click", () => set(each.text));
    const remove = Object.assign(document.createElement("button"), { type: "button", className: "button quiet small", textContent: "Remove", ariaLabel: `Remove the filter ${each.name}` });
    remove.addEventListener("click", () => hold(ask(`${state.url}/label/filters/remove`, { form: { name: each.name } }).then(drawSaved)));
    row.append(remove);
    items.append(row);
  }
  redraw(box, items.children.length ? items : Object.assign(document.createElement("p"), { className: "muted small", textContent: "No filter has been saved yet." }), saveForm());
}

function saveForm() {
  const form = Object.assign(document.createElement("form"), { className: "label-save-filter" });
  const name = Object.assign(document.createElement("input"), { className: "input", required: true, maxLength: 60, placeholder: state.filter ? `Name for “${state.filter.slice(0, 24)}”` : "Type a filter first", ariaLabel: "Name of the filter", disabled: !state.filter });
  form.append(name, Object.assign(document.createElement("button"), { type: "submit", className: "button small", textContent: "Save this filter", disabled: !state.filter }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await ask(`${state.url}/label/filters`, { form: { name: name.value, text: state.filter } });
    if (answer.status !== 200) toast(`The filter was not saved: ${reason(answer)}.`, "bad");
    else name.value = "";
    drawSaved();
  });
  return form;
}

// One works where the filter has led, also if its answer comes only now.
function settle() {
  if (document.activeElement === input) return true;
  if (!isBroken) settleHere();
  else if (document.activeElement === byId("grid")) focus();
  return !isBroken;
}

export function start() {
  byId("filter-clear").addEventListener("click", () => {
    byId("grid").focus({ preventScroll: true });
    set("");
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    isDue = true;
    timer = setTimeout(load, DELAY_MS);
  });
  input.addEventListener("blur", () => {
    settleHere();
    if (isDue) load().then(() => isBroken || document.activeElement === input || settleHere());
  });
  byId("filter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (isBroken && input.value === readText) return;
    isDue = false;
    // The next key is a command already; where the filter turns out to be a mistake, it has nothing to be about.
    byId("grid").focus({ preventScroll: true });
    hold(load().then(settle));
  });
  byId("facets-open").addEventListener("click", facets);
  byId("saved-open").addEventListener("click", saved);
  byId("open-bulk").addEventListener("click", (event) => isBroken && event.preventDefault());
  on("marked", links);
  on("index", () => !byId("facets").hidden && drawFacets());
}
