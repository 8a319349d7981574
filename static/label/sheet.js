// All commands: as a sheet of keys that can be changed, and as a list to type into.
import { assign, commands, isOfBrowser, keysOf, MODES, nameOf, reset, shownKey } from "./keymap.js";
import { byId, tell } from "./state.js";

const sheet = byId("sheet");
const palette = byId("palette");
const list = byId("palette-list");
let actions = {};
let waits = null;
let found = [];
let chosen = 0;

const made = (name, values) => Object.assign(document.createElement(name), values);

function rowOf(command) {
  const row = made("div", { className: "label-key" });
  const keys = made("button", { type: "button", className: "button quiet small", ariaLabel: `Key for ${command.words}` });
  const all = keysOf(command);
  if (all.length) for (const key of all) keys.append(made("kbd", { textContent: shownKey(key) }));
  else keys.append(made("span", { className: "muted", textContent: "no key" }));
  keys.addEventListener("click", () => {
    waits = command;
    keys.replaceChildren(made("span", { textContent: "Press a key…" }));
    note(`A key for “${command.words}”; Esc leaves it as it was.`);
  });
  row.append(keys, made("span", { textContent: command.id === "quick-1" ? "Quick tag 1 on or off, and so on to 9" : command.words }));
  return row;
}

const note = (text) => (byId("sheet-note").textContent = text);

function draw() {
  byId("sheet-list").replaceChildren(
    ...Object.entries(MODES).map(([mode, title]) => {
      const group = made("section", { className: "label-key-group" });
      group.append(made("h3", { textContent: title }), ...commands.filter((each) => each.mode === mode && !/^quick-[2-9]$/.test(each.id)).map(rowOf));
      return group;
    }),
  );
}

export function openSheet() {
  note("Press a button to give a command another key; your browser remembers it.");
  draw();
  sheet.showModal();
}

function catchKey(event) {
  if (!waits || ["Control", "Shift", "Alt", "Meta"].includes(event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const command = waits;
  waits = null;
  const key = nameOf(event);
  if (event.key === "Escape" && command.id !== "leave") note("Nothing was changed.");
  else if (isOfBrowser(key)) note(`${shownKey(key)} belongs to the browser. Choose another.`);
  else if (command.mode === "edit" && !/^(Ctrl|Alt)\+|^Page|^Escape$/.test(key)) note(`${shownKey(key)} is needed for writing. Choose one with Ctrl or Alt.`);
  else {
    const losers = assign(command.id, key);
    note(`${shownKey(key)}: ${command.words}.${losers.length ? ` “${losers[0].words}” has lost it.` : ""}`);
    tell("keys");
  }
  draw();
}

// Letters in their order are enough: "nxrv" finds “Next … reviewed”. Words that begin so come first.
function score(words, typed) {
  const low = words.toLowerCase();
  const at = low.indexOf(typed);
  if (at >= 0) return at === 0 || low[at - 1] === " " ? 2 : 1;
  let from = 0;
  for (const letter of typed.replaceAll(" ", "")) {
    from = low.indexOf(letter, from) + 1;
    if (!from) return -1;
  }
  return 0;
}

function drawPalette() {
  const typed = byId("palette-text").value.trim().toLowerCase();
  found = commands
    .filter((each) => each.mode === "nav" && each.id !== "palette")
    .map((command) => ({ command, rank: score(command.words, typed) }))
    .filter((each) => each.rank >= 0)
    .sort((a, b) => b.rank - a.rank)
    .map((each) => each.command);
  chosen = 0;
  list.replaceChildren(
    ...found.map((command, at) => {
      const row = made("li", { role: "option", id: `palette-${at}`, ariaSelected: String(at === 0) });
      row.append(made("span", { textContent: command.words }));
      const [key] = keysOf(command);
      if (key) row.append(made("kbd", { textContent: shownKey(key) }));
      row.addEventListener("click", () => run(at));
      return row;
    }),
  );
}

function move(by) {
  if (!found.length) return;
  chosen = (chosen + by + found.length) % found.length;
  for (const [at, row] of [...list.children].entries()) row.ariaSelected = String(at === chosen);
  list.children[chosen].scrollIntoView({ block: "nearest" });
  byId("palette-text").setAttribute("aria-activedescendant", `palette-${chosen}`);
}

function run(at) {
  const command = found[at];
  palette.close();
  if (command) actions[command.id]();
}

export function openPalette() {
  byId("palette-text").value = "";
  drawPalette();
  palette.showModal();
  byId("palette-text").focus();
}

export function start(table) {
  actions = table;
  addEventListener("keydown", catchKey, true);
  sheet.addEventListener("close", () => (waits = null));
  byId("sheet-reset").addEventListener("click", () => {
    reset();
    note("All keys are as they were.");
    tell("keys");
    draw();
  });
  byId("palette-text").addEventListener("input", drawPalette);
  byId("palette-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run(chosen);
  });
  byId("palette-text").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) event.preventDefault();
    if (by) move(by);
  });
  byId("palette-open").addEventListener("click", openPalette);
  // The rail's own button shows the keys of this screen.
  document.querySelector("[data-keys-open]").addEventListener("click", (event) => {
    event.stopImmediatePropagation();
    openSheet();
  }, true);
}
