// Copying a recipe: how many images the button means, and Space to choose one from the keyboard.
const form = document.getElementById("copying");
const boxes = () => [...form.querySelectorAll("input[name=image]")];
const button = document.getElementById("copy-checked");
const all = document.getElementById("copy-all");

function show() {
  const count = boxes().filter((box) => box.checked).length;
  button.textContent = count ? `Apply to ${count} image${count === 1 ? "" : "s"}` : "Apply to the checked images";
  button.disabled = !count;
  all.checked = count > 0 && count === boxes().length;
  all.indeterminate = count > 0 && count < boxes().length;
}

form.addEventListener("change", (event) => {
  if (event.target === all) for (const box of boxes()) box.checked = all.checked;
  show();
});
form.addEventListener("keydown", (event) => {
  const box = event.target.closest("a")?.closest(".image-tile")?.querySelector("input");
  if (!box || event.key !== " ") return;
  event.preventDefault();
  box.checked = !box.checked;
  show();
});
show();
