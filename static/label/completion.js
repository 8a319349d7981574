// Completion: a list below the field that never takes a key that types. Answers that were overtaken are dropped.
import { insert } from "./editor.js";
import { ask } from "./net.js";
import { byId, state } from "./state.js";
import { hold } from "../turns.js";

const DELAY_MS = 60;
const area = byId("caption");
const list = byId("completion");
let timer = 0;
let seq = 0;
let items = [];
let chosen = -1;
// Whether an answer is awaited. If Tab was pressed meanwhile, its first tag is taken, and what is typed next comes behind it.
let isAwaited = false;
let goOn = null;

export const isOpen = () => !list.hidden;

export function close() {
  clearTimeout(timer);
  seq += 1;
  isAwaited = false;
  goOn?.();
  goOn = null;
  list.hidden = true;
  chosen = -1;
  area.removeAttribute("aria-activedescendant");
}

// The words from the last separator to the caret.
function prefix() {
  const before = area.value.slice(0, area.selectionStart);
  const start = Math.max(...["\n", "|||", ";;;"].map((sign) => (before.lastIndexOf(sign) < 0 ? 0 : before.lastIndexOf(sign) + sign.length)), lastComma(before) + 1);
  const words = before.slice(start);
  return [start + words.length - words.trimStart().length, words.trimStart()];
}

function lastComma(text) {
  for (let at = text.length - 1; at >= 0; at -= 1) if ((text[at] === "," || text[at] === "，") && text[at - 1] !== "\\") return at;
  return -1;
}

function typed(event) {
  clearTimeout(timer);
  // A list for fewer letters may be on its way; it would not be for these.
  seq += 1;
  goOn?.();
  goOn = null;
  const [, word] = prefix();
  if (event.isComposing || area.selectionStart !== area.selectionEnd || !word) return close();
  isAwaited = true;
  timer = setTimeout(look, DELAY_MS);
}

async function look() {
  const [, word] = prefix();
  const mine = (seq += 1);
  const { status, body } = await ask(`${state.url}/label/complete.json?${new URLSearchParams({ q: word, seq: mine })}`);
  if (mine !== seq || document.activeElement !== area) return;
  if (status !== 200 || !body.items.length) return close();
  items = body.items;
  isAwaited = false;
  draw(word);
  if (goOn) take(0);
}

const short = (count) => (count >= 1e6 ? `${(count / 1e6).toFixed(1)}M` : count >= 1000 ? `${Math.round(count / 1000)}k` : String(count || ""));

function draw(word) {
  chosen = -1;
  list.replaceChildren(
    ...items.map((item, at) => {
      const row = Object.assign(document.createElement("li"), { id: `completion-${at}`, role: "option" });
      row.dataset.category = item.category || "general";
      const name = Object.assign(document.createElement("span"), { className: "truncate" });
      if (item.alias_of) name.append(part(item.tag, word), " → ", Object.assign(document.createElement("strong"), { textContent: item.alias_of }));
      else name.append(part(item.tag, word));
      const here = item.count_here ? `${item.count_here} here` : "";
      const counts = Object.assign(document.createElement("span"), { className: "num muted", textContent: [here, short(item.count)].filter(Boolean).join(" · ") });
      row.append(name, counts);
      row.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        take(at);
      });
      return row;
    }),
  );
  list.hidden = false;
  list.scrollTop = 0;
}

// The tag, with what was typed of it set apart.
function part(tag, word) {
  const at = tag.toLowerCase().indexOf(word.toLowerCase());
  const name = document.createElement("span");
  if (at < 0) name.textContent = tag;
  else name.append(tag.slice(0, at), Object.assign(document.createElement("mark"), { textContent: tag.slice(at, at + word.length) }), tag.slice(at + word.length));
  return name;
}

function choose(by) {
  chosen = by === 0 ? chosen : (chosen + by + items.length + (chosen < 0 && by < 0 ? 1 : 0)) % items.length;
  for (const [at, row] of [...list.children].entries()) row.ariaSelected = String(at === chosen);
  list.children[chosen]?.scrollIntoView({ block: "nearest" });
  if (chosen >= 0) area.setAttribute("aria-activedescendant", `completion-${chosen}`);
}

function take(at) {
  const item = items[at];
  const [start, word] = prefix();
  const end = start + word.length;
  list.hidden = true;
  const isLast = !area.value.slice(end).trimStart().startsWith(",");
  insert(start, end, (item.alias_of ?? item.tag) + (isLast ? ", " : ""));
  close();
}

// Tab takes the chosen or the first, Enter only a chosen one. A list that came by itself never decides what a key does:
// Escape leaves the list only where one was chosen. Answers whether the key was used.
export function key(event) {
  if (isAwaited && event.key === "Tab" && !event.shiftKey) {
    if (!goOn) hold(new Promise((resolve) => (goOn = resolve)), { isTyping: true });
    return true;
  }
  if (!isOpen()) return false;
  if (event.key === "ArrowDown") choose(1);
  else if (event.key === "ArrowUp") choose(-1);
  else if (event.key === "Tab" && !event.shiftKey) take(Math.max(chosen, 0));
  else if (event.key === "Enter" && chosen >= 0 && !event.ctrlKey) take(chosen);
  else if (event.key === "Escape" && chosen >= 0) close();
  else return false;
  return true;
}

export function start() {
  area.addEventListener("input", typed);
  area.addEventListener("compositionend", typed);
  area.addEventListener("click", close);
}
