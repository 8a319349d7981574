// How the caption is read: its tags as chips, what the tokenizer counts, and the texts that training may see.
import * as chips from "./chips.js";
import { rewrite } from "./editor.js";
import { ask } from "./net.js";
import { loaded } from "./rows.js";
import { byId, on, state, toast } from "./state.js";

const DELAY_MS = 150;
const WINDOW = 75;
const MOST_TRIES = 3;
const list = byId("reading");
const trainings = byId("trainings");
let timer = 0;
let seq = 0;
// What the field holds, and what was read of it: the lines of {segments, tokens, breaks}.
let field = { id: 0, text: "" };
let model = { id: 0, text: null, lines: [] };
// Which chip has the focus, counted through all lines; -1 while none has.
export const spot = { place: -1 };

const KINDS = { prose: "sentence", trigger: "stands for the trigger word", keep: "What stands before it stays in front when tags are shuffled", group: "move together", wildcard: "one of these" };
const made = (name, values) => Object.assign(document.createElement(name), values);
export const buttons = () => [...list.querySelectorAll(".label-chip")];
const isInside = () => list.contains(document.activeElement);

// Every chip as {line, at}: the place of its segment.
export const places = () => model.lines.flatMap(({ segments }, line) => [...segments.keys()].filter((at) => chips.isChip(segments[at])).map((at) => ({ line, at })));

function chip(segments, at, place) {
  const segment = segments[at];
  const kept = chips.isKept(segments, at);
  const button = made("button", { type: "button", className: `label-chip ${segment.kind}${kept ? " kept" : ""}`, draggable: true, tabIndex: place === Math.max(spot.place, 0) ? 0 : -1 });
  button.append(made("span", { textContent: segment.text }), made("span", { className: "label-chip-x", textContent: "×", ariaHidden: "true", title: "Take it out (X)" }));
  button.ariaLabel = `${segment.text}${kept ? ", kept in front" : ""}`;
  if (KINDS[segment.kind]) button.title = KINDS[segment.kind];
  return button;
}

function line(read, first) {
  const row = made("li", { className: "label-line" });
  const shown = made("div", { className: "label-chips" });
  const breaks = [...read.breaks];
  let [end, place] = [0, first];
  for (const [at, segment] of read.segments.entries()) {
    end += segment.text.length;
    if (chips.isChip(segment)) shown.append(chip(read.segments, at, place++));
    else if (segment.kind !== "gap") shown.append(made("span", { className: segment.kind === "prose" ? "label-sentence" : `label-sign ${segment.kind}`, textContent: segment.text, title: KINDS[segment.kind] ?? "" }));
    while (breaks.length && breaks[0] < end) {
      breaks.shift();
      shown.append(made("span", { className: "label-break", textContent: String(WINDOW), title: `After ${WINDOW} tokens a new window begins` }));
    }
  }
  if (!shown.children.length) shown.append(made("span", { className: "muted small", textContent: "empty" }));
  const count = made("span", { className: `label-tokens num small ${read.tokens > WINDOW ? "over" : "muted"}` });
  if (read.tokens !== null) count.textContent = `${read.tokens} / ${WINDOW * Math.max(1, Math.ceil(read.tokens / WINDOW))} tokens`;
  row.append(shown, count);
  return [row, place];
}

export function draw() {
  list.removeAttribute("data-stale");
  const wasInside = isInside();
  if (wasInside) list.focus({ preventScroll: true });
  const rows = [];
  let first = 0;
  for (const each of model.lines) {
    const [row, next] = line(each, first);
    rows.push(row);
    first = next;
  }
  list.replaceChildren(...rows);
  if (wasInside) focus(spot.place);
}

export function focus(place) {
  const all = buttons();
  spot.place = Math.min(Math.max(place, 0), all.length - 1);
  for (const [at, each] of all.entries()) each.tabIndex = at === Math.max(spot.place, 0) ? 0 : -1;
  (all[spot.place] ?? list).focus({ preventScroll: false });
}

function withTrigger(text) {
  const row = made("li", { className: "training-text" });
  const word = state.trigger;
  const at = word ? text.toLowerCase().indexOf(word.toLowerCase()) : -1;
  if (at < 0) row.textContent = text || "nothing: the caption was dropped";
  else row.append(text.slice(0, at), made("mark", { textContent: text.slice(at, at + word.length) }), text.slice(at + word.length));
  return row;
}

async function read() {
  clearTimeout(timer);
  const { id, text } = field;
  const mine = (seq += 1);
  const { status, body } = await ask(`${state.url}/label/read.json`, { form: { text } });
  if (mine !== seq || status !== 200) return;
  model = { id, text: body.lines.map((each) => chips.textOf(each.segments)).join("\n"), lines: body.lines };
  // Somebody writes a chip anew: what they type is not taken from under their hands.
  if (!list.querySelector("input")) draw();
  const texts = [...new Set(body.lines.flatMap((each) => each.trainings))];
  trainings.replaceChildren(...texts.slice(0, 4).map(withTrigger));
}

// Whether the chips are those of what the field holds now; asks for them until they are.
export async function isCurrent() {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    await loaded([state.current]);
    const isRead = model.id === field.id && model.text === field.text && field.id === state.current;
    if (isRead) return true;
    await read();
  }
  toast("The tags of this caption could not be read, so none was changed.", "warn");
  return false;
}

// Writes one line anew; `place` is where the focus is afterwards.
export function put(at, segments, place) {
  const lines = model.lines.with(at, { ...model.lines[at], segments, breaks: [] });
  const text = lines.map((each) => chips.textOf(each.segments)).join("\n");
  if (text === field.text) return;
  model = { ...model, text, lines };
  spot.place = place;
  rewrite(text);
  draw();
}

export const hasWords = () => Boolean(field.text.trim()) || field.id !== state.current || !state.rows.get(state.current);
export const lineOf = (place) => model.lines[place] ?? null;

export function start() {
  on("text", ({ id, text }) => {
    field = { id, text };
    list.toggleAttribute("data-stale", id !== model.id);
    clearTimeout(timer);
    // Its words are still on their way.
    if (!state.rows.get(id) && !text) return;
    timer = setTimeout(read, DELAY_MS);
  });
}
