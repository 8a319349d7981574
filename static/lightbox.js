// The lightbox: an element with data-zoom="address of the large picture" opens it; those of one data-zoom-group can be paged.
// The keys of the picture's own data-key-scope go on working, so that one can judge at full size.
const dialog = document.getElementById("lightbox");
const image = dialog.querySelector("img");
const part = (name) => dialog.querySelector(`.lightbox-${name}`);
let group = null;
let alone = null;
let position = 0;

// Asked anew each time: the page may have swapped in new elements behind the dialog.
const members = () => (group?.isConnected ? [...group.querySelectorAll("[data-zoom]")] : [alone]);
const scope = () => members()[position]?.closest("[data-key-scope]");
const scoped = () => [...(scope()?.querySelectorAll("[data-key]:not([data-zoom])") ?? [])];

function show(next) {
  const all = members();
  if (next < 0 || next >= all.length) return;
  position = next;
  dialog.classList.remove("actual");
  if (image.getAttribute("src") !== all[position].dataset.zoom) image.src = all[position].dataset.zoom;
  describe();
}

function describe() {
  const all = members();
  const shown = all[position];
  if (!shown) return;
  image.alt = shown.dataset.zoomText ?? shown.querySelector("img")?.alt ?? shown.alt ?? "";
  const verdict = shown.closest("[data-verdict]")?.dataset.verdict;
  part("text").textContent = [image.alt, verdict].filter(Boolean).join(" · ");
  part("count").textContent = all.length > 1 ? `${position + 1} of ${all.length}` : "";
  part("keys").replaceChildren(...scoped().map(hint));
  for (const step of dialog.querySelectorAll("[data-lightbox-step]")) step.disabled = !all[position + Number(step.dataset.lightboxStep)];
}

function hint(element) {
  const line = document.createElement("span");
  const key = Object.assign(document.createElement("kbd"), { textContent: element.dataset.key.split(" ")[0].toUpperCase() });
  line.append(key, ` ${element.dataset.keyLabel ?? element.ariaLabel}`);
  return line;
}

export function open(element) {
  group = element.closest("[data-zoom-group]");
  alone = element;
  show(members().indexOf(element));
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-zoom]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!element || !isPlain) return;
  event.preventDefault();
  open(element);
});

dialog.addEventListener("click", (event) => {
  const step = event.target.closest("[data-lightbox-step]");
  if (step) show(position + Number(step.dataset.lightboxStep));
  if (event.target === image || event.target.closest("[data-lightbox-size]")) dialog.classList.toggle("actual");
  if (event.target.matches(".lightbox-stage")) dialog.close();
});

dialog.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  const own = scoped().find((element) => element.dataset.key.toLowerCase().split(/\s+/).includes(key));
  if (key === "arrowleft") show(position - 1);
  else if (key === "arrowright") show(position + 1);
  else if (own) own.click();
  else if (key === "z") dialog.classList.toggle("actual");
  else return;
  event.preventDefault();
});

document.addEventListener("htmx:after:swap", () => dialog.open && describe());

// The keyboard stays on the picture last looked at; a large picture does not stay in memory.
dialog.addEventListener("close", () => {
  image.removeAttribute("src");
  const shown = members()[position];
  (shown?.closest("[data-roving-item]") ?? shown)?.focus();
});
