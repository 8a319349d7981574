// Somebody changed the mask while another was drawn: theirs can be looked at, a step like any other, or mine saved over it.
const byId = (id) => document.getElementById(id);

let backToMine = null;

// Whoever saves while theirs is shown means what they drew.
export function returnToMine() {
  backToMine?.();
}

export function showClash(told, { W, H, leftOut, step, come, say }) {
  const box = byId("mask-clash");
  box.replaceChildren(document.adoptNode(told));
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
  const look = byId("mask-theirs");
  let mine = null;

  function turn(values) {
    const now = leftOut();
    step(values);
    mine = mine ? null : now;
    look.querySelector("span").textContent = mine ? "Back to mine" : "See theirs";
  }
  backToMine = () => mine && turn(mine);

  look?.addEventListener("click", () => {
    if (mine) return turn(mine);
    if (!look.dataset.theirs) return turn(new Uint8ClampedArray(W * H));
    come(look.dataset.theirs, (values) => (values ? turn(values) : say("The other mask could not be read. Save yours over it, or cancel.")));
  });
  byId("mask-over").addEventListener("click", () => {
    returnToMine();
    byId("mask-form").elements.seen.value = told.dataset.seen;
    byId("mask-form").requestSubmit();
  });
}
