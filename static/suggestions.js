// Settling images one by one by the keyboard: when one is settled and gone, the next takes the focus.
const cards = () => [...document.querySelectorAll("#doubts .doubt-card")];
let place = -1;

document.addEventListener("htmx:before:request", (event) => {
  const card = event.target.closest?.(".doubt-card");
  place = card?.contains(document.activeElement) ? cards().indexOf(card) : -1;
});

document.addEventListener("htmx:after:swap", () => {
  const active = document.activeElement;
  // Whoever has gone on to somewhere else meanwhile stays there.
  if (place < 0 || (active !== document.body && !active.closest("#doubts"))) return;
  const left = cards();
  const next = left[Math.min(place, left.length - 1)];
  (next?.querySelector("[data-roving-item]") ?? document.querySelector("#doubts a"))?.focus();
  place = -1;
});
