// The rows of images, asked for in batches as they come near: what is wanted now goes first, what no longer is is dropped.
import { ask } from "./net.js";
import { state, tell, toast } from "./state.js";

const BATCH = 100;
const AT_ONCE = 2;
const RETRY_MS = 2000;
const MOST_TRIES = 10;
const wanted = { near: [], seen: [] };
const asked = new Set();
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

// Rows of all these images, or those that still exist. A key that was pressed for them waits until they come, and is
// never dropped without a word.
export async function loaded(ids) {
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

async function fetchRows(ids) {
  for (const id of ids) asked.add(id);
  const { status, body } = ids.length ? await ask(`${state.url}/label/rows.json?ids=${ids.join(",")}`) : { status: 200, body: [] };
  for (const id of ids) asked.delete(id);
  if (status !== 200) return false;
  const came = new Set();
  for (const row of body) {
    came.add(row.id);
    take(row);
  }
  for (const id of ids) if (!came.has(id)) gone.add(id);
  return true;
}

// An answer that was overtaken by a later save is dropped.
export function take(row) {
  const known = state.rows.get(row.id);
  if (known && known.revision > row.revision) return;
  gone.delete(row.id);
  state.rows.set(row.id, row);
  tell("row", row.id);
}

export function change(id, values) {
  const row = state.rows.get(id);
  if (!row) return;
  Object.assign(row, values);
  tell("row", id);
}
