// How the caption is read: its segments as chips, what the tokenizer counts, and the texts that training may see.
import { ask } from "./net.js";
import { byId, on, state } from "./state.js";

const DELAY_MS = 150;
const WINDOW = 75;
const lines = byId("reading");
const trainings = byId("trainings");
let timer = 0;
let seq = 0;

const KINDS = { prose: "sentence", trigger: "trigger word", keep: "stays in place", group: "move together", secondary: "secondary", wildcard: "one of these" };

function chip(segment) {
  const made = Object.assign(document.createElement("span"), { className: `label-chip ${segment.kind}`, textContent: segment.text.trim() });
  if (segment.kind === "keep" || segment.kind === "group") made.className = `label-sign ${segment.kind}`;
  if (KINDS[segment.kind]) made.title = KINDS[segment.kind];
  return made;
}

function line(read) {
  const row = Object.assign(document.createElement("li"), { className: "label-line" });
  const chips = Object.assign(document.createElement("div"), { className: "label-chips" });
  const breaks = [...(read.breaks ?? [])];
  let at = 0;
  for (const segment of read.segments) {
    const end = at + segment.text.length;
    const isGap = segment.kind === "gap" || segment.kind === "comma" || !segment.text.trim();
    if (!isGap) chips.append(chip(segment));
    while (breaks.length && breaks[0] < end) {
      breaks.shift();
      chips.append(Object.assign(document.createElement("span"), { className: "label-break", textContent: String(WINDOW), title: `After ${WINDOW} tokens a new window begins` }));
    }
    at = end;
  }
  if (!chips.children.length) chips.append(Object.assign(document.createElement("span"), { className: "muted small", textContent: "empty" }));
  const count = Object.assign(document.createElement("span"), { className: `label-tokens num small ${read.tokens > WINDOW ? "over" : "muted"}` });
  if (read.tokens !== null) count.textContent = `${read.tokens} / ${WINDOW * Math.max(1, Math.ceil(read.tokens / WINDOW))} tokens`;
  row.append(chips, count);
  return row;
}

function withTrigger(text) {
  const row = Object.assign(document.createElement("li"), { className: "training-text" });
  const word = state.trigger;
  const at = word ? text.toLowerCase().indexOf(word.toLowerCase()) : -1;
  if (at < 0) row.textContent = text || "nothing: the caption was dropped";
  else row.append(text.slice(0, at), Object.assign(document.createElement("mark"), { textContent: text.slice(at, at + word.length) }), text.slice(at + word.length));
  return row;
}

async function read(text) {
  const mine = (seq += 1);
  const { status, body } = await ask(`${state.url}/label/read.json`, { form: { text } });
  if (mine !== seq || status !== 200) return;
  lines.replaceChildren(...body.lines.map(line));
  const texts = [...new Set(body.trainings ?? body.lines.flatMap((each) => each.trainings ?? []))];
  trainings.replaceChildren(...texts.slice(0, 4).map(withTrigger));
}

export function start() {
  on("text", ({ text }) => {
    clearTimeout(timer);
    timer = setTimeout(read, DELAY_MS, text);
  });
}
