// Tags changed one by one. The text in the field is the one truth: a change of a chip is a change of the text, and is saved
// and undone as typing is. Keys are carried out in their order, each once the words it is about have been read.
import * as chips from "./chips.js";
import { enter as enterField } from "./editor.js";
import { buttons, draw, focus, hasWords, isCurrent, lineOf, places, put, spot } from "./reading.js";
import { byId, on, setMode, state, step, toast } from "./state.js";
import { hold } from "../turns.js";

const list = byId("reading");
const tools = byId("chip-tools");
const made = (name, values) => Object.assign(document.createElement(name), values);
let chain = Promise.resolve();
let generation = 0;
let isPaging = false;

// Does something with the chips of the image that is shown, once what was asked for before is done; the next key waits.
function act(work) {
  const mine = generation;
  chain = chain.then(async () => {
    if (mine === generation && (await isCurrent()) && mine === generation) work();
  });
  hold(chain);
}

// Changes the line of the chip that has the focus; `goes` is where the focus is afterwards.
function change(plan, goes = (place) => place) {
  act(() => {
    const here = places()[spot.place];
    if (!here) return;
    const { segments } = lineOf(here.line);
    const next = plan(segments, here.at);
    if (!next) return;
    put(here.line, next, goes(spot.place));
  });
}

const neighbour = (segments, at, by) => {
  const all = [...segments.keys()].filter((each) => chips.isChip(segments[each]));
  return all[all.indexOf(at) + by];
};

function shift(by) {
  let moves = false;
  change((segments, at) => {
    const to = neighbour(segments, at, by);
    moves = to !== undefined;
    return moves ? chips.move(segments, at, to) : null;
  }, (place) => place + (moves ? by : 0));
}

function write() {
  if (!hasWords()) {
    // Nothing that was asked for before has a tag to change, and none of it may take the focus from the field later.
    generation += 1;
    return enterField();
  }
  act(() => {
    const button = buttons()[spot.place];
    const here = places()[spot.place];
    if (!button || !here) return enterField();
    const place = spot.place;
    const before = lineOf(here.line).segments[here.at].text;
    const input = made("input", { className: "input label-chip-edit", value: before, ariaLabel: `Write “${before}” anew`, spellcheck: false });
    input.size = Math.max(4, before.length + 1);
    let isOver = false;
    const end = (isKept, isBack) => {
      if (isOver) return;
      isOver = true;
      const words = input.value;
      const isThere = lineOf(here.line)?.segments[here.at]?.text === before;
      const isNew = isKept && words.trim() !== before;
      if (isNew && !isThere) toast(`“${words}” was not written: the caption has changed meanwhile.`, "warn");
      if (!isNew || !isThere) draw();
      else put(here.line, chips.rewrite(lineOf(here.line).segments, here.at, words), place);
      if (isBack) focus(place);
    };
    input.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape", "Tab"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      end(event.key !== "Escape", true);
    });
    input.addEventListener("input", () => (input.size = Math.max(4, input.value.length + 1)));
    input.addEventListener("blur", () => end(true, false));
    finish = () => end(true, false);
    list.focus({ preventScroll: true });
    button.replaceWith(input);
    input.focus();
    input.select();
  });
}

// Ends the writing of a chip, before the image is another one.
let finish = () => {};

function page(by) {
  act(() => {
    isPaging = true;
    step(by);
    isPaging = false;
    spot.place = 0;
  });
}

// The next key is one on a chip already, even while these are still being read.
function enter() {
  if (!state.current) return;
  spot.place = 0;
  list.focus({ preventScroll: true });
  act(() => {
    focus(0);
    // One stays here all the same: the next key was meant for a tag, and must not be a command about the image.
    if (!places().length) toast("This caption has no tags. Enter writes some, Esc goes back to the images.");
  });
}

export const actions = {
  chips: enter,
  "chip-next": () => act(() => focus(spot.place + 1)),
  "chip-previous": () => act(() => focus(spot.place - 1)),
  "chip-first": () => act(() => focus(0)),
  "chip-last": () => act(() => focus(Infinity)),
  "chip-earlier": () => shift(-1),
  "chip-later": () => shift(1),
  "chip-remove": () => change((segments, at) => chips.remove(segments, at)),
  "chip-pin": () => change((segments, at) => chips.pin(segments, at)),
  "chip-edit": write,
  "chip-page-next": () => page(1),
  "chip-page-previous": () => page(-1),
  "chip-end": () => {
    chain = chain.then(() => byId("grid").focus({ preventScroll: true }));
    hold(chain);
  },
};

function startDrag() {
  let from = null;
  const over = (event) => {
    const button = event.target.closest?.(".label-chip");
    const to = button && places()[buttons().indexOf(button)];
    return from && to && to.line === from.line && to.at !== from.at ? { button, to } : null;
  };
  const clear = () => list.querySelectorAll(".drop").forEach((each) => each.classList.remove("drop"));
  list.addEventListener("dragstart", (event) => {
    const place = buttons().indexOf(event.target.closest(".label-chip"));
    from = places()[place] ?? null;
    if (!from) return;
    spot.place = place;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", lineOf(from.line).segments[from.at].text);
  });
  list.addEventListener("dragover", (event) => {
    const found = over(event);
    clear();
    if (!found) return;
    event.preventDefault();
    found.button.classList.add("drop");
  });
  list.addEventListener("drop", (event) => {
    const found = over(event);
    clear();
    if (!found) return;
    event.preventDefault();
    const { at } = from;
    const place = buttons().indexOf(found.button);
    change((segments) => chips.move(segments, at, found.to.at), () => place);
  });
  list.addEventListener("dragend", () => {
    from = null;
    clear();
  });
}

function startTools() {
  // A press of them leaves the focus on the chip.
  tools.addEventListener("pointerdown", (event) => event.preventDefault());
  tools.addEventListener("click", (event) => {
    const button = event.target.closest("[data-chip]");
    if (button) actions[button.dataset.chip]();
  });
}

export function start() {
  list.addEventListener("focusin", (event) => {
    const place = buttons().indexOf(event.target);
    if (place >= 0) spot.place = place;
    setMode("chip");
  });
  list.addEventListener("focusout", (event) => {
    if (!list.contains(event.relatedTarget)) setMode("nav");
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".label-chip");
    if (!button) return;
    focus(buttons().indexOf(button));
    if (event.target.closest(".label-chip-x")) actions["chip-remove"]();
  });
  list.addEventListener("dblclick", (event) => event.target.closest(".label-chip") && write());
  on("mode", (mode) => (tools.hidden = mode !== "chip"));
  on("leave", () => {
    finish();
    if (!isPaging) generation += 1;
  });
  startDrag();
  startTools();
}
