// The crop page: the box is drawn, moved by keys and typed here; where it would train is asked of the code that trains.
import { given, grips, grown, inside, largest, placed, pulled, reshaped, stepOf, stepped } from "./crop-box.js";
import { hold } from "./turns.js";

const byId = (id) => document.getElementById(id);
const ASK_MS = 80;
const GRIP_PX = 14;
const MOST_STEP = 16;
const NAMES = ["left", "top", "width", "height"];

const [stage, form] = [byId("crop-stage"), byId("crop-form")];
const whole = [stage.viewBox.baseVal.width, stage.viewBox.baseVal.height];
const fields = NAMES.map((name) => form.elements[name]);

let box = fields.map((field) => Number(field.value));
// The box as it is stored; null where one could not be saved, since somebody else had changed the image.
let saved = document.querySelector(".clash") ? null : box;
// The field that is being typed in: it is left alone until the number is given; `from` is the box before it.
let typing = null;
let drag = null;
// False while the shape is that of the bucket, and the box has yet to be put into it.
let isSnapped = true;
let snapping = null;
let isShift = false;
let timer = 0;
let asked = 0;

const shape = () => byId("ratio").value;
const isBucket = () => shape() === "bucket";
const ratio = () => (/:/.test(shape()) ? shape().split(":").reduce((a, b) => a / b) : 0);
// What a given size keeps to: a snapped box goes on in its own shape.
const kept = (from) => (isBucket() ? from[2] / from[3] : ratio());
const say = (text, tone = "warn") => document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone } }));

function put(next, isInBucket = false) {
  box = inside(next, whole);
  isSnapped = isInBucket || !isBucket();
  draw();
  clearTimeout(timer);
  timer = setTimeout(() => (isSnapped || drag || typing ? ask() : snap()), ASK_MS);
}

function setBox(element, [x, y, width, height]) {
  for (const [name, value] of Object.entries({ x, y, width, height })) element.setAttribute(name, value);
}

function draw() {
  const [[x, y, w, h], [W, H]] = [box, whole];
  fields.forEach((field, at) => field !== typing?.field && (field.value = box[at]));
  const step = isBucket() && isSnapped ? stepOf(box) : null;
  for (const [field, by] of [[fields[2], step?.w], [fields[3], step?.h]]) field.min = field.step = by ?? 1;
  setBox(byId("crop-box"), box);
  byId("crop-outside").setAttribute("d", `M0 0H${W}V${H}H0ZM${x} ${y}h${w}v${h}h${-w}Z`);
  byId("crop-thirds").setAttribute("d", [1, 2].map((n) => `M${x + (w * n) / 3} ${y}v${h}M${x} ${y + (h * n) / 3}h${w}`).join(""));
  byId("crop-handles").setAttribute("d", grips(box).map(([gx, gy]) => `M${gx} ${gy}h0.01`).join(""));
  byId("crop-kept").setAttribute("width", 0);
  byId("crop-size").textContent = `${w} × ${h}`;
}

// Where the box would train, and the box that loses nothing.
async function ask() {
  clearTimeout(timer);
  const turn = ++asked;
  const about = box;
  const query = new URLSearchParams(NAMES.map((name, at) => [name, about[at]]));
  const answer = await fetch(`${stage.dataset.fit}?${query}`, { headers: { "HX-Request": "true", "X-LoRA-Studio": "1" } }).catch(() => null);
  const text = answer?.ok ? await answer.text().catch(() => null) : null;
  if (text === null || turn !== asked) return null;
  const made = new DOMParser().parseFromString(text, "text/html").querySelector("[data-kept]");
  byId("crop-fit").replaceChildren(document.adoptNode(made));
  const inBucket = made.dataset.kept.split(" ").map(Number);
  setBox(byId("crop-kept"), [about[0] + inBucket[0], about[1] + inBucket[1], inBucket[2], inBucket[3]]);
  return made.dataset.snapped.split(" ").map(Number);
}

// Puts the box where its bucket loses nothing, about its middle, or at the place that was given. The next key is about
// the snapped box.
function snap(isPlaced = false) {
  isSnapped = !isBucket();
  const done = ask().then((found) => {
    if (!found || drag) return;
    const next = isPlaced ? placed(box, found, whole) : found;
    if (!typing) return put(next, true);
    typing.from = next;
    preview();
  });
  const mine = done.finally(() => (snapping = snapping === mine ? null : snapping));
  snapping = mine;
  hold(mine);
}

// Typing: the box follows, the field that is typed in is left alone until its number is given.
function preview() {
  const { field, at, from } = typing;
  if (Number.isFinite(field.valueAsNumber)) put(given(from, at, field.valueAsNumber, kept(from), whole));
}

function commit() {
  if (!typing) return;
  const { field, from } = typing;
  const isGiven = Number.isFinite(field.valueAsNumber);
  typing = null;
  put(isGiven ? box : from);
  if (isBucket()) snap(true);
}

fields.forEach((field, at) => {
  field.addEventListener("input", () => {
    if (typing?.field !== field) commit();
    typing ??= { field, at, from: box };
    preview();
  });
  for (const name of ["change", "blur"]) field.addEventListener(name, commit);
});

// What is typed is cut to the picture when it is sent, so no number is refused.
form.noValidate = true;
form.addEventListener("submit", (event) => {
  commit();
  if (isSnapped && !snapping) return void (saved = box);
  event.preventDefault();
  if (!snapping) snap();
  snapping.then(() => (isSnapped ? form.requestSubmit() : say("Not applied: where the box would train is not known. Try again, or choose another shape.", "bad")));
});
addEventListener("beforeunload", (event) => {
  if (!saved || box.some((each, at) => each !== saved[at])) event.preventDefault();
});
// Whoever takes the other's has been asked.
document.querySelector(".clash a")?.addEventListener("click", () => (saved = box));

// Pointer
const toPicture = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  commit();
  const point = toPicture(event);
  const [x, y, w, h] = box;
  const reach = GRIP_PX / stage.getScreenCTM().a;
  const grip = grips(box).find(([gx, gy]) => Math.hypot(point.x - gx, point.y - gy) <= reach);
  const isInside = point.x > x && point.y > y && point.x < x + w && point.y < y + h;
  const isAll = w >= whole[0] && h >= whole[1];
  if (grip) drag = { box, grip: [grip[2], grip[3]] };
  else if (isInside && !isAll) drag = { box, from: point };
  else drag = { box: inside([point.x, point.y, 1, 1], whole), grip: [1, 1] };
  drag.isSnapped = isSnapped;
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const point = toPicture(event);
  const { from, grip, isSnapped: wasSnapped } = drag;
  if (grip) return put(pulled(drag.box, grip, point, ratio(), whole));
  put([drag.box[0] + point.x - from.x, drag.box[1] + point.y - from.y, drag.box[2], drag.box[3]], wasSnapped);
});
for (const name of ["pointerup", "pointercancel"]) {
  stage.addEventListener(name, () => {
    drag = null;
    if (!isSnapped) snap();
  });
}

// Keys and buttons
document.addEventListener("keydown", (event) => (isShift = event.shiftKey), { capture: true });
document.addEventListener("click", (event) => {
  const move = event.target.closest("[data-move]")?.dataset.move;
  if (!move) return;
  // A key that presses the button tells of Shift only here.
  const by = (event.detail ? event.shiftKey : isShift) ? MOST_STEP : 1;
  const [x, y, w, h] = box;
  const sized = { smaller: -by, larger: by }[move];
  if (!sized) return put([x + ({ left: -by, right: by }[move] ?? 0), y + ({ up: -by, down: by }[move] ?? 0), w, h], isSnapped);
  const next = isBucket() && isSnapped ? stepped(box, sized, whole) : null;
  put(next ?? grown(box, sized, kept(box), whole), Boolean(next));
});
byId("snap").addEventListener("click", () => {
  // What loses nothing is seldom of exactly the chosen shape.
  if (ratio()) byId("ratio").value = "bucket";
  snap();
});
byId("crop-suggested")?.addEventListener("click", (event) => {
  byId("ratio").value = "free";
  put(event.currentTarget.dataset.box.split(" ").map(Number));
});
byId("crop-all").addEventListener("click", () => {
  put(largest(ratio(), whole));
  if (isBucket()) snap();
});
byId("ratio").addEventListener("change", () => {
  if (isBucket()) snap();
  else put(ratio() ? reshaped(box, ratio(), whole) : box);
});
draw();
ask();
