// What the filter may go on with: a list below its field. Tab takes the first or the chosen, Enter only a chosen one.
import * as filter from "./filter.js";
import { ask } from "./net.js";
import { byId, state } from "./state.js";
import { hold } from "../turns.js";

const DELAY_MS = 80;
const WORD = /(?:^|[\s(])(-?(?:[A-Za-z]+:)?(?:"(?:\\.|[^"\\])*|[^\s()"]*))$/;
const input = byId("filter");
const list = byId("filter-offers");
let timer = 0;
let seq = 0;
let items = [];
let chosen = -1;
// As in the caption: Tab takes the first of a list that is still awaited.
let isAwaited = false;
let goOn = null;

const word = () => WORD.exec(input.value.slice(0, input.selectionStart))?.[1] ?? "";

function close() {
  clearTimeout(timer);
  seq += 1;
  isAwaited = false;
  goOn?.();
  goOn = null;
  list.hidden = true;
  chosen = -1;
  input.ariaExpanded = "false";
  input.removeAttribute("aria-activedescendant");
}

async function look() {
  const typed = word();
  const mine = (seq += 1);
  if (!typed || input.selectionStart !== input.selectionEnd) return close();
  isAwaited = true;
  const { status, body } = await ask(`${state.url}/label/offers.json?${new URLSearchParams({ q: typed })}`);
  if (mine !== seq || document.activeElement !== input) return;
  items = status === 200 ? body.filter((each) => each.term !== typed) : [];
  if (!items.length) return close();
  chosen = -1;
  isAwaited = false;
  list.replaceChildren(
    ...items.map((item, at) => {
      const row = Object.assign(document.createElement("li"), { id: `filter-offer-${at}`, role: "option" });
      row.append(Object.assign(document.createElement("span"), { className: "truncate", textContent: item.term }), Object.assign(document.createElement("span"), { className: "num muted truncate", textContent: item.note }));
      row.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        take(at);
      });
      return row;
    }),
  );
  list.hidden = false;
  input.ariaExpanded = "true";
  if (goOn) take(0);
}

function choose(by) {
  chosen = (chosen + by + items.length + (chosen < 0 && by < 0 ? 1 : 0)) % items.length;
  for (const [at, row] of [...list.children].entries()) row.ariaSelected = String(at === chosen);
  list.children[chosen].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", `filter-offer-${chosen}`);
}

function take(at) {
  const { term } = items[at];
  const end = input.selectionStart;
  // A key wants its value next; a whole term wants another.
  const isKey = term.endsWith(":");
  input.setRangeText(term + (isKey ? "" : " "), end - word().length, end, "end");
  close();
  filter.load();
  if (isKey) look();
}

// Answers whether the key was used.
export function key(event) {
  if (isAwaited && event.key === "Tab" && !event.shiftKey) {
    if (!goOn) hold(new Promise((resolve) => (goOn = resolve)), { isTyping: true });
    return true;
  }
  if (list.hidden) return false;
  if (event.key === "ArrowDown") choose(1);
  else if (event.key === "ArrowUp") choose(-1);
  else if (event.key === "Tab" && !event.shiftKey) take(Math.max(chosen, 0));
  else if (event.key === "Enter" && chosen >= 0) take(chosen);
  else if (event.key === "Escape") close();
  else return false;
  return true;
}

export function start() {
  input.addEventListener("input", () => {
    clearTimeout(timer);
    // A list for fewer letters may be on its way; it would not be for these.
    seq += 1;
    goOn?.();
    goOn = null;
    isAwaited = Boolean(word());
    timer = setTimeout(look, DELAY_MS);
  });
  input.addEventListener("blur", close);
  byId("filter-form").addEventListener("submit", close);
}
