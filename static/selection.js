// The selection in the grid: by mouse, by Space and Shift, and what becomes of it.
const byId = (id) => document.getElementById(id);
const form = byId("selection");
const boxes = () => [...document.querySelectorAll(".image-tile input[name=image]")];
let lastBox = null;
let nextTile = null;

function showSelection() {
  const all = boxes();
  const count = all.filter((box) => box.checked).length;
  const noun = count === 1 ? "1 image" : `${count} images`;
  byId("selected-count").textContent = count ? `${count} selected` : "";
  byId("remove-selected").hidden = byId("hold-out-selected").hidden = !count;
  const films = all.filter((box) => box.checked && box.closest("[data-frames]")).map((box) => `image=${box.value}`);
  const frames = byId("frames-selected");
  frames.hidden = !films.length;
  frames.href = `${frames.pathname}?${films.join("&")}`;
  byId("select-all").checked = count > 0 && count === all.length;
  byId("select-all").indeterminate = count > 0 && count < all.length;
  const gone = count === 1 ? "Its caption goes with it; the original file stays on the disk." : "Their captions go with them; the original files stay on the disk.";
  form.setAttribute("hx-confirm", `Remove ${noun} from the project? ${gone}`);
  form.dataset.confirmLabel = `Remove ${noun}`;
}

document.addEventListener("change", (event) => {
  if (event.target.id === "select-all") for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.matches("#select-all, .image-tile input[name=image]")) showSelection();
});

document.addEventListener("click", (event) => {
  if (!event.target.matches(".image-tile input[name=image]")) return;
  const all = boxes();
  const [from, to] = [all.indexOf(lastBox), all.indexOf(event.target)].sort((a, b) => a - b);
  if (event.shiftKey && from >= 0) for (const box of all.slice(from, to + 1)) box.checked = event.target.checked;
  lastBox = event.target;
  showSelection();
});

document.addEventListener(
  "keydown",
  (event) => {
    if (document.querySelector("dialog[open]")) return;
    const tile = event.target.closest?.(".image-tile");
    const box = tile?.querySelector("input[name=image]");
    if (event.key === "Escape" && boxes().some((each) => each.checked)) {
      for (const each of boxes()) each.checked = false;
      showSelection();
    }
    if (!box || event.target.matches("input")) return;
    if (event.key === " " || event.key.toLowerCase() === "x") {
      event.preventDefault();
      box.checked = !box.checked;
      lastBox = box;
      showSelection();
    }
    if (event.key === "Delete" && !boxes().some((each) => each.checked)) {
      box.checked = true;
      showSelection();
    }
  },
  { capture: true },
);

// Holding out leads to its own page, by a plain form: the region of the removal has no part in it.
byId("hold-out-selected").addEventListener("click", (event) => {
  event.preventDefault();
  const { name, value, formAction } = event.currentTarget;
  const use = Object.assign(document.createElement("input"), { type: "hidden", name, value });
  const action = form.getAttribute("action");
  form.append(use);
  form.action = formAction;
  form.submit();
  form.setAttribute("action", action);
  use.remove();
});

// After a removal the keyboard goes on where it was.
form.addEventListener("htmx:before:request", () => {
  const all = boxes();
  const first = all.findIndex((box) => box.checked);
  const next = all.slice(first).find((box) => !box.checked) ?? all.slice(0, first).findLast((box) => !box.checked);
  nextTile = next?.closest(".image-tile") ?? null;
});

document.addEventListener("htmx:after:swap", (event) => {
  showSelection();
  if (event.target !== form || !nextTile) return;
  const active = document.activeElement;
  // Whoever has gone on to somewhere else meanwhile stays there.
  if (active === document.body || form.contains(active) || active.closest(".image-tile")) nextTile.querySelector("a")?.focus();
  nextTile = null;
});

showSelection();
