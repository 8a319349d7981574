// The caption editor: words are saved as they are typed, one request at a time, and nothing is left unsaved behind.
const form = document.getElementById("caption-form");
const area = document.getElementById("text");
const mark = document.getElementById("saved-mark");
const DELAY_MS = 400;
const KEEPALIVE_BYTES = 60_000;

// The text that the store is known to hold, and those on their way to it or lost from sight on the way.
let saved = form.elements.known.value;
const possible = new Set();
let timer = 0;
let isRefused = false;
let flight = null;

const isDirty = () => area.value !== saved;

function show(text, tone = "", retries = false) {
  mark.className = `saved-mark ${tone}`;
  mark.replaceChildren(text);
  if (!retries) return;
  const again = Object.assign(document.createElement("button"), { type: "button", className: "button small", textContent: "Save again" });
  again.addEventListener("click", () => {
    area.focus();
    flush();
  });
  mark.append(" ", again);
}

function later() {
  isRefused = false;
  clearTimeout(timer);
  show(isDirty() ? "Typing" : "");
  if (isDirty()) timer = setTimeout(flush, DELAY_MS);
}

// Saves until what stands in the field is what the store holds; one request at a time, so that none overtakes another.
// Resolves to whether it is saved.
function flush() {
  clearTimeout(timer);
  flight ??= saveAll().finally(() => (flight = null));
  return flight;
}

async function saveAll() {
  isRefused = false;
  while (isDirty() && !isRefused) await saveOnce(area.value);
  return !isDirty();
}

async function saveOnce(text) {
  show("Saving…");
  try {
    const asked = post(text);
    possible.add(text);
    const answer = await asked;
    const html = await answer.text();
    if (!answer.ok) return refuse(answer.status, html);
    saved = text;
    possible.clear();
    put(html);
    show("Saved", "ok");
  } catch {
    refuse(0, "");
  }
}

// `known` says which texts this page may replace: a save that arrives after a later one is then refused, not kept.
function post(text) {
  const body = new URLSearchParams({ text });
  for (const known of [saved, ...possible]) body.append("known", known);
  const headers = { "HX-Request": "true", "X-LoRA-Studio": "1" };
  return fetch(form.action, { method: "POST", body, headers, keepalive: body.toString().length < KEEPALIVE_BYTES });
}

function refuse(status, html) {
  isRefused = true;
  const region = put(html);
  if (status === 409 && region) {
    // The writer sees the other text now: saving again means to replace it.
    saved = region.dataset.known;
    possible.clear();
    return show("Not saved: changed elsewhere", "bad", true);
  }
  const reasons = { 0: "LoRA Studio does not answer", 404: "the image was removed", 422: "too long", 503: "the disk is full or the store is busy" };
  show(`Not saved: ${reasons[status] ?? `error ${status}`}`, "bad", true);
}

function put(html) {
  const made = new DOMParser().parseFromString(html, "text/html").getElementById("training-text");
  if (made) document.getElementById("training-text").replaceWith(document.adoptNode(made));
  return made;
}

area.addEventListener("input", later);
area.addEventListener("blur", () => isDirty() && !isRefused && flush());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  flush();
});

// Leaving: by a link once all is saved; by closing the tab with a last request, and a question when that may be too late.

const STAYED = "caption-typing";

async function go(href) {
  if (isDirty() && !(await flush())) return area.focus();
  try {
    sessionStorage.setItem(STAYED, document.activeElement === area ? "yes" : "");
  } catch {
    // without storage the next page begins with the keyboard on the page
  }
  location.assign(href);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || link.target || link.hasAttribute("download") || event.defaultPrevented) return;
  if (link.origin !== location.origin || (link.hash && link.pathname === location.pathname)) return;
  event.preventDefault();
  go(link.href);
});

area.addEventListener("keydown", (event) => {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const link = { PageUp: "previous", PageDown: "next" }[event.key];
  if (!link) return;
  event.preventDefault();
  const target = document.getElementById(link);
  if (target) go(target.href);
});

addEventListener("beforeunload", (event) => {
  if (!isDirty()) return;
  flush();
  event.preventDefault();
});

addEventListener("pagehide", () => {
  if (isDirty() && !isRefused && !possible.has(area.value)) post(area.value).catch(() => {});
});

// Back and forward may bring an old copy of this page: what the store holds counts.
addEventListener("pageshow", (event) => {
  if (event.persisted && !isDirty()) location.reload();
});

try {
  if (sessionStorage.getItem(STAYED)) {
    area.focus();
    const end = area.value.trimEnd().length;
    area.setSelectionRange(end, end);
  }
  sessionStorage.removeItem(STAYED);
} catch {
  // without storage the keyboard begins on the page
}
// What was typed before this module had arrived is saved now; a page that comes back with refused words asks first.
if (area.value !== area.defaultValue) later();
else if (isDirty()) show("Not saved yet", "bad", true);
