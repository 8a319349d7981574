// Subjects: how many images the buttons mean, and Space to tick one from the keyboard.
const form = () => document.getElementById("taking");
const boxes = () => [...(form()?.querySelectorAll("input[name=image]") ?? [])];

function show() {
  if (!form()) return;
  const count = boxes().filter((box) => box.checked).length;
  const all = document.getElementById("all-shown");
  all.checked = count > 0 && count === boxes().length;
  all.indeterminate = count > 0 && count < boxes().length;
  document.getElementById("ticked").textContent = count ? `${count} ticked` : "None ticked";
  for (const button of form().querySelectorAll("[data-checked]")) button.disabled = !count;
}

document.addEventListener("change", (event) => {
  if (event.target.id === "all-shown") for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.closest("#taking")) show();
});
document.addEventListener("keydown", (event) => {
  const box = event.target.closest?.(".subject-view")?.parentElement.querySelector("input");
  if (!box || event.key !== " ") return;
  event.preventDefault();
  box.checked = !box.checked;
  show();
});
// After an action the keyboard goes on at the same place of the list, or where there is none any more, at its tabs.
const views = () => [...document.querySelectorAll(".subject-view")];
let place = -1;
document.addEventListener("htmx:before:request", (event) => {
  if (event.target.matches?.("#found form")) place = Math.max(0, views().indexOf(document.activeElement));
});
document.addEventListener("htmx:after:swap", () => {
  show();
  if (place < 0 || (document.activeElement && document.activeElement !== document.body)) return;
  (views()[Math.min(place, views().length - 1)] ?? document.querySelector("#found .tabs a[aria-current]"))?.focus();
  place = -1;
});
show();
