// What the commands do. Those that change images are about the marked ones, else about the one that is shown.
import * as editor from "./editor.js";
import * as filter from "./filter.js";
import * as ghosts from "./ghosts.js";
import * as merge from "./merge.js";
import { lead } from "./panel.js";
import * as pass from "./pass.js";
import * as quick from "./quick.js";
import * as retag from "./retag.js";
import * as sheet from "./sheet.js";
import * as stage from "./stage.js";
import { inTurn, refresh, withRows } from "./rows.js";
import { newStep, retryAll, settled, textOf, writeFields, writeText } from "./saving.js";
import { addTag, apply, difference, hasTag, removeTag, tagsOf } from "./segments.js";
import { byId, currentRow, mark, on, place, setIndex, show, state, step, targets, tell, toast, unmarkAll } from "./state.js";
import { ask, reason } from "./net.js";
import { hold } from "../turns.js";

let edited = { id: 0, before: "", after: "" };
let copied = [];
// What one key does to several images is one step of the history.
const stepFor = (ids) => (ids.length > 1 ? newStep() : "");
const many = (count) => (count === 1 ? "1 image" : `${count} images`);

// Changes the words of every target; one that has not come yet is asked for first. `plan` gives the change for these rows.
function rewrite(plan, isPossible = () => true) {
  editor.flush();
  const ids = targets();
  return withRows(ids, (rows) => isPossible() && write(rows, plan, ids.length > 1));
}

function write(rows, plan, isMany) {
  const step = isMany ? newStep() : "";
  const [rewritten, said] = plan(rows);
  let count = 0;
  // Also what was typed while they came.
  editor.flush();
  for (const row of rows) {
    const before = textOf(row.id);
    const after = rewritten(before);
    if (after === before) continue;
    count += 1;
    writeText(row.id, after, step);
    tell("settled", row.id);
  }
  if (isMany || !count) toast(count ? `${said}: ${many(count)}` : "Nothing to change here.");
}

// `plan` gives, for a row and the first of all rows, what is sent and what the row shows then.
function set(plan) {
  editor.flush();
  const ids = targets();
  const step = stepFor(ids);
  return withRows(ids, (rows) => {
    // All become what the first of them is not: as it was before.
    const plans = rows.map((row) => [row.id, plan(row, rows[0])]);
    for (const [id, { fields, values = fields }] of plans) writeFields(id, fields, values, step);
  });
}

const more = (by) => set((row) => ({ fields: { repeats: Math.min(1000, Math.max(1, row.repeats + by)) } }));
const split = () => set((_, first) => ({ fields: { split: first.split === "train" ? "held-out" : "train" } }));
const review = () => set(() => ({ fields: { reviewed: "on" }, values: { reviewed_by: state.person || "you" } }));

// The next image comes at once, even while the row of this one is still on its way.
function reviewed() {
  review();
  if (!state.marked.size) step(1);
}

function remove() {
  editor.flush();
  const ids = targets();
  if (!ids.length) return;
  const gone = new Set(ids);
  state.marked.clear();
  withRows(ids, (rows) => takeOut(rows, stepFor(ids)));
  for (const id of ids) state.leaving.add(id);
  setIndex(state.ids.filter((id) => !gone.has(id)), state.total - gone.size);
}

function takeOut(rows, step) {
  if (!rows.length) return;
  for (const row of rows) writeFields(row.id, { removed: "on" }, {}, step);
  toast(rows.length === 1 ? `${rows[0].name} is out of the project. Ctrl Z brings it back.` : `${many(rows.length)} are out of the project. Ctrl Z brings them back.`);
}

// The next key is about what stands afterwards: it waits.
function travel(verb) {
  editor.flush();
  hold(inTurn(() => go(verb)));
}

async function go(verb) {
  const from = state.current;
  if (!(await settled())) return toast("Some words are not saved yet; undo works on what is saved.", "warn");
  const answer = await ask(`${state.url}/${verb}`, { form: {} });
  if (answer.status !== 200) return toast(answer.status === 404 || answer.status === 409 || answer.status === 422 ? reason(answer) : `That did not work: ${reason(answer)}.`, "warn");
  const { said, images, can_undo, can_redo } = answer.body;
  byId("undo").disabled = !can_undo;
  byId("redo").disabled = !can_redo;
  toast(said, "ok");
  for (const id of images) {
    state.leaving.delete(id);
    if (!state.places.has(id)) state.rows.delete(id);
  }
  await refresh(images.filter((id) => state.rows.has(id)));
  // Whoever has gone on meanwhile is not called back.
  const isHere = state.current === from;
  await filter.load();
  if (images.length === 1 && state.places.has(images[0]) && state.mode === "nav" && isHere) show(images[0]);
  for (const id of images) tell("settled", id);
  tell("saving", 0);
}

export async function history() {
  const { status, body } = await ask(`${state.url}/history.json`);
  if (status !== 200) return;
  for (const verb of ["undo", "redo"]) {
    byId(verb).disabled = !body[verb];
    byId(verb).title = body[verb] ? `${verb === "undo" ? "Undo" : "Redo"}: ${body[verb]}` : `Nothing to ${verb}`;
  }
}

// The next key is about the image that is found: it waits, and is let go where none is.
const next = (...wish) => hold(seek(...wish));

// `terms` are tried in turn: the first may need what this project lacks, such as a tokenizer.
async function seek(terms, isWanted, none) {
  const [at, from] = [place(), state.current];
  const near = state.ids.slice(at + 1, at + 40).find((id) => state.rows.has(id) && isWanted(state.rows.get(id)));
  if (near) return show(near);
  let ids = null;
  for (const term of terms) ids ??= await filter.find(term);
  // Whoever has gone on meanwhile is not called back.
  if (state.current !== from || state.mode !== "nav") return false;
  ids ??= state.ids.filter((each) => state.rows.has(each) && isWanted(state.rows.get(each)));
  const id = ids.find((each) => (state.places.get(each) ?? -1) > at) ?? ids.find((each) => each !== state.current && state.places.has(each));
  if (id) return show(id);
  toast(none);
  return false;
}

function toggleQuick(digit) {
  const tag = quick.quickTag(digit);
  if (!tag) return quick.edit();
  return rewrite((rows) => {
    // Some have it, some have not: then all get it.
    const everyHas = rows.every((row) => hasTag(textOf(row.id), tag));
    return [(text) => (everyHas ? removeTag(text, tag) : addTag(text, tag)), `${everyHas ? "Without" : "With"} “${tag}”`];
  });
}

function copy() {
  editor.flush();
  withRows([state.current].filter(Boolean), ([row]) => {
    copied = row ? tagsOf(textOf(row.id)) : [];
    toast(copied.length ? `Copied ${copied.length} ${copied.length === 1 ? "tag" : "tags"}: ${copied.join(", ").slice(0, 80)}` : "This caption has no tags.");
  });
}

// What is copied is known once the keys before are done.
const paste = () => rewrite(() => [(text) => apply(text, { added: copied, removed: [] }), "Pasted"], () => copied.length > 0 || toast("Copy the tags of an image first."));

function repeat() {
  const last = difference(edited.before, edited.after);
  if (!last.added.length && !last.removed.length) return toast("No edit to repeat yet.");
  return rewrite(() => [(text) => apply(text, last), "Done again"]);
}

function extend(by) {
  if (state.current) mark(state.current, true);
  step(by);
  if (state.current) mark(state.current, true);
}

function writeOn(by) {
  step(by);
  editor.enter();
}

function writeReviewed() {
  review();
  writeOn(1);
}

function collapse() {
  const root = byId("label");
  root.toggleAttribute("data-narrow");
}

const press = (id) => byId(id).click();

export const actions = {
  next: () => step(1),
  previous: () => step(-1),
  first: () => step(-Infinity),
  last: () => step(Infinity),
  "far-next": () => step(10),
  "far-previous": () => step(-10),
  unreviewed: () => next(["-is:reviewed"], (row) => !row.reviewed_by, "Every image here is reviewed."),
  error: () => next(["(is:untagged or is:error or tokens:>75)", "(is:untagged or is:error)"], (row) => !textOf(row.id).trim(), "No image here has a problem."),
  edit: editor.enter,
  mark: () => mark(state.current, !state.marked.has(state.current)),
  "mark-next": () => extend(1),
  "mark-previous": () => extend(-1),
  "mark-all": () => {
    state.marked = new Set(state.ids);
    tell("marked");
  },
  "dismiss-all": () => filter.closePops() || unmarkAll(),
  back: filter.closePops,
  reviewed,
  unreview: () => set(() => ({ fields: { reviewed: "off" }, values: { reviewed_by: null } })),
  split,
  more: () => more(1),
  fewer: () => more(-1),
  remove,
  undo: () => travel("undo"),
  redo: () => travel("redo"),
  repeat,
  copy,
  paste,
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [`quick-${digit}`, () => toggleQuick(digit)])),
  "quick-edit": quick.edit,
  accept: ghosts.acceptAll,
  choose: ghosts.choose,
  dismiss: ghosts.dismiss,
  pass: pass.begin,
  filter: filter.focus,
  facets: filter.facets,
  saved: filter.saved,
  bulk: () => (filter.isUsable() ? press("open-bulk") : toast("The filter cannot be read; a bulk edit waits until it can.", "warn")),
  tags: () => lead(`${state.url}/tags`),
  versions: () => lead(`${state.url}/versions`),
  polish: () => press("open-polish"),
  size: stage.toggleSize,
  loupe: stage.toggleLoupe,
  overlay: stage.toggleOverlay,
  mask: stage.toggleMask,
  "pan-left": () => stage.pan(-1, 0),
  "pan-right": () => stage.pan(1, 0),
  "pan-up": () => stage.pan(0, -1),
  "pan-down": () => stage.pan(0, 1),
  collapse,
  merge: merge.decide,
  retry: retryAll,
  person: () => press("person-open"),
  palette: sheet.openPalette,
  sheet: sheet.openSheet,
  leave: editor.leave,
  "write-next": () => writeOn(1),
  "write-previous": () => writeOn(-1),
  "write-reviewed": writeReviewed,
  "tag-earlier": () => editor.shift(-1),
  "tag-later": () => editor.shift(1),
  ...retag.actions,
  "chip-undo": () => travel("undo"),
  "chip-redo": () => travel("redo"),
  "pass-yes": pass.yes,
  "pass-no": pass.no,
  "pass-skip": pass.skip,
  "pass-back": pass.back,
  "pass-size": stage.toggleSize,
  "pass-end": pass.end,
};

export function start() {
  on("edited", ({ id, before, after }) => {
    edited = { id, before: edited.id === id ? edited.before : before, after };
  });
  on("leave", () => {
    if (edited.id) edited = { ...edited, id: 0 };
  });
  for (const [id, name] of [["undo", "undo"], ["redo", "redo"], ["fact-reviewed", "reviewed"], ["fact-split", "split"], ["fact-fewer", "fewer"], ["fact-more", "more"], ["fact-remove", "remove"]]) {
    byId(id).addEventListener("click", () => (id === "fact-reviewed" && currentRow()?.reviewed_by ? actions.unreview() : actions[name]()));
  }
  quick.start(toggleQuick);
}
