// The images page: files that are dropped, chosen or pasted come in, one request each; folders as one import.
import "./grid-pages.js";
import { Cancelled, sendFolder } from "./folders.js";
import { dropped, inParallel, newWord, post, reason, UNANSWERED } from "./sending.js";

const byId = (id) => document.getElementById(id);
const { url, uploads, whole, most } = byId("images").dataset;
const rules = { whole: whole.split(" "), most: Number(most) };
const zone = byId("drop-zone");
const list = byId("upload-list");
const grid = byId("image-grid");
const TEXT = /\.(txt|caption)$/i;
const ARCHIVE = /\.zip$/i;
const VIDEO = /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|gifv)$/i;
const stem = (name) => name.replace(/\.[^.]*$/, "").toLowerCase();
const isHidden = ({ path }) => path.split("/").some((part) => part.startsWith("."));
const isInFolder = ({ path }) => path.includes("/");

// The queue: drops, each {word, items, folder}; files of one drop find each other before anything that is here.

const drops = [];
let isRunning = false;
let tally = null;

function add(found) {
  const wanted = found.filter((each) => !isHidden(each)).sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
  tally ??= { total: 0, done: 0, added: 0, known: 0, captioned: 0, waiting: 0, questions: 0, failed: 0, folders: 0, leftOut: 0 };
  tally.leftOut += found.length - wanted.length;
  byId("uploads").hidden = false;
  list.hidden = false;
  const loose = wanted.filter((each) => !isInFolder(each)).map((each) => ({ ...each, name: each.path, row: makeRow(each.path) }));
  if (loose.length) drops.push({ word: newWord(), items: loose, unsent: [], held: new Map() });
  const folder = wanted.filter(isInFolder);
  if (folder.length) drops.push({ folder, row: makeRow(titleOf(folder)) });
  tally.total += loose.length + (folder.length ? 1 : 0);
  showLine();
  if (!isRunning) run();
}

async function run() {
  isRunning = true;
  zone.dataset.dropState = "busy";
  while (drops.length) {
    const drop = drops.shift();
    await (drop.folder ? takeFolder(drop) : takeLoose(drop));
  }
  isRunning = false;
  zone.dataset.dropState = "idle";
  for (const row of list.querySelectorAll(".upload.done")) row.remove();
  list.hidden = !list.children.length;
  showLine();
  if (tally.added + tally.captioned + tally.known) window.htmx.trigger(document.body, "images-changed");
  tally = null;
}

async function takeLoose(drop) {
  // Captions first: a picture that comes in finds its words waiting.
  await inParallel(drop.items.filter((item) => TEXT.test(item.name)), (item) => send(drop, item));
  await inParallel(drop.items.filter((item) => !TEXT.test(item.name)), (item) => send(drop, item));
  await end(drop);
}

async function send(drop, item) {
  const bar = item.row.querySelector("progress");
  const headers = { "X-Drop": drop.word, "X-File-Name": encodeURIComponent(item.name), "Content-Type": "application/octet-stream" };
  const onProgress = (event) => {
    if (bar && event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
    setState(item.row, event.loaded < event.total ? `${Math.floor((100 * event.loaded) / event.total)} %` : "Reading");
  };
  setState(item.row, "Sending");
  // A video is refused by its name and its first bytes: it may be larger than anything that is taken.
  const body = VIDEO.test(item.name) ? item.file.slice(0, 4096) : item.file;
  try {
    take(drop, item, await post(ARCHIVE.test(item.name) ? `${url}/archive` : url, { headers, body, onProgress }));
  } catch {
    notSent(drop, item, UNANSWERED);
  }
  tally.done += 1;
  showLine();
}

function take(drop, item, request) {
  const answer = document.createElement("template");
  answer.innerHTML = request.responseText;
  const row = answer.content.querySelector(".upload");
  if (!row) return notSent(drop, item, reason(request));
  const tile = answer.content.querySelector(".image-tile");
  const { status } = row.dataset;
  if (status !== "waiting") count(row);
  if (status === "archive") showImport();
  item.row.replaceWith(row);
  if (status === "waiting") drop.held.set(item.name, row);
  if (!tile) return;
  place(tile);
  const bare = item.name.replace(/\.[^.]*$/, "");
  for (const name of [item.name, bare].flatMap((each) => [`${each}.txt`, `${each}.caption`])) drop.held.get(name)?.remove();
}

// All of a drop has come: captions that none of its images has go to those that were here, or wait.
async function end(drop) {
  if (tally) byId("uploads-line").textContent = "Joining captions and images";
  const unsent = drop.unsent.map(encodeURIComponent).join("\n");
  let request = null;
  try {
    request = await post(`${url}/dropped`, { body: new URLSearchParams({ drop: drop.word, unsent }) });
  } catch {
    // Told below, as every other answer that is none.
  }
  const answer = document.createElement("template");
  answer.innerHTML = request?.responseText ?? "";
  const told = answer.content.querySelector("[data-captioned]");
  for (const row of drop.held.values()) row.remove();
  if (!told) return fail(makeRow("The captions of these files"), request ? reason(request) : UNANSWERED, () => end(drop));
  if (tally) tally.captioned += Number(told.dataset.captioned);
  for (const row of told.querySelectorAll(".upload")) {
    count(row);
    if (row.dataset.status === "waiting") row.classList.replace("done", "held");
    list.append(row);
    list.hidden = false;
  }
  for (const tile of told.querySelectorAll(".image-tile")) {
    const key = stem(tile.querySelector("img").alt);
    for (const row of list.querySelectorAll('.held[data-status="waiting"]')) {
      const name = stem(row.querySelector(".upload-name").textContent);
      if (name === key || stem(name) === key) row.remove();
    }
    place(tile);
  }
}

function count(row) {
  if (!tally) return;
  const { status } = row.dataset;
  if (status === "refused") tally.failed += 1;
  if (status === "added" || "new" in row.dataset) tally.added += 1;
  if (status === "known") tally.known += 1;
  if (status === "question") tally.questions += 1;
  if (status === "waiting") tally.waiting += 1;
}

function titleOf(files) {
  const roots = new Set(files.map(({ path }) => path.split("/")[0]));
  const [first] = roots;
  return `${first}${roots.size > 1 ? ` and ${roots.size - 1} more` : ""} (${many(files.length, "file")})`;
}

async function takeFolder({ folder, row }) {
  const [bar, cancel] = [row.querySelector("progress"), row.querySelector(".upload-cancel")];
  const stop = new AbortController();
  cancel.hidden = false;
  cancel.addEventListener("click", () => stop.abort());
  const told = (share, text) => {
    bar.value = 100 * share;
    setState(row, text);
  };
  try {
    const leftOut = await sendFolder(folder, { address: uploads, rules, signal: stop.signal, told });
    tally.folders += 1;
    row.classList.add(leftOut.length ? "held" : "done");
    row.querySelector(".upload-reason").textContent = leftOut.length ? `${many(leftOut.length, "file")} left out. ${leftOut[0]}` : "";
    row.querySelector(".upload-reason").hidden = !leftOut.length;
    bar.remove();
    setState(row, "Sent");
    showImport();
  } catch (error) {
    const hadFocus = cancel === document.activeElement;
    fail(row, error.message, () => add(folder), error instanceof Cancelled ? "Cancelled" : "Not added");
    if (hadFocus) row.querySelector(".upload-retry").focus();
  }
  cancel.remove();
  tally.done += 1;
  showLine();
}

const showImport = () => window.htmx.ajax("GET", `${url}/import`, { target: "#import", swap: "outerHTML" });

// What went wrong on the way may go right the next time.
function notSent(drop, item, text) {
  drop.unsent.push(item.name);
  fail(item.row, text, () => add([{ file: item.file, path: item.name }]));
}

function fail(row, text, again, state = "Not added") {
  if (tally) tally.failed += 1;
  row.classList.add("failed");
  row.querySelector("progress")?.remove();
  setState(row, state);
  const [told, retry] = [row.querySelector(".upload-reason"), row.querySelector(".upload-retry")];
  told.textContent = text;
  told.hidden = retry.hidden = false;
  retry.addEventListener("click", () => {
    row.remove();
    again();
  });
}

// While an import brings images in, the count goes along, and an empty grid shows the first of them.
document.body.addEventListener("images-arriving", () => {
  window.htmx.trigger(document.body, grid.querySelector(".image-tile") ? "images-changed" : "images-imported");
});

// What is seen of it

function makeRow(name) {
  const row = byId("upload-template").content.cloneNode(true).firstElementChild;
  const shown = row.querySelector(".upload-name");
  shown.textContent = shown.title = name;
  row.querySelector("progress").setAttribute("aria-label", name);
  list.append(row);
  return row;
}

function setState(row, text) {
  row.querySelector(".upload-state").textContent = text;
}

const many = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function showLine() {
  const parts = [];
  if (tally.done < tally.total) parts.push(`Adding ${tally.done + 1} of ${tally.total}`);
  if (tally.added) parts.push(`${many(tally.added, "image")} added`);
  if (tally.captioned) parts.push(`${many(tally.captioned, "caption")} joined`);
  if (tally.known) parts.push(`${tally.known} here already`);
  if (tally.folders) parts.push(`${many(tally.folders, "folder")} sent`);
  if (tally.failed) parts.push(`${tally.failed} not added`);
  if (tally.questions) parts.push(`${tally.questions} with another caption`);
  if (tally.waiting) parts.push(`${many(tally.waiting, "caption")} without an image yet`);
  if (tally.leftOut) parts.push(`${many(tally.leftOut, "hidden file")} left out`);
  byId("uploads-line").textContent = parts.join(" · ") || "Nothing to add";
}

function place(tile) {
  const shown = byId(tile.id);
  if (shown) return shown.replaceWith(tile);
  // While later pages of the grid have not been shown, the newest pictures have a place of their own.
  (byId("image-more") ? byId("images-new") : grid.lastElementChild).append(tile);
}

// Images come one by one, or with the grid once an import has ended: with the first, the page is one with images.
new MutationObserver(() => {
  if (!grid.querySelector(".image-tile")) return;
  zone.classList.add("slim");
  byId("selection").hidden = false;
}).observe(grid, { childList: true, subtree: true });

byId("uploads-clear").addEventListener("click", () => {
  for (const row of [...list.children]) if (row.matches(".done, .failed, .held")) row.remove();
  byId("uploads").hidden = isRunning ? false : true;
});

addEventListener("beforeunload", (event) => {
  if (isRunning) event.preventDefault();
});

// The ways in

for (const input of document.querySelectorAll("#pick-files input, #pick-folder input")) {
  input.addEventListener("change", () => {
    add([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
    input.value = "";
  });
}

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  zone.dataset.dropState = "over";
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) zone.dataset.dropState = isRunning ? "busy" : "idle";
});

document.addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  zone.dataset.dropState = isRunning ? "busy" : "idle";
  const found = await dropped(event.dataTransfer);
  if (found.length) add(found);
});

document.addEventListener("paste", (event) => {
  const stamp = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  const pictures = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return;
  event.preventDefault();
  // Every picture of the clipboard is called image.png: the time tells them apart.
  add(pictures.map((file, place) => ({ file, path: file.name === "image.png" ? `pasted-${stamp}-${place + 1}.png` : file.name })));
});

// A picture that came in before its page of the grid was shown is there twice once that page has come.
document.addEventListener("htmx:after:swap", () => {
  for (const early of [...byId("images-new").children]) if (grid.querySelector(`#${early.id}`)) early.remove();
});
