// Regions that draw themselves again while they are used: the keyboard stays in the region when what it was on goes away, and
// what is read there stays in sight.
const REGION = "[id][hx-get]";
const byId = (id) => document.getElementById(id);

let last = null;
document.addEventListener("focusin", ({ target }) => {
  last = { element: target, region: target.closest(REGION)?.id };
});
// Whoever points at an empty place takes the focus away on purpose.
document.addEventListener("pointerdown", () => (last = null));

function keepFocus() {
  if (!last?.region || last.element.isConnected || document.activeElement !== document.body) return;
  const region = byId(last.region);
  const next = (last.element.id && byId(last.element.id)) || region?.querySelector(":is(h1, h2)[tabindex]");
  next?.focus({ preventScroll: true });
}

// Samples: new ones come in on the left, beside the baseline. Whoever has scrolled on stays at what he looks at; else what has
// the focus stays in sight.
function keepSamples() {
  const box = byId("samples-scroll");
  if (!box) return null;
  const samples = [...box.querySelectorAll("td:not(.baseline) [id]")];
  const edge = box.querySelector("td.baseline")?.getBoundingClientRect().right ?? box.getBoundingClientRect().left;
  const focused = samples.find((sample) => sample === document.activeElement);
  const seen = focused ?? samples.find((sample) => sample.getBoundingClientRect().left >= edge);
  const place = () => seen.getBoundingClientRect();
  if (!seen || !(focused || box.scrollLeft)) return null;
  const [before, isAtStart] = [place().left, box.scrollLeft === 0];
  return () => {
    if (!seen.isConnected) return;
    box.scrollLeft += isAtStart ? Math.max(0, place().right - box.getBoundingClientRect().right) : place().left - before;
  };
}

// The log: it stands upside down, so that lines that come in push up what somebody has scrolled back to.
function keepLog() {
  const box = byId("log");
  const words = box?.querySelector("code").firstChild;
  if (!words || box.scrollTop > -1) return null;
  // The last line may be one that is written over and over.
  const mark = words.data.slice(0, words.data.lastIndexOf("\n")).slice(-400).trimStart();
  const before = topOf(words, mark);
  return () => {
    const after = topOf(byId("log")?.querySelector("code").firstChild, mark);
    if (before !== null && after !== null) byId("log").scrollTop += after - before;
  };
}

function topOf(words, mark) {
  const at = mark ? (words?.data.lastIndexOf(mark) ?? -1) : -1;
  if (at < 0) return null;
  const range = document.createRange();
  range.setStart(words, at);
  range.setEnd(words, at + 1);
  return range.getBoundingClientRect().top;
}

let kept = [];
document.addEventListener("htmx:before:swap", () => (kept = [keepSamples(), keepLog()].filter(Boolean)));
document.addEventListener("htmx:after:swap", () => {
  for (const keep of kept) keep();
  kept = [];
  keepFocus();
});
