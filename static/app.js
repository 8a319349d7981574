// What every page has: theme, toasts, confirmation, dialogs, the state of the stream. Keys and pictures have files of their own.
import "./keys.js";
import "./lightbox.js";
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

// Theme
document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // without storage the choice lasts for this page
  }
});

// Toasts: from here, from an answer's HX-Trigger {"toast": {"text": …, "tone": …}}, or swapped into #toasts
const TOAST_ICONS = { ok: "circle-check", warn: "alert", bad: "error", info: "info" };
const TOAST_MS = 6000;

export function toast(text, tone = "info") {
  if ([...byId("toasts").children].some((shown) => shown.querySelector("p")?.textContent === text)) return;
  const made = byId("toast-template").content.cloneNode(true).firstElementChild;
  const use = made.querySelector("use");
  made.classList.add(tone);
  made.querySelector("p").textContent = text;
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${TOAST_ICONS[tone] ?? "info"}`));
  byId("toasts").append(made);
  return made;
}

function leave(shown) {
  const isRead = shown.matches(":hover, :focus-within");
  if (isRead) setTimeout(leave, TOAST_MS, shown);
  else shown.remove();
}

byId("toasts").showPopover(); // open from the start: readers aloud announce only what changes in sight
new MutationObserver((changes) => {
  const added = changes.flatMap((change) => [...change.addedNodes]);
  if (added.length && document.querySelector("dialog[open]")) {
    byId("toasts").hidePopover(); // shown anew, it lies above a dialog opened since
    byId("toasts").showPopover();
  }
  // What went wrong stays until it is closed.
  for (const shown of added) if (shown.matches?.(".toast:not(.bad)")) setTimeout(leave, TOAST_MS, shown);
}).observe(byId("toasts"), { childList: true });

document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.tone));
document.addEventListener("click", (event) => {
  event.target.closest("[data-toast-close]")?.closest(".toast").remove();
});

// Errors of requests
const STATUS_TEXT = {
  403: "LoRA Studio refused this. Reload the page and try again.",
  404: "This is no longer there. Reload the page.",
  413: "This is larger than LoRA Studio accepts.",
};

function reason(ctx) {
  const type = ctx.response.headers.get("content-type") ?? "";
  const text = ctx.text ?? "";
  if (type.includes("json")) {
    try {
      const body = JSON.parse(text);
      const told = body.error ?? { message: body.detail };
      if (typeof told.message === "string") return [told.message, told.hint].filter(Boolean).join(" ");
    } catch {
      return null; // not what it says it is: fall back to the words for its status
    }
  }
  if (type.includes("text/plain") && text.length < 600) return text.trim();
  const marked = new DOMParser().parseFromString(text, "text/html").querySelector("[data-error], [role=alert]");
  return marked ? marked.textContent.replace(/\s+/g, " ").trim() : null;
}

// Only at the end is it known whether the answer was swapped in, and so shows itself.
document.addEventListener("htmx:finally:request", (event) => {
  const { ctx } = event.detail;
  const status = ctx.response?.status ?? 0;
  if (status < 400 || retryStream(ctx.sourceElement) || ctx.swap !== "none") return;
  toast(reason(ctx) ?? STATUS_TEXT[status] ?? `LoRA Studio could not do this (${status}). Try again; its terminal says more.`, "bad");
});

// A form that was refused leads to what is wrong in it, which may stand out of sight above.
let submitted = null;
let from = null;
document.addEventListener("submit", (event) => ([submitted, from] = [event.target, document.activeElement]), true);
document.addEventListener("htmx:finally:request", (event) => {
  const { sourceElement, response } = event.detail.ctx;
  const isSent = sourceElement === submitted || sourceElement.matches("button");
  if (sourceElement === submitted) submitted = null;
  // Whoever has gone on to another field meanwhile stays there.
  const active = document.activeElement;
  const hasStayed = active === document.body || active === from || (active.id && active.id === from?.id) || !active.matches("input, textarea, select");
  if (isSent && hasStayed && response?.status === 422) document.querySelector("main [aria-invalid=true]")?.focus();
});

// What draws itself again, unasked. While the stream's mark says that the connection is lost, that says enough.
const isRefresh = ({ request, sourceElement }) => request.method === "GET" && !sourceElement.matches("a, button, form, input, select, textarea");
const hasMark = () => document.querySelector("[data-stream-state]:not([data-stream-state=closed])");
let away = null;

// An answer that fills a form anew (data-refills) holds for every field. A morph leaves alone what was typed where the
// new text is that of the old answer, so what was typed goes first, but for the field that has the cursor.
document.addEventListener("htmx:before:swap", (event) => {
  const form = event.target.closest?.("[data-refills]")?.form;
  if (!form) return;
  const field = document.activeElement;
  const isTyped = field?.form === form && field.matches("textarea, input:not([type=radio], [type=checkbox])");
  const text = field?.value;
  form.reset();
  if (isTyped) field.value = text;
});

document.addEventListener("htmx:before:response", () => {
  away?.remove();
  away = null;
});

document.addEventListener("htmx:error", (event) => {
  const { ctx } = event.detail;
  if (retryStream(event.target) || !ctx) return;
  if (isRefresh(ctx)) {
    if (!hasMark()) away ??= toast("LoRA Studio does not answer. Check that it is still running; this page then goes on by itself.", "bad");
    return;
  }
  toast("LoRA Studio does not answer. Nothing was changed. Check that it is still running, then try again.", "bad");
});

// Streams: the extension reconnects a stream that broke, but not one that never opened
const RETRY_MS = 3000;

function retryStream(element) {
  if (!element.matches?.("[hx-sse\\:connect]")) return false;
  showStream("lost");
  setTimeout(() => element.isConnected && window.htmx.process(element, true), RETRY_MS);
  return true;
}

const STREAM_TEXT = { live: "Live", lost: "Connection lost, trying again", closed: "Ended" };

function showStream(state) {
  for (const shown of document.querySelectorAll("[data-stream-state]")) {
    shown.dataset.streamState = state;
    shown.textContent = STREAM_TEXT[state];
  }
}

document.addEventListener("htmx:sse:after:connection", () => showStream("live"));
document.addEventListener("htmx:sse:error", () => showStream("lost"));
document.addEventListener("htmx:sse:close", (event) => event.detail.reason === "message" && showStream("closed"));

// Confirmation: hx-confirm="…", or data-confirm="…" on a plain form
function confirmed(text, label) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = text;
  dialog.querySelector("[value=yes]").textContent = label || "Go on";
  dialog.returnValue = "no";
  dialog.showModal();
  dialog.querySelector("[value=no].button").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

document.addEventListener("htmx:confirm", async (event) => {
  event.preventDefault();
  const { ctx, issueRequest, dropRequest } = event.detail;
  const label = ctx.sourceElement.dataset.confirmLabel;
  if (await confirmed(ctx.confirm, label)) issueRequest();
  else dropRequest();
});

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!form.dataset.confirm || form.dataset.isConfirmed) return;
  event.preventDefault();
  if (!(await confirmed(form.dataset.confirm, form.dataset.confirmLabel))) return;
  form.dataset.isConfirmed = "yes";
  form.requestSubmit(submitter);
  delete form.dataset.isConfirmed;
});

// A plain form is sent once: a second Enter before the next page has come would make a second project or a second run.
const SENT_MS = 20_000;
const SLOW_MS = 2000;
const sent = new Map();
addEventListener("submit", (event) => {
  const { target: form } = event;
  if (event.defaultPrevented || form.method !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    if (event.timeStamp - sent.get(form) > SLOW_MS) toast("This is sent, and LoRA Studio has not answered yet. It is not sent a second time.");
    return;
  }
  sent.set(form, event.timeStamp);
  setTimeout(() => sent.delete(form), SENT_MS);
});
addEventListener("pageshow", () => sent.clear());

// Dialogs: data-open="id" opens one; data-close or a click beside it closes it
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) byId(opener.dataset.open).showModal();
  if (event.target.closest("[data-close]") || event.target.matches("dialog.dialog")) event.target.closest("dialog")?.close();
});

// What was typed before the scripts were there counts as typed now.
addEventListener("load", () => {
  for (const field of document.querySelectorAll("form:is([hx-trigger*=input], :has([hx-trigger*=input])) :is(input:not([type=file]), textarea)")) {
    if (field.value !== field.defaultValue) field.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
