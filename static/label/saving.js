// Saving: every edit carries its image and the revision it was made on. Each image has its own queue, one request at a time;
// what fails stays queued and is tried again; a conflict waits for a person; leaving the page warns.
import { ask, reason } from "./net.js";
import { change, isIdle, refresh } from "./rows.js";
import { byId, state, tell, toast } from "./state.js";

const AT_ONCE = 4;
const RETRY_MS = [1000, 2000, 5000, 15_000];
const KEY = `label-unsaved-${state.project}`;
// image id → {revision, base, ops, flight, state, reason, tries, timer, conflict}; an op is {text} or {fields, values, was},
// where the values are what the row then shows and `was` on what it was changed, with the step that it belongs to where one
// key changes several images.
const entries = new Map();
let savedAt = null;

export const entryOf = (id) => entries.get(id) ?? null;
export const conflictOf = (id) => entries.get(id)?.conflict ?? null;

// The words of an image as they will be once everything is saved.
export function textOf(id) {
  const op = entries.get(id)?.ops.findLast((each) => "text" in each);
  return op ? op.text : (state.rows.get(id)?.caption ?? "");
}

// The name of a step, so that one undo takes back what one key did to several images.
export const newStep = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export function writeText(id, text, step = "") {
  if (text === textOf(id)) return;
  const entry = open(id);
  if (!entry) return;
  const last = entry.ops.at(-1);
  // What is on its way is let go; what waits behind it is overwritten, since only the last words count.
  if (last && "text" in last && last !== entry.flight && last.step === step) last.text = text;
  else entry.ops.push({ text, step });
  if (entry.state === "refused") entry.state = "pending";
  begin(id, entry);
}

export function writeFields(id, fields, values, step = "") {
  const entry = open(id);
  if (!entry) return;
  const was = madeOn(state.rows.get(id), fields);
  const last = entry.ops.at(-1);
  if (last && "fields" in last && last !== entry.flight && last.step === step) {
    Object.assign(last.fields, fields);
    last.values = { ...last.values, ...values };
    last.was = { ...was, ...last.was };
  } else entry.ops.push({ fields: { ...fields }, values, was, step });
  change(id, values);
  begin(id, entry);
}

// What these fields are before they change: the studio tells from it whether somebody set them meanwhile.
function madeOn(row, fields) {
  const names = row ? Object.keys(fields).filter((name) => name !== "removed") : [];
  return Object.fromEntries(names.map((name) => [`was_${name}`, name === "reviewed" ? (row.reviewed_by ? "on" : "off") : row[name]]));
}

// What the row of an image shows that the store does not know of yet.
export const unsavedOf = (id) => Object.assign({}, ...(entries.get(id)?.ops ?? []).map((each) => each.values));

function open(id) {
  const row = state.rows.get(id);
  if (!entries.has(id) && !row) return null;
  if (!entries.has(id)) entries.set(id, { revision: row.revision, base: row.caption ?? "", ops: [], flight: null, state: "pending", reason: "", tries: 0, timer: 0, conflict: null });
  return entries.get(id);
}

function begin(id, entry) {
  keep();
  noted(id);
  if (entry.state === "pending" || entry.state === "saved") {
    entry.state = "pending";
    pump();
  }
}

function pump() {
  let flights = [...entries.values()].filter((each) => each.flight).length;
  for (const [id, entry] of entries) {
    if (flights >= AT_ONCE) return;
    if (entry.flight || entry.state !== "pending" || !entry.ops.length) continue;
    flights += 1;
    send(id, entry);
  }
}

async function send(id, entry) {
  const op = (entry.flight = entry.ops[0]);
  const isText = "text" in op;
  const sent = isText ? op.text : null;
  const form = { revision: entry.revision, step: op.step ?? "", ...(isText ? { text: op.text } : { ...op.fields, ...op.was }) };
  const answer = await ask(`/images/${id}/label${isText ? "" : "/fields"}`, { form });
  entry.flight = null;
  if (answer.status === 200) accepted(id, entry, op, sent, answer.body);
  else if (answer.status === 409) clash(id, entry, op, answer.body);
  else failed(entry, answer);
  keep();
  noted(id);
  if (entry.conflict) tell("conflict", id);
  pump();
}

function accepted(id, entry, op, sent, body) {
  entry.ops.splice(entry.ops.indexOf(op), 1);
  Object.assign(entry, { revision: body.revision, tries: 0, reason: "", state: entry.ops.length ? "pending" : "saved" });
  savedAt = body.saved_at ?? new Date().toISOString();
  if (sent !== null) entry.base = sent;
  change(id, { revision: body.revision, ...(sent === null ? {} : { caption: sent, by: state.person || "you" }) });
  if (!entry.ops.length) entries.delete(id);
}

// The words there are the same: nothing to ask a person about, only the revision was old.
function clash(id, entry, op, body) {
  entry.revision = body.revision;
  if (body.fields) giveWay(id, entry, op, body);
  const isOnlyFields = !entry.ops.some((each) => "text" in each);
  if (isOnlyFields) refresh([id]);
  if (isOnlyFields || body.text === entry.base) return;
  if ("text" in op && body.text === op.text) {
    entry.base = op.text;
    return;
  }
  entry.state = "conflict";
  entry.conflict = { text: body.text ?? "", by: body.by ?? "somebody" };
}

// Somebody set the very field meanwhile: what stands there stays, and is said. Fields beside it are sent again.
function giveWay(id, entry, op, body) {
  const now = { ...body.fields, reviewed: body.fields.reviewed_by ? "on" : "off" };
  const isFree = (name) => !(name in now) || [op.was[`was_${name}`], op.fields[name]].map(String).includes(String(now[name]));
  const all = Object.keys(op.fields);
  const free = all.filter(isFree);
  const rest = free.length && free.length < all.length ? [only(op, free)] : [];
  entry.ops.splice(entry.ops.indexOf(op), 1, ...rest);
  change(id, { ...body.fields, ...unsavedOf(id) });
  toast(reason({ body }), "warn");
  if (entry.ops.length) return;
  entry.state = "saved";
  savedAt ??= new Date().toISOString();
  entries.delete(id);
}

function only(op, names) {
  const part = (from, keys) => Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]]));
  const shown = names.map((name) => (name === "reviewed" ? "reviewed_by" : name));
  return { ...op, fields: part(op.fields, names), values: part(op.values, shown), was: part(op.was, names.map((name) => `was_${name}`)) };
}

function failed(entry, answer) {
  const isFinal = answer.status === 422 || answer.status === 404 || answer.status === 413;
  entry.reason = reason(answer);
  entry.state = isFinal ? "refused" : "failed";
  if (isFinal) return;
  clearTimeout(entry.timer);
  entry.timer = setTimeout(() => retry(entry), RETRY_MS[Math.min(entry.tries, RETRY_MS.length - 1)]);
  entry.tries += 1;
}

function retry(entry) {
  clearTimeout(entry.timer);
  if (entry.state === "failed") entry.state = "pending";
  pump();
}

export function retryAll() {
  for (const entry of entries.values()) {
    if (entry.state === "refused") entry.state = "failed";
    retry(entry);
  }
}

// A person chose what the words shall be after a conflict.
export function settle(id, text) {
  const entry = entries.get(id);
  if (!entry?.conflict) return;
  const theirs = entry.conflict.text;
  const fields = entry.ops.filter((each) => "fields" in each);
  Object.assign(entry, { conflict: null, state: "pending", base: theirs, ops: [...fields] });
  change(id, { caption: theirs, revision: entry.revision });
  if (text !== theirs) entry.ops.unshift({ text, step: "" });
  if (!entry.ops.length) entries.delete(id);
  keep();
  noted(id);
  pump();
}

export function standing() {
  const states = [...entries.values()].map((each) => each.state);
  const count = (name) => states.filter((each) => each === name).length;
  // What still waits for its image is not saved either.
  return { pending: count("pending") + Number(!isIdle()), failed: count("failed"), refused: count("refused"), conflicts: count("conflict"), savedAt };
}

export const stateOf = (id) => entries.get(id)?.state ?? "saved";
export const isBusy = (id) => Boolean(entries.get(id)?.ops.length);

// Resolves once nothing is on its way any more: whether all (or the one image) is saved.
export function settled(id = null) {
  const isDone = () => ![...entries].some(([key, each]) => (id === null || key === id) && each.state === "pending");
  const isSaved = () => ![...entries].some(([key, each]) => (id === null || key === id) && each.ops.length);
  return new Promise((resolve) => {
    if (isDone()) return resolve(isSaved());
    waiting.push(() => isDone() && (resolve(isSaved()), true));
  });
}

let waiting = [];

function noted(id) {
  tell("saving", id);
  waiting = waiting.filter((each) => !each());
}

// What is not saved outlives a reload of this tab.
function keep() {
  const unsaved = [...entries].filter(([, each]) => each.ops.length).map(([id, each]) => [id, each.revision, each.base, each.ops]);
  try {
    if (unsaved.length) sessionStorage.setItem(KEY, JSON.stringify(unsaved));
    else sessionStorage.removeItem(KEY);
  } catch {
    // without storage the warning on leaving has to do
  }
}

export function resume() {
  let unsaved = [];
  try {
    unsaved = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    // what cannot be read cannot be resumed
  }
  for (const [id, revision, base, ops] of unsaved) {
    entries.set(id, { revision, base, ops, flight: null, state: "pending", reason: "", tries: 0, timer: 0, conflict: null });
    noted(id);
  }
  pump();
}

addEventListener("beforeunload", (event) => {
  tell("leave", state.current);
  if (!isIdle() || [...entries.values()].some((each) => each.ops.length)) event.preventDefault();
});
addEventListener("online", retryAll);
byId("status-saving").addEventListener("click", retryAll);
