// What the screen knows, and who wants to hear of a change. Ids stand in the order of the filter; a row is null until it has come.
const root = document.getElementById("label");

export const state = {
  project: root.dataset.project,
  trigger: root.dataset.trigger,
  person: root.dataset.person,
  url: `/projects/${root.dataset.project}`,
  ids: [],
  places: new Map(),
  rows: new Map(),
  total: 0,
  current: Number(root.dataset.image) || 0,
  marked: new Set(),
  // Removed here, though an index that was asked for earlier may still name them.
  leaving: new Set(),
  mode: "nav",
  filter: "",
};

export const byId = (id) => document.getElementById(id);

const listeners = new Map();

export function on(name, call) {
  listeners.set(name, [...(listeners.get(name) ?? []), call]);
}

export function tell(name, detail) {
  for (const call of listeners.get(name) ?? []) call(detail);
}

export const currentRow = () => state.rows.get(state.current) ?? null;
export const place = () => state.places.get(state.current) ?? -1;

// The images that a command is about: those that are marked, else the one that is shown.
export const targets = () => (state.marked.size ? state.ids.filter((id) => state.marked.has(id)) : state.current ? [state.current] : []);

// Where somebody was when a filter took the image away: a filter that finds it again leads back to it.
let away = 0;

// Whoever has ended typing works where they are, unless nothing was found.
export function settleHere() {
  if (state.current) away = 0;
}

export function setIndex(found, total) {
  const before = place();
  const ids = state.leaving.size ? found.filter((id) => !state.leaving.has(id)) : found;
  state.ids = ids;
  state.total = total;
  root.toggleAttribute("data-empty", !ids.length);
  state.places = new Map(ids.map((id, at) => [id, at]));
  for (const id of state.marked) if (!state.places.has(id)) state.marked.delete(id);
  tell("index");
  if (!state.places.has(state.current)) away ||= state.current;
  const isBack = state.places.has(away) && state.mode !== "edit";
  // What is shown stays, as long as the filter finds it; else the image that took its place.
  // Nobody's writing is moved to another image.
  if (isBack) show(away);
  else if (!state.places.has(state.current) && state.mode !== "edit") show(ids[Math.min(Math.max(before, 0), ids.length - 1)] ?? 0, away);
  else tell("current", { id: state.current, isSame: true });
}

export function show(id, from = 0) {
  away = from;
  if (id === state.current && id) return;
  tell("leave", state.current);
  state.current = id;
  tell("current", { id, isSame: false });
}

export function step(by) {
  const at = place();
  if (!state.ids.length) return;
  const next = Math.min(state.ids.length - 1, Math.max(0, at + by));
  if (next !== at) show(state.ids[next]);
}

export function setMode(mode) {
  if (state.mode === mode) return;
  state.mode = root.dataset.mode = mode;
  tell("mode", mode);
}

export function mark(id, isOn) {
  if (isOn) state.marked.add(id);
  else state.marked.delete(id);
  tell("marked");
}

export function unmarkAll() {
  if (!state.marked.size) return false;
  state.marked.clear();
  tell("marked");
  return true;
}

export const toast = (text, tone = "info") => document.dispatchEvent(new CustomEvent("toast", { detail: { text, tone } }));

// What a browser is asked to remember; without storage it lasts for this page.
const kept = new Map();

export function remember(key, value) {
  kept.set(key, value);
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // this page still knows it
  }
}

export function recall(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? kept.get(key) ?? otherwise;
  } catch {
    return kept.get(key) ?? otherwise;
  }
}
