// The mask editor. The canvas is red where nothing is learned: how opaque its pixels are is the mask, upside down.
import { returnToMine, showClash } from "./mask-clash.js";
import { fetched, packed } from "./mask-file.js";
import { hold } from "./turns.js";

const byId = (id) => document.getElementById(id);
const canvas = byId("mask-canvas");
const picture = byId("mask-picture");
const cursor = byId("mask-cursor");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const { width: W, height: H } = canvas;
const RED = "#ff2020";
const STEPS_BACK = 20;
const STROKE_LIKE = 24;

let tool = "brush";
let paints = "ignore";
let last = null;
let isChanged = false;
let isSaving = false;
// A mask that is there and could not be read must not be overwritten by an empty one.
let isUnread = false;
// What is done while a mask is on its way happens once it is there.
let coming = Promise.resolve();
let colours = null;
// What was undone waits in `undone`: together they hold no more than STEPS_BACK masks.
const past = [];
const undone = [];
const at = { x: W / 2, y: H / 2 };
const value = (id) => Number(byId(id).value);

// The mask as numbers, 255 where nothing is learned
function leftOut() {
  const pixels = pen.getImageData(0, 0, W, H).data;
  return Uint8ClampedArray.from({ length: W * H }, (_, place) => pixels[4 * place + 3]);
}

function put(values) {
  const made = pen.createImageData(W, H);
  for (let place = 0; place < values.length; place += 1) made.data.set([255, 32, 32, values[place]], 4 * place);
  pen.globalCompositeOperation = "source-over";
  pen.putImageData(made, 0, 0);
}

function remember() {
  past.push(leftOut());
  if (past.length > STEPS_BACK) past.shift();
  undone.length = 0;
  isChanged = true;
  tell();
}

// A button that has the focus and goes out of use would keep the keys to itself.
function enable(id, isOfUse) {
  const hadFocus = document.activeElement === byId(id);
  byId(id).disabled = !isOfUse;
  if (hadFocus && !isOfUse) canvas.focus({ preventScroll: true });
}

function tell() {
  enable("mask-undo", past.length);
  enable("mask-redo", undone.length);
  const values = leftOut();
  let sum = 0;
  for (let place = 0; place < values.length; place += 7) sum += values[place];
  const share = Math.round((100 * sum * 7) / (255 * values.length));
  byId("mask-state").textContent = sum ? `${Math.max(1, share)} % of the image is not learned` : "No mask: all of the image is learned";
}

// Brush
function stamp(x, y) {
  const radius = value("size") / 2;
  const soft = pen.createRadialGradient(x, y, radius * (1 - value("soft") / 100), x, y, radius);
  soft.addColorStop(0, RED);
  soft.addColorStop(1, `${RED}00`);
  pen.globalCompositeOperation = paints === "ignore" ? "source-over" : "destination-out";
  pen.fillStyle = value("soft") ? soft : RED;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
}

function stroke(from, to) {
  const count = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / Math.max(1, value("size") / 8)));
  for (let step = 1; step <= count; step += 1) stamp(from.x + ((to.x - from.x) * step) / count, from.y + ((to.y - from.y) * step) / count);
}

// Fill and by colour
function pictureColours() {
  if (colours) return colours;
  const copy = new OffscreenCanvas(W, H).getContext("2d");
  copy.drawImage(picture, 0, 0, W, H);
  colours = copy.getImageData(0, 0, W, H).data;
  return colours;
}

function fill(x, y, isEverywhere) {
  const seen = pictureColours();
  const values = leftOut();
  const start = Math.floor(y) * W + Math.floor(x);
  const tolerance = value("tolerance");
  const wanted = paints === "ignore" ? 255 : 0;
  const [red, green, blue] = seen.slice(4 * start, 4 * start + 3);
  const painted = values[start];
  const isLike = (place) => Math.max(Math.abs(seen[4 * place] - red), Math.abs(seen[4 * place + 1] - green), Math.abs(seen[4 * place + 2] - blue)) <= tolerance;
  if (isEverywhere) {
    for (let place = 0; place < values.length; place += 1) if (isLike(place)) values[place] = wanted;
    return put(values);
  }
  const done = new Uint8Array(values.length);
  const open = [start];
  while (open.length) {
    const place = open.pop();
    if (done[place]) continue;
    done[place] = 1;
    // What is painted already is a fence, so that an outline can be filled.
    if (!isLike(place) || Math.abs(values[place] - painted) > STROKE_LIKE) continue;
    values[place] = wanted;
    const column = place % W;
    if (column) open.push(place - 1);
    if (column < W - 1) open.push(place + 1);
    if (place >= W) open.push(place - W);
    if (place < values.length - W) open.push(place + W);
  }
  put(values);
}

function use() {
  remember();
  if (tool === "brush") stamp(at.x, at.y);
  else fill(Math.min(at.x, W - 1), Math.min(at.y, H - 1), tool === "colour");
}

// Pointer
// The part of the canvas element that the picture fills: the rest is empty, to keep its shape.
function drawnBox() {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / W, box.height / H);
  return { scale, left: box.left + (box.width - W * scale) / 2, top: box.top + (box.height - H * scale) / 2 };
}

function follow(event) {
  const { scale, left, top } = drawnBox();
  at.x = Math.max(0, Math.min(W - 1, (event.clientX - left) / scale));
  at.y = Math.max(0, Math.min(H - 1, (event.clientY - top) / scale));
  showCursor();
}

function showCursor() {
  const [{ scale, left, top }, outer] = [drawnBox(), byId("mask-stage").getBoundingClientRect()];
  const side = tool === "brush" ? value("size") * scale : 9;
  cursor.hidden = false;
  Object.assign(cursor.style, { width: `${side}px`, height: `${side}px`, left: `${left - outer.left + at.x * scale - side / 2}px`, top: `${top - outer.top + at.y * scale - side / 2}px` });
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  follow(event);
  canvas.setPointerCapture(event.pointerId);
  coming.then(() => {
    use();
    last = { ...at };
  });
});
canvas.addEventListener("pointermove", (event) => {
  follow(event);
  if (!last || tool !== "brush") return;
  stroke(last, at);
  last = { ...at };
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => coming.then(() => {
    if (last) tell();
    last = null;
  }));
}
canvas.addEventListener("pointerleave", () => !last && (cursor.hidden = true));

// Keyboard: the arrows move the brush, Space paints.
canvas.addEventListener("keydown", (event) => {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  if (!dx && !dy && event.key !== " ") return;
  event.preventDefault();
  const by = event.shiftKey ? 1 : Math.max(1, value("size") / 4);
  at.x = Math.max(0, Math.min(W - 1, at.x + dx * by));
  at.y = Math.max(0, Math.min(H - 1, at.y + dy * by));
  showCursor();
  if (event.key !== " ") return;
  use();
  tell();
});
canvas.addEventListener("focus", showCursor);
canvas.addEventListener("blur", () => (cursor.hidden = true));

// Buttons
// What the tool makes no use of is away, also for keys.
function show(chosen) {
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(chosen);
  if (!cursor.hidden) showCursor();
}

function choose(name, chosen) {
  for (const button of document.querySelectorAll(`[data-${name}]`)) button.setAttribute("aria-pressed", String(button.dataset[name] === chosen));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.tool) {
    choose("tool", (tool = button.dataset.tool));
    show(tool);
  }
  if (button?.dataset.paints) choose("paints", (paints = button.dataset.paints));
  if (button?.dataset.size) {
    byId("size").value = value("size") + Number(button.dataset.size);
    byId("size").dispatchEvent(new Event("input"));
  }
});
for (const id of ["size", "soft", "tolerance"]) {
  byId(id).addEventListener("input", () => (document.querySelector(`output[for=${id}]`).textContent = byId(id).value));
  // Once a pointer lets go of a slider, keys are the page's again.
  byId(id).addEventListener("pointerdown", () => addEventListener("pointerup", () => canvas.focus({ preventScroll: true }), { once: true }));
}
const press = (id, work) => byId(id)?.addEventListener("click", () => coming.then(work).then(tell));
function go(from, to) {
  if (!from.length) return;
  to.push(leftOut());
  put(from.pop());
}
press("mask-undo", () => go(past, undone));
press("mask-redo", () => go(undone, past));
function step(values) {
  remember();
  put(values);
  tell();
}
press("mask-invert", () => step(leftOut().map((each) => 255 - each)));
press("mask-clear", () => step(new Uint8ClampedArray(W * H)));

// Asks for a mask; keys wait for it.
function come(address, use) {
  coming = Promise.all([coming, fetched(address, W, H)]).then(([, values]) => use(values)).then(tell);
  hold(coming);
}

function start(address, lacks) {
  come(address, (values) => (values ? step(values) : say(lacks)));
}
byId("mask-alpha").addEventListener("click", () => start(canvas.dataset.alpha, "This image has no transparent parts."));
byId("mask-subject")?.addEventListener("click", () => start(canvas.dataset.subject, "What the model found is there no more."));

const say = (text, tone = "warn") => document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone } }));

// Saving
async function save() {
  if (isUnread) return say("The mask that this image has could not be read. Load the page again before you change it.", "bad");
  returnToMine();
  const body = new FormData(byId("mask-form"));
  body.append("is_drawn", "1");
  body.append("mask", await packed(leftOut(), W, H), "mask.png");
  const answer = await fetch(byId("mask-form").action, { method: "POST", body, headers: { "HX-Request": "true", "X-LoRA-Studio": "1" } }).catch(() => null);
  if (answer?.ok) {
    isChanged = false;
    return location.assign(answer.headers.get("HX-Redirect"));
  }
  const told = answer && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-error], [role=alert]");
  if (told?.dataset.seen !== undefined) return showClash(told, { W, H, leftOut, step, come, say });
  const words = [...(told?.querySelectorAll("p:not(.message-title)") ?? [])].map((each) => each.textContent.trim());
  const why = answer ? `LoRA Studio did not take it (${answer.status})` : "LoRA Studio does not answer";
  say(words.filter(Boolean).join(" ") || `Not saved: ${why}. Your drawing is still here.`, "bad");
}

byId("mask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (isSaving) return;
  isSaving = true;
  coming.then(save).finally(() => (isSaving = false));
});
addEventListener("beforeunload", (event) => isChanged && event.preventDefault());
if (canvas.dataset.mask) {
  come(canvas.dataset.mask, (values) => {
    isUnread = !values;
    if (values) put(values);
  });
}
