// A folder: its files are sent with their places in it, then one import takes them in as one by path does.
import { inParallel, newWord, post, reason, UNANSWERED } from "./sending.js";

// Of what no import reads, the name and the first bytes are enough to be told why.
const HEAD_BYTES = 4096;
const AGAIN_MS = 2000;
const WITHOUT_ENDING = /(^|\/)[^/.]*$|\.(?![a-z][a-z0-9_~-]{0,9}$)[^./]*$/i;

// Folders that are being sent: a page that goes away takes back what it sent.
const underWay = new Map();
addEventListener("pagehide", () => {
  for (const [drop, address] of underWay) navigator.sendBeacon(`${address}/discard`, new URLSearchParams({ drop }));
});

function part(file, path, { whole, most }) {
  const name = path.toLowerCase();
  const isRead = whole.some((ending) => name.endsWith(ending)) || WITHOUT_ENDING.test(name);
  return file.slice(0, isRead ? most + 1 : HEAD_BYTES);
}

export class Cancelled extends Error {}

// Send the files and begin their import; `told` hears how far it is. Resolves with the reasons of what was left out.
export async function sendFolder(files, { address, rules, signal, told }) {
  const stop = new AbortController();
  signal.addEventListener("abort", () => stop.abort());
  // Once one has failed the others are broken off, and say nothing any more.
  const tell = (...words) => !stop.signal.aborted && told(...words);
  const sending = { drop: newWord(), address, signal: stop.signal, told: tell, leftOut: [], sent: 0, bytes: 0, total: 0 };
  const parts = files.map(({ file, path }) => ({ path, body: part(file, path, rules) }));
  sending.total = parts.reduce((sum, { body }) => sum + body.size, 0) || 1;
  sending.files = parts.length;
  underWay.set(sending.drop, address);
  try {
    await inParallel(parts, (item) => sendPart(sending, item));
    await begin(sending);
  } catch (error) {
    stop.abort();
    await post(`${address}/discard`, { body: new URLSearchParams({ drop: sending.drop }) }).catch(() => {});
    throw signal.aborted ? new Cancelled("Cancelled: none of it was added, and what had been sent is deleted.") : error;
  } finally {
    underWay.delete(sending.drop);
  }
  return sending.leftOut;
}

async function sendPart(sending, { path, body }) {
  const { drop, address, signal, told } = sending;
  const headers = { "X-Drop": drop, "X-File-Name": encodeURIComponent(path), "Content-Type": "application/octet-stream" };
  let loaded = 0;
  const onProgress = (event) => {
    sending.bytes += event.loaded - loaded;
    loaded = event.loaded;
    told(sending.bytes / sending.total, `${sending.sent} of ${sending.files}`);
  };
  let request;
  try {
    request = await post(`${address}/file`, { headers, body, signal, onProgress });
  } catch {
    throw new Error(`${path}: ${UNANSWERED} What had been sent is deleted.`);
  }
  sending.bytes += body.size - loaded;
  if (request.status === 422) sending.leftOut.push(reason(request));
  else if (request.status >= 300) throw new Error(`${reason(request)} What had been sent is deleted.`);
  else sending.sent += 1;
  told(sending.bytes / sending.total, `${sending.sent} of ${sending.files}`);
}

async function begin({ address, drop, sent, signal, told, leftOut }) {
  if (!sent) throw new Error(leftOut[0] ?? "There is no file in it.");
  for (;;) {
    // Not broken off: nobody would know whether the import had begun.
    if (signal.aborted) throw new Error(UNANSWERED);
    const request = await post(`${address}/import`, { body: new URLSearchParams({ drop, files: sent }) });
    if (request.status < 300) return;
    if (request.status !== 409) throw new Error(`${reason(request)} What had been sent is deleted.`);
    told(1, "Waits for the import under way");
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
