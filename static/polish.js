// Polishing: one step after the other; straightening by keys is saved after a pause.
const byId = (id) => document.getElementById(id);
const SAVE_MS = 500;

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
    // What was straightened and is not saved yet is the latest step: it is saved before it is undone.
    const isLate = step === "undo" && degrees !== null;
    if (isBusy || isLate) {
      event.preventDefault();
      event.stopImmediatePropagation();
      queue.push(...(isLate ? ["straighten", step] : [step]));
      if (!isBusy) sendNext();
    } else if (step === "straighten") degrees = null;
  },
  { capture: true },
);
document.addEventListener("htmx:before:request", (event) => (isBusy ||= event.target.id === "steps"));
document.addEventListener("htmx:finally:request", (event) => {
  if (event.target.id !== "steps") return;
  isBusy = false;
  // Somebody else's change is shown; what was pressed before was not about it.
  if (event.detail.ctx.response?.status === 409) [queue.length, degrees, goesTo] = [0, null, null];
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
  if (!isBusy && !sendNext()) location.assign(goesTo);
});

function send(step) {
  const button = document.querySelector(`#steps button[value=${step}]:not(:disabled)`);
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
  byId("undo").disabled = false;
  clearTimeout(waiting);
  waiting = setTimeout(() => !isBusy && degrees !== null && send("straighten"), SAVE_MS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-degrees]");
  if (button) straighten(Number(button.dataset.degrees));
});
document.addEventListener("change", (event) => {
  if (event.target.matches("#background, #alpha")) send("colour");
  if (event.target.id === "degrees") give(event.target);
});

// A typed angle counts as far as one can turn; what is no number is dropped.
function give(field) {
  const say = (text) => document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone: "warn" } }));
  const most = Number(field.max);
  const typed = field.validity.badInput ? Number.NaN : Number(field.value);
  const counts = Number.isNaN(typed) ? (degrees ?? field.defaultValue) : Math.max(-most, Math.min(most, typed));
  if (Number.isNaN(typed)) say(`That is no angle: ${counts}° stays.`);
  else if (counts !== typed) say(`Straightening goes to ${most}° either way: ${counts}° it is.`);
  field.value = counts;
  if (Number.isNaN(typed)) return;
  degrees = field.value;
  sendLater();
}

// What a person looks at stays so when the page draws itself anew after a step.
let shown = {};
let old = null;
let left = null;
document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
  for (const box of document.querySelectorAll(".polish-bar input")) shown[box.id] = box.checked;
  left = document.activeElement?.closest("#steps") ? document.activeElement : null;
  if (ctx.swap !== "none" && ctx.text.includes('id="picture-after"')) keepOld(ctx.text);
});
document.addEventListener("htmx:after:swap", () => {
  for (const [id, isChecked] of Object.entries(shown)) if (byId(id)) byId(id).checked = isChecked;
  goOn();
});

// Until the new picture has come the old one stays, in its own shape, without the bucket: what is drawn over it is the new one's.
const addressOf = (picture) => picture.querySelector("image").getAttribute("href");

function keepOld(text) {
  const now = byId("picture-after");
  if (old || text.includes(`href="${addressOf(now)}"`)) return;
  old = now;
  // Under another name it is no part of what is drawn anew.
  old.id = "picture-old";
  old.ariaHidden = "true";
}

document.addEventListener("htmx:before:settle", async () => {
  const [now, mine] = [byId("picture-after"), old];
  if (!mine) return;
  const stage = now.parentElement;
  stage.append(mine);
  stage.ariaBusy = "true";
  const coming = new Image();
  coming.src = addressOf(now);
  await coming.decode().catch(() => {});
  if (old !== mine || byId("picture-after") !== now || addressOf(now) !== coming.getAttribute("src")) return;
  old = null;
  mine.remove();
  stage.ariaBusy = null;
});

// Where the focus goes from a step that is there no more, or that cannot be done again.
const NEXT = { uncrop: "[href$='/polish/crop']", unmask: "[href$='/mask']", trim: "#uncrop", "subject-crop": "#uncrop", "subject-mask": "#unmask", measure: "#trim", undo: "#redo", redo: "#undo" };

function goOn() {
  if (!left || (left.isConnected && !left.disabled)) return;
  const next = document.querySelector(`#steps ${NEXT[left.value] ?? "#rotate"}:not(:disabled)`) ?? byId("rotate");
  if ([document.body, left].includes(document.activeElement)) next?.focus();
}

document.addEventListener("change", (event) => event.target.matches("[data-submits]") && event.target.form.requestSubmit());

// Whoever leaves within the pause has straightened all the same.
addEventListener("pagehide", () => {
  const form = byId("steps");
  if (degrees === null || isBusy || !form) return;
  const { revision, seen } = form.elements;
  const body = new URLSearchParams({ step: "straighten", revision: revision.value, seen: seen.value, degrees });
  fetch(form.action, { method: "POST", body, keepalive: true, headers: { "X-LoRA-Studio": "1" }, redirect: "manual" }).catch(() => {});
});
