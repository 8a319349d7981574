// The grid of samples by keyboard, as grids are on the web: one stop of the Tab key, moved by arrows, Home and End. Both the
// stop and the focus stay where they are while the grid draws itself again.
const GRID = "table.review[role=grid]";
const ITEM = "[data-roving-item]";
const stops = new Map();
const byId = (id) => document.getElementById(id);

// The items by row and column; a place without one is null, and rows without any are left out.
const linesOf = (grid) => [...grid.rows].filter((row) => row.querySelector(ITEM)).map((row) => [...row.cells].map((cell) => cell.querySelector(ITEM)));

function placeOf(item) {
  const lines = linesOf(item.closest(GRID));
  const y = lines.findIndex((line) => line.includes(item));
  return { lines, y, x: lines[y].indexOf(item) };
}

function next({ lines, y, x }, key) {
  const line = lines[y];
  // At the end of a row the horizontal arrows go on with the reading order.
  if (key === "ArrowRight") return line.slice(x + 1).find(Boolean) ?? lines[y + 1]?.find(Boolean);
  if (key === "ArrowLeft") return line.slice(0, x).findLast(Boolean) ?? lines[y - 1]?.findLast(Boolean);
  const column = lines.map((each) => each[x]);
  if (key === "ArrowDown") return column.slice(y + 1).find(Boolean);
  if (key === "ArrowUp") return column.slice(0, y).findLast(Boolean);
  return key === "Home" ? line.find(Boolean) : line.findLast(Boolean);
}

function end(grid, key) {
  const samples = [...grid.querySelectorAll(`tbody ${ITEM}`)];
  return key === "Home" ? samples[0] : samples.at(-1);
}

function go(item) {
  item?.focus({ preventScroll: true });
  item?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function stopAt(grid, stop) {
  for (const former of grid.querySelectorAll(`${ITEM}[tabindex="0"]`)) former.tabIndex = -1;
  stop.tabIndex = 0;
  stops.set(grid.id, stop.id);
}

document.addEventListener("focusin", ({ target }) => {
  const item = target.closest(`${GRID} ${ITEM}`);
  if (item) stopAt(item.closest(GRID), item);
});

// Before the keys of other grids, which go by what is nearest on the screen: here rows and columns stay in sight while others
// scroll beneath them.
document.addEventListener(
  "keydown",
  (event) => {
    const item = event.target.closest?.(`${GRID} ${ITEM}`);
    const isEnd = event.key === "Home" || event.key === "End";
    if (!item || event.defaultPrevented || event.isComposing || !(isEnd || event.key.startsWith("Arrow"))) return;
    const isWhole = event.ctrlKey || event.metaKey;
    if (event.altKey || event.shiftKey || (isWhole && !isEnd)) return;
    event.preventDefault();
    go(isWhole ? end(item.closest(GRID), event.key) : next(placeOf(item), event.key));
  },
  true,
);

// What the swap finds focused: an answer may take it away, or leave a place where nothing is drawn yet.
let held = null;
document.addEventListener("htmx:before:swap", () => {
  const item = document.activeElement?.closest(`${GRID} ${ITEM}`);
  held = item ? { grid: item.closest(GRID).id, id: item.id, ...placeOf(item) } : null;
});

function nearest(grid, { y, x }) {
  const lines = linesOf(grid);
  const line = lines[Math.min(y, lines.length - 1)] ?? [];
  return line.slice(0, x + 1).findLast(Boolean) ?? line.find(Boolean);
}

document.addEventListener(
  "htmx:after:swap",
  () => {
    for (const grid of document.querySelectorAll(GRID)) {
      const kept = byId(stops.get(grid.id));
      const stop = kept?.matches(ITEM) ? kept : (grid.querySelector(`${ITEM}[tabindex="0"]`) ?? grid.querySelector(`tbody ${ITEM}`));
      if (stop) stopAt(grid, stop);
    }
    const grid = held && byId(held.grid);
    const active = document.activeElement;
    const isLost = active === document.body || (active?.closest(GRID) === grid && !active.closest(ITEM));
    if (!grid || !isLost) return;
    const same = byId(held.id);
    (same?.matches(ITEM) ? same : nearest(grid, held))?.focus({ preventScroll: true });
  },
  true,
);
