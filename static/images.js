// The images page: files that are dropped, chosen or pasted come in, one request each.
const byId = (id) => document.getElementById(id);
const url = byId("images").dataset.url;
const zone = byId("drop-zone");
const list = byId("upload-list");
const grid = byId("image-grid");
const AT_ONCE = 3;
const PICTURE = /\.(a?png|jpe?g|jpe|jfif|webp|bmp|dib|gif|tiff?|avif|hei[cf]|hif|jxl)$/i;
const TEXT = /\.(txt|caption)$/i;
const ARCHIVE = /\.zip$/i;
const VIDEO = /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|gifv)$/i;
const stem = (name) => name.replace(/\.[^.]*$/, "").toLowerCase();
const base = (path) => path.split("/").at(-1);

// What was dropped or chosen: {file, path}; the path has the folders in it when there were any.

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

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

// Of a folder only these are wanted, videos to be told why not; so are all files that were picked by hand.
const isWanted = ({ path }) => (path.includes("/") ? [PICTURE, TEXT, ARCHIVE, VIDEO].some((kind) => kind.test(path)) : true) && !path.split("/").some((part) => part.startsWith("."));

// Equal names in two folders would lead a caption to the wrong picture: there the folder becomes part of the name.
function named(found) {
  const folders = new Map();
  for (const { path } of found) {
    const key = stem(base(path));
    folders.set(key, (folders.get(key) ?? new Set()).add(path.slice(0, path.lastIndexOf("/") + 1)));
  }
  return found.map((each) => ({ ...each, name: folders.get(stem(base(each.path))).size > 1 ? each.path.replaceAll("/", "-") : base(each.path) }));
}

// The queue

const waiting = [];
// Rows of captions whose picture has not come yet, by the name they share.
const held = new Map();
let isRunning = false;
let tally = null;

function add(found) {
  const wanted = named(found.filter(isWanted)).sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
  tally ??= { batch: crypto.randomUUID?.() ?? String(Date.now()), total: 0, done: 0, added: 0, known: 0, captioned: 0, failed: 0, leftOut: 0 };
  tally.leftOut += found.length - wanted.length;
  tally.total += wanted.length;
  byId("uploads").hidden = false;
  list.hidden = false;
  for (const item of wanted) waiting.push({ ...item, row: makeRow(item.name) });
  showLine();
  if (!isRunning) run();
}

async function run() {
  isRunning = true;
  zone.dataset.dropState = "busy";
  while (waiting.length) {
    const batch = waiting.splice(0);
    // Captions first: a picture that comes in finds its words waiting.
    await inParallel(batch.filter((item) => TEXT.test(item.name)));
    await inParallel(batch.filter((item) => !TEXT.test(item.name)));
  }
  isRunning = false;
  zone.dataset.dropState = "idle";
  for (const row of list.querySelectorAll(".upload.done")) row.remove();
  list.hidden = !list.children.length;
  showLine();
  if (tally.added + tally.captioned + tally.known) window.htmx.trigger(document.body, "images-changed");
  tally = null;
}

async function inParallel(items) {
  const lane = async () => {
    while (items.length) await send(items.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

function send(item) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const bar = item.row.querySelector("progress");
    request.open("POST", ARCHIVE.test(item.name) ? `${url}/archive` : url);
    request.setRequestHeader("X-Drop", tally.batch);
    request.setRequestHeader("X-File-Name", encodeURIComponent(item.name));
    request.setRequestHeader("X-LoRA-Studio", "1");
    request.setRequestHeader("HX-Request", "true");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => {
      if (bar && event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
      setState(item.row, event.loaded < event.total ? `${Math.floor((100 * event.loaded) / event.total)} %` : "Reading");
    });
    request.addEventListener("load", () => take(item, request));
    request.addEventListener("error", () => fail(item, "LoRA Studio does not answer, or the file can no longer be read."));
    request.addEventListener("loadend", () => {
      tally.done += 1;
      showLine();
      resolve();
    });
    setState(item.row, "Sending");
    // A video is refused by its name and its first bytes: it may be larger than anything that is taken.
    request.send(VIDEO.test(item.name) ? item.file.slice(0, 4096) : item.file);
  });
}

function take(item, request) {
  const answer = document.createElement("template");
  answer.innerHTML = request.responseText;
  const row = answer.content.querySelector(".upload");
  if (!row) return fail(item, reason(request, answer.content));
  const tile = answer.content.querySelector(".image-tile");
  const { status } = row.dataset;
  if (status === "refused") tally.failed += 1;
  else if (status === "archive") window.htmx.ajax("GET", `${url}/import`, { target: "#import", swap: "outerHTML" });
  else if (status === "waiting") held.set(stem(item.name), row);
  else tally[status] += 1;
  item.row.replaceWith(row);
  if (status === "waiting") row.classList.replace("done", "held");
  if (tile) place(tile);
  const caption = held.get(stem(item.name));
  if (status !== "added" || !caption) return;
  held.delete(stem(item.name));
  tally.captioned += 1;
  caption.remove();
}

function reason(request, content) {
  if (request.status === 413) return "It is larger than LoRA Studio accepts.";
  return content.querySelector("[data-error]")?.textContent.replace(/\s+/g, " ").trim() || `LoRA Studio could not take it (${request.status}).`;
}

// What went wrong on the way may go right the next time.
function fail(item, text) {
  tally.failed += 1;
  item.row.classList.add("failed");
  item.row.querySelector("progress")?.remove();
  setState(item.row, "Not added");
  const [told, retry] = [item.row.querySelector(".upload-reason"), item.row.querySelector(".upload-retry")];
  told.textContent = text;
  told.hidden = retry.hidden = false;
  retry.addEventListener("click", () => {
    item.row.remove();
    add([{ file: item.file, path: item.name }]);
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
  if (tally.failed) parts.push(`${tally.failed} not added`);
  if (!isRunning && held.size) parts.push(`${many(held.size, "caption")} without an image yet`);
  if (tally.leftOut) parts.push(`${many(tally.leftOut, "other file")} left out`);
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

// Back from an editor to a page that the browser kept: the captions written meanwhile count.
async function refresh(part) {
  const answer = await fetch(`${url}/grid?after=${part.dataset.after}`, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".grid-page");
  const others = [...document.querySelectorAll(".grid-page")].filter((each) => each !== part);
  for (const tile of [...made.children]) if (others.some((each) => each.querySelector(`#${tile.id}`))) tile.remove();
  const focused = part.contains(document.activeElement) ? document.activeElement.closest(".image-tile")?.id : null;
  part.replaceWith(document.adoptNode(made));
  if (focused) byId(focused)?.querySelector("a").focus({ preventScroll: true });
}

addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  window.htmx.trigger(document.body, "images-changed");
  for (const part of document.querySelectorAll(".grid-page")) await refresh(part);
});
