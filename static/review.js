// The review: a sample large beside its baseline, judged by the keys of the grid; the size of the pictures; the choice of run.
import "./review-grid.js";
const dialog = document.getElementById("compare");
const part = (selector) => dialog.querySelector(selector);
const LETTERS = { k: "keep", x: "reject", b: "best", u: "clear" };
let cell = null;

// The cell may have been drawn anew since: its id stays.
const current = () => document.getElementById(cell);

function show(shown) {
  cell = shown.id;
  const { label, prompt, seed, picture, baseline, note } = shown.dataset;
  const verdict = shown.dataset.verdict ?? "";
  const canJudge = Boolean(shown.querySelector(".verdict-buttons"));
  part(".lightbox-text").textContent = `“${prompt}” · seed ${seed}`;
  part(".compare-sample img").src = picture;
  part(".compare-sample img").alt = label;
  part(".compare-sample figcaption").textContent = [label, verdict].filter(Boolean).join(", ");
  part(".compare-sample figcaption").dataset.verdict = verdict;
  if (baseline) part(".compare-baseline img").src = baseline;
  dialog.toggleAttribute("data-alone", !baseline);
  for (const button of dialog.querySelectorAll("[data-judge]")) {
    button.disabled = !canJudge;
    button.setAttribute("aria-pressed", String(button.dataset.judge === verdict));
  }
  const input = part("#compare-note");
  input.disabled = !verdict;
  input.placeholder = verdict ? "What speaks for it or against it?" : canJudge ? "Keep or reject it first, then say why." : "The baseline is what the others are judged by.";
  if (document.activeElement !== input) input.value = note;
}

function view(name) {
  dialog.dataset.view = name;
  for (const button of dialog.querySelectorAll("[data-view-choice]")) {
    button.setAttribute("aria-pressed", String((button.dataset.viewChoice === "both") === (name === "both")));
  }
}

// Flipping in one place shows differences that two places hide.
const flip = () => view(dialog.dataset.view === "sample" ? "baseline" : "sample");

function neighbour(key) {
  const table = current().closest("table");
  const rows = [...table.querySelectorAll("tbody")].map((body) => [...body.rows[1].cells].map((td) => td.querySelector("[data-picture]")));
  const y = rows.findIndex((row) => row.includes(current()));
  const x = rows[y].indexOf(current());
  if (key === "ArrowUp" || key === "ArrowDown") return rows[y + (key === "ArrowUp" ? -1 : 1)]?.[x];
  const rest = key === "ArrowLeft" ? rows[y].slice(0, x).reverse() : rows[y].slice(x + 1);
  return rest.find(Boolean);
}

const judge = (choice) => current()?.querySelector(`.verdict-buttons .${choice}`)?.click();

function saveNote() {
  const shown = current();
  const best = shown?.querySelector(".verdict-buttons [aria-pressed=true]");
  const note = part("#compare-note").value;
  if (!best || note === shown.dataset.note) return;
  const values = { ...JSON.parse(best.getAttribute("hx-vals")), note };
  window.htmx.ajax("POST", best.getAttribute("hx-post"), { source: best, target: shown, swap: "outerMorph", values });
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-compare]");
  if (!opener) return;
  show(opener.closest(".review-cell"));
  view("both");
  dialog.showModal();
  dialog.focus(); // or Space would press its first button
});

dialog?.addEventListener("click", (event) => {
  const { judge: choice, viewChoice } = event.target.closest("button")?.dataset ?? {};
  if (choice) judge(choice);
  if (viewChoice === "both") view("both");
  if (viewChoice === "flip") flip();
});

document.addEventListener("keydown", (event) => {
  if (!dialog?.open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.id === "compare-note") {
    if (event.key === "Enter") dialog.focus();
    return;
  }
  const key = event.key.toLowerCase();
  if (event.key.startsWith("Arrow")) {
    const next = neighbour(event.key);
    if (next) show(next);
  } else if (key in LETTERS) judge(LETTERS[key]);
  else if (event.key === " ") flip();
  else if (key === "s") view("both");
  else if (key === "n") part("#compare-note").focus();
  else if (key === "z") dialog.close();
  else return;
  event.preventDefault();
});

dialog?.querySelector("#compare-note").addEventListener("change", saveNote);
// A verdict or a new sample may have changed the cell that is shown.
document.addEventListener("htmx:after:swap", () => dialog?.open && current()?.dataset.picture && show(current()));
// The keyboard goes on in the grid where it was in the pictures.
dialog?.addEventListener("close", () => current()?.focus());

// A checkpoint that comes in later is offered, but never chosen over the one a person has chosen.
let chosenStep = null;
document.addEventListener("change", (event) => {
  if (event.target.id === "step") chosenStep = event.target.value;
});
document.addEventListener("htmx:after:swap", () => {
  const select = document.getElementById("step");
  if (chosenStep !== null && select && select.value !== chosenStep) select.value = chosenStep;
});

// The size of the samples, for every grid on the page and the next visit
const SIZE = "review-size";

function size(name, part = document) {
  for (const grid of part.querySelectorAll("[data-cells]")) {
    grid.classList.toggle("small", name === "small");
    grid.classList.toggle("large", name === "large");
  }
  for (const button of part.querySelectorAll("[data-cell-size]")) button.setAttribute("aria-pressed", String(button.dataset.cellSize === name));
}

function savedSize() {
  try {
    return localStorage.getItem(SIZE) ?? "medium";
  } catch {
    return "medium"; // without storage the choice lasts for this page
  }
}

let chosen = savedSize();
size(chosen);
// Before an answer comes in, so that no grid is of another size for a moment and loses how far it was scrolled.
document.addEventListener("htmx:before:swap", ({ detail }) => {
  for (const { fragment } of detail.tasks) size(chosen, fragment);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cell-size]");
  if (!button) return;
  chosen = button.dataset.cellSize;
  size(chosen);
  try {
    localStorage.setItem(SIZE, chosen);
  } catch {
    // see savedSize
  }
});

document.querySelector("[data-submits]")?.addEventListener("change", (event) => event.target.form.requestSubmit());
