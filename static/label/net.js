// Asking the studio. Every answer comes as {status, body}; status 0 means that there was none.
const KEEPALIVE_BYTES = 60_000;
const WORDS = { 0: "LoRA Studio does not answer", 404: "it was removed", 413: "it is too long", 503: "the disk is full or the store is busy" };

export async function ask(url, { form = null, signal = null } = {}) {
  const body = form && new URLSearchParams(form);
  const options = { signal, headers: { "X-LoRA-Studio": "1", "HX-Request": "true", Accept: "application/json" } };
  if (body) Object.assign(options, { method: "POST", body, keepalive: body.toString().length < KEEPALIVE_BYTES });
  try {
    const answer = await fetch(url, options);
    const isJson = (answer.headers.get("content-type") ?? "").includes("json");
    return { status: answer.status, body: isJson ? await answer.json() : { message: told(await answer.text()) } };
  } catch (error) {
    return { status: 0, body: null, isAborted: error.name === "AbortError" };
  }
}

// What a page about an error says.
function told(html) {
  const marked = new DOMParser().parseFromString(html, "text/html").querySelector("[data-error], [role=alert]");
  return marked?.textContent.replace(/\s+/g, " ").trim() || null;
}

// Why something was refused, in words.
export function reason({ status, body }) {
  const told = body?.message ?? body?.error?.message ?? body?.detail;
  const hint = body?.hint ?? body?.error?.hint;
  if (typeof told === "string") return [told, hint].filter(Boolean).join(" ");
  return WORDS[status] ?? `error ${status}`;
}
