// The report of an import: after a file was tried again or a question answered, the keyboard goes on where it was.
const rows = () => [...document.querySelectorAll(".report-row")];
let place = -1;

document.addEventListener("htmx:before:request", (event) => {
  if (event.target.matches?.("#report form")) place = Math.max(0, rows().indexOf(event.target.closest(".report-row")));
});

document.addEventListener("htmx:after:swap", () => {
  // What is still there keeps the focus by itself.
  if (place < 0 || (document.activeElement && document.activeElement !== document.body)) return;
  const after = rows().slice(Math.max(0, place));
  const next = after.find((row) => row.querySelector("button")) ?? rows().findLast((row) => row.querySelector("button"));
  (next?.querySelector("button") ?? document.querySelector(".import-title")).focus();
  place = -1;
});
