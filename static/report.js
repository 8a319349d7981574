// The report of an import: after a file was tried again or a question answered, the keyboard goes on where it was.
const rows = () => [...document.querySelectorAll(".report-row")];
const isUnderWay = () => document.querySelector("#report")?.hasAttribute("hx-get");
let place = -1;

document.addEventListener("htmx:before:request", (event) => {
  if (event.target.matches?.("#report form")) place = Math.max(0, rows().indexOf(event.target.closest(".report-row")));
});

document.addEventListener("htmx:after:swap", () => {
  if (place < 0) return;
  const title = document.querySelector(".import-title");
  const held = document.activeElement;
  // What is still there keeps the focus by itself.
  if (held && held !== document.body && held !== title) {
    place = -1;
    return;
  }
  // While files are tried again there is nothing to press in their rows: the title waits for them.
  if (isUnderWay()) {
    title?.focus();
    return;
  }
  const after = rows().slice(Math.max(0, place));
  const next = after.find((row) => row.querySelector("button")) ?? rows().findLast((row) => row.querySelector("button"));
  (next?.querySelector("button") ?? title)?.focus();
  place = -1;
});
