// What a page sends by itself: one request as a promise, several at a time, and what was dropped with its folders.
const AT_ONCE = 3;

export const UNANSWERED = "LoRA Studio does not answer, or the file can no longer be read.";

// Resolves with the request once it was answered, whatever the answer; rejects when there was none.
export function post(address, { headers = {}, body = null, signal = null, onProgress = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    const all = { "X-LoRA-Studio": "1", "HX-Request": "true", ...headers };
    for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", onProgress);
    request.addEventListener("load", () => resolve(request));
    for (const event of ["error", "abort"]) request.addEventListener(event, () => reject(new Error(UNANSWERED)));
    signal?.addEventListener("abort", () => request.abort());
    if (signal?.aborted) reject(new Error(UNANSWERED));
    else request.send(body);
  });
}

export function reason(request) {
  if (request.status === 413) return "It is larger than LoRA Studio accepts.";
  const answer = document.createElement("template");
  answer.innerHTML = request.responseText;
  return answer.content.querySelector("[data-error]")?.textContent.replace(/\s+/g, " ").trim() || `LoRA Studio could not take it (${request.status}).`;
}

export async function inParallel(items, work) {
  const lane = async () => {
    while (items.length) await work(items.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

export const newWord = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

// What was dropped: {file, path}; the path has the folders in it when there were any.

function readEntries(reader) {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

async function walk(entry, path, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: path + entry.name });
    return;
  }
  const reader = entry.createReader();
  // A reader hands out a hundred names at a time, and none when it is through.
  for (let part = await readEntries(reader); part.length; part = await readEntries(reader)) {
    for (const inner of part) await walk(inner, `${path}${entry.name}/`, found);
  }
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}
