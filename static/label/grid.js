// The list of images: a window on tens of thousands. Only tiles in sight stand in the page; their pictures load once the list rests.
import { stateOf, textOf } from "./saving.js";
import { want } from "./rows.js";
import { byId, mark, on, show, state } from "./state.js";

const TILE = 96;
const GAP = 6;
const OVER = 2;
const REST_MS = 60;
const list = byId("grid");
const canvas = byId("grid-canvas");
const tiles = new Map();
const spare = [];
let columns = 2;
let rest = 0;
let isDue = false;

const rowHeight = () => side() + GAP;
const side = () => Math.floor((list.clientWidth - GAP * (columns + 1)) / columns);

function measure() {
  columns = Math.max(1, Math.floor((list.clientWidth - GAP) / (TILE + GAP)));
  canvas.style.height = `${Math.ceil(state.ids.length / columns) * rowHeight() + GAP}px`;
  draw();
}

function draw() {
  const top = Math.max(0, Math.floor(list.scrollTop / rowHeight()) - OVER);
  const bottom = Math.ceil((list.scrollTop + list.clientHeight) / rowHeight()) + OVER;
  const [first, last] = [top * columns, Math.min(state.ids.length, bottom * columns)];
  const shown = new Set(state.ids.slice(first, last));
  for (const [id, tile] of tiles) if (!shown.has(id)) recycle(id, tile);
  for (let at = first; at < last; at += 1) put(state.ids[at], at);
  want("seen", state.ids.slice(first, last));
  clearTimeout(rest);
  rest = setTimeout(loadPictures, REST_MS);
}

function recycle(id, tile) {
  // Without its address a picture that is still on its way is given up.
  tile.picture.removeAttribute("src");
  tile.root.remove();
  tiles.delete(id);
  spare.push(tile);
}

function make() {
  const root = document.createElement("div");
  root.className = "label-tile";
  root.role = "option";
  const picture = Object.assign(document.createElement("img"), { alt: "", decoding: "async", draggable: false });
  const marks = Object.assign(document.createElement("span"), { className: "label-marks" });
  root.append(picture, marks);
  return { root, picture, marks };
}

function put(id, at) {
  let tile = tiles.get(id);
  if (!tile) {
    tile = spare.pop() ?? make();
    tiles.set(id, tile);
    tile.root.dataset.id = id;
    tile.root.id = `tile-${id}`;
    canvas.append(tile.root);
    fill(id, tile);
  }
  const [x, y] = [GAP + (at % columns) * (side() + GAP), GAP + Math.floor(at / columns) * rowHeight()];
  tile.root.style.transform = `translate(${x}px, ${y}px)`;
  tile.root.style.width = tile.root.style.height = `${side()}px`;
  tile.root.setAttribute("aria-posinset", at + 1);
  tile.root.setAttribute("aria-setsize", state.ids.length);
}

const SIGNS = { failed: ["!", "not saved", "bad"], refused: ["!", "not saved", "bad"], conflict: ["≠", "changed by somebody else", "bad"], pending: ["…", "saving", ""] };

function fill(id, tile) {
  const row = state.rows.get(id);
  tile.root.ariaSelected = String(state.marked.has(id));
  tile.root.classList.toggle("current", id === state.current);
  if (row) {
    const words = [];
    if (SIGNS[stateOf(id)]) words.push(SIGNS[stateOf(id)]);
    if (!textOf(id).trim()) words.push(["∅", "no caption", "warn"]);
    if (row.reviewed_by) words.push(["✓", `reviewed by ${row.reviewed_by}`, "ok"]);
    if (row.split !== "train") words.push(["H", "held out", ""]);
    if (row.repeats > 1) words.push([`${row.repeats}×`, `${row.repeats} repeats`, ""]);
    if (row.badges.includes("masked")) words.push(["M", "has a mask", ""]);
    if (row.suggestions) words.push(["?", `${row.suggestions} suggestions`, ""]);
    tile.marks.replaceChildren(...words.map(([sign, title, tone]) => Object.assign(document.createElement("span"), { className: `label-mark ${tone}`, textContent: sign, title })));
    tile.root.ariaLabel = [row.name, ...words.map((each) => each[1])].join(", ");
    tile.root.title = row.name;
  } else {
    tile.marks.replaceChildren();
    tile.root.ariaLabel = "Loading";
    tile.root.removeAttribute("title");
  }
}

function loadPictures() {
  for (const [id, tile] of tiles) {
    const thumb = state.rows.get(id)?.thumb;
    if (thumb && tile.picture.getAttribute("src") !== thumb) tile.picture.src = thumb;
  }
}

function redraw(id) {
  const tile = tiles.get(id);
  if (!tile) return;
  fill(id, tile);
  clearTimeout(rest);
  rest = setTimeout(loadPictures, REST_MS);
}

// Brings the image that is shown into sight.
export function reveal(id = state.current) {
  const at = state.places.get(id);
  if (at === undefined) return;
  const top = Math.floor(at / columns) * rowHeight();
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + rowHeight() + GAP > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() + GAP - list.clientHeight;
  list.setAttribute("aria-activedescendant", `tile-${id}`);
}

export const columnCount = () => columns;

list.addEventListener("scroll", () => {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}, { passive: true });

canvas.addEventListener("click", (event) => {
  const id = Number(event.target.closest(".label-tile")?.dataset.id);
  if (!id) return;
  if (event.ctrlKey || event.metaKey) return mark(id, !state.marked.has(id));
  if (event.shiftKey) for (const each of between(state.current, id)) mark(each, true);
  show(id);
});

export function between(from, to) {
  const [a, b] = [state.places.get(from) ?? 0, state.places.get(to) ?? 0];
  return state.ids.slice(Math.min(a, b), Math.max(a, b) + 1);
}

export function start() {
  new ResizeObserver(measure).observe(list);
  on("index", () => {
    measure();
    reveal();
  });
  on("row", redraw);
  on("saving", redraw);
  on("marked", () => [...tiles.keys()].forEach(redraw));
  let last = 0;
  on("current", ({ id }) => {
    reveal(id);
    for (const each of [last, id]) redraw(each);
    last = id;
  });
}
