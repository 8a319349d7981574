// The training form while people type: what is wrong with a field is tied to it as after a refused start, and what was typed
// while the settings of another preset or base were on their way stays.
const REFILL = "[data-refills]";
const form = () => document.getElementById("training");
const controls = () => [...form().elements].filter((control) => control.id && !control.matches(`${REFILL}, button, [type=hidden]`));
const isSwitch = (control) => control.matches("[type=checkbox]");
const valueOf = (control) => (isSwitch(control) ? control.checked : control.value);

function mark() {
  for (const notes of document.querySelectorAll("#training .field-notes")) {
    const control = document.getElementById(notes.id.replace(/-notes$/, ""));
    const isWrong = notes.childElementCount > 0;
    if (!control || control.matches("[aria-invalid=true]") === isWrong) continue;
    if (isWrong) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    const group = notes.closest("details");
    if (isWrong && group) group.open = true;
  }
}

document.addEventListener("htmx:after:swap", mark);

let asked = new Map();
let newer = [];
const isRefill = (event) => Boolean(event.detail.ctx.sourceElement?.matches(REFILL));

document.addEventListener("htmx:before:request", (event) => {
  if (isRefill(event)) asked = new Map(controls().map((control) => [control.id, valueOf(control)]));
});

// First of all listeners, since another empties the form for the answer.
document.addEventListener(
  "htmx:before:swap",
  (event) => {
    newer = isRefill(event) ? controls().filter((control) => asked.has(control.id) && asked.get(control.id) !== valueOf(control)) : [];
    newer = newer.map((control) => [control.id, valueOf(control)]);
    // A plan still on its way is that of the settings before.
    if (isRefill(event)) window.htmx.trigger(form(), "htmx:abort");
  },
  true,
);

document.addEventListener("htmx:after:swap", (event) => {
  if (!isRefill(event)) return;
  for (const [id, value] of newer) {
    const control = document.getElementById(id);
    if (control) control[isSwitch(control) ? "checked" : "value"] = value;
  }
  if (newer.length) form().dispatchEvent(new Event("input", { bubbles: true }));
});
