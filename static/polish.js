// Polishing: straightening by keys is saved after a pause; the crop box is drawn here, its numbers come from the server.
import { hold } from "./turns.js";

const byId = (id) => document.getElementById(id);
const SAVE_MS = 500;
const ASK_MS = 80;
const GRIP_PX = 14;
const MOST_STEP = 16;

// Steps: one at a time, since each is done to what the one before it left; the others wait their turn.
const queue = [];
let isBusy = false;
let waiting = 0;
let degrees = null;
let goesTo = null;

document.addEventListener(
  "submit",
  (event) => {
    if (event.target.id !== "steps") return;
    const step = event.submitter?.value ?? "straighten";
    if (isBusy) {
      event.preventDefault();
      event.stopImmediatePropagation();
      queue.push(step);
    } else if (step === "straighten") degrees = null;
  },
  { capture: true },
);
document.addEventListener("htmx:before:request", (event) => (isBusy ||= event.target.id === "steps"));
document.addEventListener("htmx:finally:request", (event) => {
  if (event.target.id !== "steps") return;
  isBusy = false;
  if (degrees !== null) byId("degrees").value = degrees;
  if (sendNext()) return;
  if (goesTo !== null) location.assign(goesTo);
  else if (degrees !== null) sendLater();
});

// Whoever leads on to another page takes along what waits.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]:not([download], [target])");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || event.defaultPrevented || !byId("steps") || (!isBusy && degrees === null)) return;
  event.preventDefault();
  goesTo = link.href;
  if (degrees !== null) queue.push("straighten");
  if (!isBusy) sendNext();
});

function send(step) {
  const button = document.querySelector(`#steps button[value=${step}]`);
  if (button) byId("steps").requestSubmit(button);
  return Boolean(button);
}

// A step that is there no more is passed over.
const sendNext = () => queue.length > 0 && (send(queue.shift()) || sendNext());

// Straightening: the degrees grow with every press, and are sent once the presses stop.
function straighten(by) {
  const field = byId("degrees");
  const most = Number(field.max);
  field.value = Math.round(Math.max(-most, Math.min(most, Number(field.value) + by)) * 100) / 100;
  degrees = field.value;
  sendLater();
}

function sendLater() {
  clearTimeout(waiting);
  waiting = setTimeout(() => !isBusy && degrees !== null && send("straighten"), SAVE_MS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-degrees]");
  if (button) straighten(Number(button.dataset.degrees));
});
document.addEventListener("change", (event) => {
  if (event.target.matches("#background, #alpha")) send("colour");
  if (event.target.id !== "degrees") return;
  degrees = event.target.value;
  sendLater();
});

// What a person looks at stays so when the page draws itself anew after a step.
let shown = {};
document.addEventListener("htmx:before:swap", () => {
  for (const box of document.querySelectorAll(".polish-bar input")) shown[box.id] = box.checked;
});
document.addEventListener("htmx:after:swap", () => {
  for (const [id, isChecked] of Object.entries(shown)) if (byId(id)) byId(id).checked = isChecked;
});

// The crop box
const stage = byId("crop-stage");
if (stage) {
  const form = byId("crop-form");
  const { width: W, height: H } = stage.viewBox.baseVal;
  const names = ["left", "top", "width", "height"];
  let isShift = false;
  let timer = 0;
  let asked = 0;
  let drag = null;

  const read = () => names.map((name) => Math.round(Number(form.elements[name].value) || 0));
  const toPicture = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());
  const clamp = (value, least, most) => Math.max(least, Math.min(most, value));
  const shape = () => byId("ratio").value;
  const ratio = () => (/:/.test(shape()) ? shape().split(":").reduce((a, b) => a / b) : 0);

  function put(box) {
    const width = clamp(Math.round(box[2]), 1, W);
    const height = clamp(Math.round(box[3]), 1, H);
    const values = [clamp(Math.round(box[0]), 0, W - width), clamp(Math.round(box[1]), 0, H - height), width, height];
    names.forEach((name, at) => (form.elements[name].value = values[at]));
    draw();
    clearTimeout(timer);
    timer = setTimeout(ask, ASK_MS);
  }

  function setBox(element, [x, y, width, height]) {
    for (const [name, value] of Object.entries({ x, y, width, height })) element.setAttribute(name, value);
  }

  function draw() {
    const [x, y, w, h] = read();
    setBox(byId("crop-box"), [x, y, w, h]);
    byId("crop-outside").setAttribute("d", `M0 0H${W}V${H}H0ZM${x} ${y}h${w}v${h}h${-w}Z`);
    byId("crop-thirds").setAttribute("d", [1, 2].map((n) => `M${x + (w * n) / 3} ${y}v${h}M${x} ${y + (h * n) / 3}h${w}`).join(""));
    byId("crop-handles").setAttribute("d", grips([x, y, w, h]).map(([gx, gy]) => `M${gx} ${gy}h0.01`).join(""));
    byId("crop-kept").setAttribute("width", 0);
    byId("crop-size").textContent = `${w} × ${h}`;
  }

  const grips = ([x, y, w, h]) => [0, 0.5, 1].flatMap((fx) => [0, 0.5, 1].filter((fy) => fx !== 0.5 || fy !== 0.5).map((fy) => [x + fx * w, y + fy * h, fx, fy]));

  // Where the box would train, and the box that loses nothing: asked of the code that trains.
  async function ask() {
    clearTimeout(timer);
    const turn = ++asked;
    const box = read();
    const query = new URLSearchParams(names.map((name, at) => [name, box[at]]));
    const answer = await fetch(`${stage.dataset.fit}?${query}`, { headers: { "HX-Request": "true", "X-LoRA-Studio": "1" } }).catch(() => null);
    if (!answer?.ok || turn !== asked) return null;
    const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-kept]");
    byId("crop-fit").replaceChildren(document.adoptNode(made));
    const kept = made.dataset.kept.split(" ").map(Number);
    setBox(byId("crop-kept"), [box[0] + kept[0], box[1] + kept[1], kept[2], kept[3]]);
    return made.dataset.snapped.split(" ").map(Number);
  }

  // The next key is about the snapped box.
  const snap = () => hold(ask().then((box) => box && put(box)));

  // A box of the wanted shape: as large as the dragged one, and inside the picture.
  function shaped([x, y, w, h], [fixedX, fixedY] = [x + w / 2, y + h / 2], [fx, fy] = [0.5, 0.5]) {
    const wanted = ratio();
    if (!wanted) return [x, y, w, h];
    let width = Math.max(w, h * wanted);
    width = Math.min(width, W, H * wanted);
    if (fx !== 0.5) width = Math.min(width, fx ? fixedX : W - fixedX);
    if (fy !== 0.5) width = Math.min(width, (fy ? fixedY : H - fixedY) * wanted);
    const height = width / wanted;
    return [fixedX - fx * width, fixedY - fy * height, width, height];
  }

  function pulled(point) {
    const [fx, fy] = drag.grip;
    const [x, y, w, h] = drag.box;
    const [px, py] = [clamp(point.x, 0, W), clamp(point.y, 0, H)];
    const anchor = [x + (1 - fx) * w, y + (1 - fy) * h];
    const spanX = fx === 0.5 ? [x, x + w] : [anchor[0], px].sort((a, b) => a - b);
    const spanY = fy === 0.5 ? [y, y + h] : [anchor[1], py].sort((a, b) => a - b);
    // The side that stays is the one the pointer is not on.
    const stays = [fx === 0.5 ? 0.5 : px < anchor[0] ? 1 : 0, fy === 0.5 ? 0.5 : py < anchor[1] ? 1 : 0];
    const fixed = [fx === 0.5 ? x + w / 2 : anchor[0], fy === 0.5 ? y + h / 2 : anchor[1]];
    return shaped([spanX[0], spanY[0], Math.max(1, spanX[1] - spanX[0]), Math.max(1, spanY[1] - spanY[0])], fixed, stays);
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const point = toPicture(event);
    const box = read();
    const reach = GRIP_PX / stage.getScreenCTM().a;
    const grip = grips(box).find(([x, y]) => Math.hypot(point.x - x, point.y - y) <= reach);
    const isInside = point.x > box[0] && point.y > box[1] && point.x < box[0] + box[2] && point.y < box[1] + box[3];
    const isAll = box[2] >= W && box[3] >= H;
    if (grip) drag = { box, grip: [grip[2], grip[3]] };
    else if (isInside && !isAll) drag = { box, from: point };
    else drag = { box: [clamp(point.x, 0, W - 1), clamp(point.y, 0, H - 1), 1, 1], grip: [1, 1], isNew: true };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const point = toPicture(event);
    if (drag.from) put([drag.box[0] + point.x - drag.from.x, drag.box[1] + point.y - drag.from.y, drag.box[2], drag.box[3]]);
    else put(pulled(point));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, () => {
      if (drag && shape() === "bucket") snap();
      drag = null;
    });
  }

  // Keys and buttons
  document.addEventListener("keydown", (event) => (isShift = event.shiftKey), { capture: true });
  document.addEventListener("click", (event) => {
    const move = event.target.closest("[data-move]")?.dataset.move;
    if (!move) return;
    const by = isShift || event.shiftKey ? MOST_STEP : 1;
    const [x, y, w, h] = read();
    const sized = { smaller: -by, larger: by }[move];
    if (!sized) return put([x + ({ left: -by, right: by }[move] ?? 0), y + ({ up: -by, down: by }[move] ?? 0), w, h]);
    const scale = Math.max(1, w + 2 * sized) / w;
    put([x + (w - w * scale) / 2, y + (h - h * scale) / 2, w * scale, h * scale]);
  });
  byId("snap").addEventListener("click", snap);
  byId("crop-suggested")?.addEventListener("click", (event) => {
    byId("ratio").value = "free";
    put(event.currentTarget.dataset.box.split(" ").map(Number));
  });
  byId("crop-all").addEventListener("click", () => put(shaped([0, 0, W, H])));
  byId("ratio").addEventListener("change", () => (shape() === "bucket" ? snap() : put(shaped(read()))));
  for (const name of names) form.elements[name].addEventListener("input", () => form.elements[name].value && put(read()));
  draw();
  ask();
}

document.addEventListener("change", (event) => event.target.matches("[data-submits]") && event.target.form.requestSubmit());

// Whoever leaves within the pause has straightened all the same.
addEventListener("pagehide", () => {
  const form = byId("steps");
  if (degrees === null || isBusy || !form) return;
  const body = new URLSearchParams({ step: "straighten", revision: form.elements.revision.value, degrees });
  fetch(form.action, { method: "POST", body, keepalive: true, headers: { "X-LoRA-Studio": "1" }, redirect: "manual" }).catch(() => {});
});
