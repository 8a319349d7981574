// Keys. data-key="k" (or "ArrowRight l", "ctrl+Enter", "Space") presses or focuses its element; data-key-label names it.
// "ctrl+shift+z" wants Shift too, which otherwise changes nothing but with Ctrl and a letter.
// data-focus-back="id": what a pointer clicks in it hands the focus on to that element, so that Enter is the page's key again.
// data-key-told names keys that another script listens for. data-key-scope limits keys to what holds the focus. data-roving moves the focus among its [data-roving-item] by arrows.
import { isText, takesKeys } from "./fields.js";
import { hold } from "./turns.js";

const PATIENCE_MS = 10_000;
const isShown = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;
const keysOf = (element) => (element.dataset.key ?? element.dataset.keyTold).split(/\s+/).filter(Boolean);

function pressed(event) {
  const name = event.key === " " ? "Space" : event.key;
  const hasCtrl = event.ctrlKey || event.metaKey;
  const lead = (hasCtrl ? "ctrl+" : "") + (event.altKey ? "alt+" : "") + (hasCtrl && event.shiftKey && /^[a-z]$/i.test(event.key) ? "shift+" : "");
  return (lead + name).toLowerCase();
}

function find(key) {
  const all = [...document.querySelectorAll("[data-key]")].filter(
    (element) => !element.disabled && keysOf(element).some((one) => one.toLowerCase() === key) && isShown(element),
  );
  const scope = document.activeElement?.closest("[data-key-scope]");
  return all.find((element) => scope?.contains(element)) ?? all.find((element) => !element.closest("[data-key-scope]"));
}

function use(element) {
  if (element.matches("input:not([type=checkbox], [type=radio]), textarea, select")) {
    element.focus();
    // A search is typed anew; a text is written on.
    if (element.matches("input")) element.select?.();
  } else element.click();
}

// Moving through a grid: the nearest item in the direction of the arrow, measured on the screen.
function neighbour(items, from, key) {
  const here = from.getBoundingClientRect();
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  const middle = (box) => [box.left + box.width / 2, box.top + box.height / 2];
  const [x, y] = middle(here);
  let best = null;
  for (const item of items) {
    const [left, top] = middle(item.getBoundingClientRect());
    const along = (left - x) * dx + (top - y) * dy;
    const aside = Math.abs((left - x) * dy) + Math.abs((top - y) * dx);
    const isAhead = item !== from && along > 4 && (dx === 0 || aside < here.height / 2);
    if (isAhead && (!best || along + 3 * aside < best.cost)) best = { item, cost: along + 3 * aside };
  }
  return best?.item;
}

function rove(event) {
  const group = event.target.closest("[data-roving]");
  const from = event.target.closest("[data-roving-item]");
  if (!group || !from || !/^(Arrow|Home$|End$)/.test(event.key)) return false;
  const items = [...group.querySelectorAll("[data-roving-item]")];
  let next = { Home: items[0], End: items.at(-1) }[event.key] ?? null;
  if (!next) next = neighbour(items, from, event.key);
  // At the end of a row the horizontal arrows go on with the reading order.
  if (!next && event.key === "ArrowRight") next = items[items.indexOf(from) + 1];
  if (!next && event.key === "ArrowLeft") next = items[items.indexOf(from) - 1];
  next?.focus();
  next?.scrollIntoView({ block: "nearest", inline: "nearest" });
  return true;
}

document.addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.defaultPrevented || event.isComposing || !(target instanceof Element)) return;
  const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
  if (takesKeys(target) && event.key === "Escape" && !target.closest("dialog")) return target.blur();
  if (takesKeys(target) && !hasModifier) return;
  // What is typed and not saved is taken back by the field itself.
  if (hasModifier && isText(target) && target.value !== target.defaultValue && /^[zy]$/i.test(event.key)) return;
  if (document.querySelector("dialog[open]")) return;
  // What has the focus takes these for itself; with Ctrl a field or a button does not.
  if (event.key === "Enter" || event.key === " ") if (target.matches(`a[href], summary${hasModifier ? "" : ", button, input"}`)) return;
  if (!hasModifier && event.key === "?") return openKeys();
  if (!hasModifier && rove(event)) return event.preventDefault();
  const found = find(pressed(event));
  if (!found) return;
  event.preventDefault();
  use(found);
});

const SIGNS = { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", escape: "Esc" };
// The plus that parts two keys stands before another; the key + does not.
const sign = (key) => key.split(/\+(?=.)/).map((part) => SIGNS[part.toLowerCase()] ?? (part.length === 1 ? part.toUpperCase() : part[0].toUpperCase() + part.slice(1))).join(" + ");

function openKeys() {
  const rows = new Map();
  for (const element of document.querySelectorAll("[data-key], [data-key-told]")) {
    const label = element.dataset.keyLabel || element.ariaLabel || element.textContent.trim();
    const keys = keysOf(element);
    if (!rows.has(keys.join(" "))) rows.set(keys.join(" "), [keys, label]);
  }
  if (document.querySelector("[data-roving]")) rows.set("arrows", [["ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight"], "Move from one to the next"]);
  rows.set("?", [["?"], "Show these keys"]);
  const list = document.querySelector("#keys .keys");
  list.replaceChildren();
  for (const [keys, label] of rows.values()) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    for (const key of keys) term.append(Object.assign(document.createElement("kbd"), { textContent: sign(key) }));
    text.textContent = label;
    list.append(term, text);
  }
  document.getElementById("keys").showModal();
}

// A click that a key made has no detail: who came to a button by keyboard stays on it.
document.addEventListener("click", ({ target, detail }) => {
  const button = detail > 0 && target.closest("button[type=button]");
  if (button) document.getElementById(button.closest("[data-focus-back]")?.dataset.focusBack)?.focus({ preventScroll: true });
});

document.querySelector("[data-keys-open]")?.addEventListener("click", openKeys);

// What a button or form has asked for decides what the next key is about: it waits, though not for what takes long.
const flights = new WeakMap();
document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.matches("a, button, form")) hold(new Promise((resolve) => flights.set(ctx, resolve)), { most_ms: PATIENCE_MS, isKept: true });
});
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => flights.get(ctx)?.());

// A swap that takes the item away that the arrows were on leaves the keyboard on the one in its place.
const groups = () => [...document.querySelectorAll("[data-roving]")];
const itemsOf = (group) => [...(group?.querySelectorAll("[data-roving-item]") ?? [])];
let last = null;

document.addEventListener("focusin", ({ target }) => {
  const item = target.closest("[data-roving-item]");
  const group = item?.closest("[data-roving]");
  last = group ? { item, group: groups().indexOf(group), place: itemsOf(group).indexOf(item) } : null;
});
document.addEventListener("htmx:after:swap", () => {
  if (!last || last.item.isConnected || document.activeElement !== document.body) return;
  const left = itemsOf(groups()[last.group]);
  left[Math.min(last.place, left.length - 1)]?.focus();
});
