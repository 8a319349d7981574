// The rows of images, asked for in batches as they come near: what is wanted now goes first, what no longer is is dropped.
import { ask } from "./net.js";
import { unsavedOf } from "./saving.js";
import { state, tell, toast } from "./state.js";

const BATCH = 100;
const AT_ONCE = 2;
const RETRY_MS = 2000;
const MOST_TRIES = 10;
const wanted = { near: [], seen: [] };
// The requests on their way, by the images they ask for.
const asked = new Map();
const gone = new Set();
let flights = 0;
let timer = 0;

// `group` is who asks: "near" for the image that is shown and its neighbours, "seen" for the tiles in sight.
export function want(group, ids) {
  wanted[group] = ids;
  clearTimeout(timer);
  timer = setTimeout(pump, group === "near" ? 0 : 30);
}

export async function refresh(ids) {
  for (let at = 0; at < ids.length; at += BATCH) {
    const batch = ids.slice(at, at + BATCH);
    for (let tries = 0; tries < MOST_TRIES && !(await fetchRows(batch)); tries += 1) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

let chain = Promise.resolve();
let turns = 0;

// Does something once all that was asked for before is done: what keys do stays in their order, also where one of them waits.
export function inTurn(work) {
  const told = (by) => {
    turns += by;
    tell("saving", 0);
  };
  told(1);
  chain = chain.then(() => work(), () => work()).finally(() => told(-1));
  return chain;
}

export const isIdle = () => !turns;

export const withRows = (ids, work) => inTurn(async () => work(await loaded(ids)));

// Rows of all these images, or those that still exist. A key that was pressed for them waits until they come, and is
// never dropped without a word.
export async function loaded(ids) {
  // What is on its way is not asked for again: the second answer would come after what the first one set off.
  await Promise.all(ids.map((id) => asked.get(id)));
  await refresh(ids.filter((id) => !state.rows.has(id)));
  if (ids.some((id) => !state.rows.has(id) && !gone.has(id))) toast("LoRA Studio does not answer: this change was not made.", "bad");
  return ids.map((id) => state.rows.get(id)).filter(Boolean);
}

function pump() {
  while (flights < AT_ONCE) {
    const ids = [...new Set([...wanted.near, ...wanted.seen])].filter((id) => !state.rows.has(id) && !asked.has(id) && !gone.has(id)).slice(0, BATCH);
    if (!ids.length) return;
    flights += 1;
    fetchRows(ids).then((isThere) => {
      flights -= 1;
      if (isThere) pump();
      else timer = setTimeout(pump, RETRY_MS);
    });
  }
}

function fetchRows(ids) {
  const flight = read(ids);
  for (const id of ids) asked.set(id, flight);
  const landed = () => ids.forEach((id) => asked.get(id) === flight && asked.delete(id));
  flight.then(landed, landed);
  return flight;
}

async function read(ids) {
  const { status, body } = ids.length ? await ask(`${state.url}/label/rows.json?ids=${ids.join(",")}`) : { status: 200, body: [] };
  if (status !== 200) return false;
  const came = new Set();
  for (const row of body) {
    came.add(row.id);
    take(row);
  }
  for (const id of ids) if (!came.has(id)) gone.add(id);
  return true;
}

// An answer that was overtaken by a later save is dropped; what was changed here and is not saved yet stays.
export function take(row) {
  const known = state.rows.get(row.id);
  if (known && known.revision > row.revision) return;
  gone.delete(row.id);
  state.rows.set(row.id, { ...row, ...unsavedOf(row.id) });
  tell("row", row.id);
}

export function change(id, values) {
  const row = state.rows.get(id);
  if (!row) return;
  Object.assign(row, values);
  tell("row", id);
}
