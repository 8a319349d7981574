// Sources of many images: what is typed gets ticked, and the buttons say how many images they mean.
const form = document.getElementById("origins");
const boxes = () => [...form.querySelectorAll("tbody input[name=image]")];

function show() {
  const count = boxes().filter((box) => box.checked).length;
  const all = document.getElementById("check-all");
  const button = document.getElementById("set-selected");
  button.lastChild.textContent = count ? `Set for ${count} selected` : "Set for the selected";
  button.disabled = !count;
  if (!all) return;
  all.checked = count > 0 && count === boxes().length;
  all.indeterminate = count > 0 && count < boxes().length;
}

form?.addEventListener("input", (event) => {
  const sets = event.target.dataset.sets;
  if (sets) document.getElementById(sets).checked = true;
});

form?.addEventListener("change", (event) => {
  if (event.target.id === "check-all") for (const box of boxes()) box.checked = event.target.checked;
  show();
});

if (form) show();
