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
document.addEventListener("htmx:after:swap", show);
show();
