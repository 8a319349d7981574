// The image itself: fitted, at its own size, or under a loupe; where it is cropped; and its neighbours fetched ahead.
import { want } from "./rows.js";
import { byId, currentRow, on, place, state } from "./state.js";

const AHEAD = 3;
const LOUPE = 260;
const stage = byId("stage");
const scroll = byId("stage-scroll");
const picture = byId("picture");
const loupe = byId("loupe");
const overlay = byId("overlay");
const shade = byId("shade");
const ahead = new Map();
let showsMask = false;
let at = { x: 0.5, y: 0.5 };
let shown = 0;

function draw() {
  const row = currentRow();
  if (row) drawMask(row);
  if (!row || shown === row.display + row.id) return lay();
  shown = row.display + row.id;
  const full = ahead.get(row.display) ?? fetchAhead(row.display);
  // The small copy is there at once; the large one takes its place as soon as it can be painted.
  if (!full.complete || !full.naturalWidth) picture.src = row.thumb;
  const wanted = shown;
  full.decode().then(() => {
    if (shown !== wanted) return;
    picture.src = row.display;
    loupe.firstElementChild.src = row.display;
  }, () => {});
  picture.alt = row.name;
  byId("picture-name").textContent = byId("picture-name").title = row.name;
  byId("picture-size").textContent = `${row.width} × ${row.height}`;
  drawCrop(row);
  lay();
}

// Red lies over what does not count in a masked loss; it comes once somebody wants to see it.
function drawMask(row) {
  const url = (showsMask && row.shade) || "";
  byId("picture-mask").textContent = !showsMask ? "" : row.shade ? "red does not train" : "no mask: all of it trains";
  if (!url) {
    shade.hidden = true;
    shade.removeAttribute("src");
  } else if (shade.getAttribute("src") !== url) {
    shade.hidden = true;
    shade.src = url;
  }
}

function drawCrop(row) {
  const [left, top, width, height] = row.crop.kept;
  overlay.setAttribute("viewBox", `0 0 ${row.width} ${row.height}`);
  overlay.querySelector("path").setAttribute("d", `M0 0H${row.width}V${row.height}H0ZM${left} ${top}h${width}v${height}h-${width}Z`);
  const box = overlay.querySelector("rect");
  for (const [name, value] of Object.entries({ x: left, y: top, width, height })) box.setAttribute(name, value);
  const lost = row.crop.lost_pct ? `, ${row.crop.lost_pct} % cut away` : "";
  byId("picture-crop").textContent = `trains at ${row.crop.bucket.join(" × ")}${lost}${row.crop.is_upscaled ? ", enlarged" : ""}`;
}

function lay() {
  const row = currentRow();
  if (!row) return;
  const isFit = stage.dataset.view === "fit";
  const scale = isFit ? Math.min((scroll.clientWidth - 24) / row.width, (scroll.clientHeight - 24) / row.height) : 1;
  const box = byId("stage-box");
  box.style.width = `${Math.max(1, Math.round(row.width * scale))}px`;
  box.style.height = `${Math.max(1, Math.round(row.height * scale))}px`;
  if (!isFit) scroll.scrollTo(row.width * at.x - scroll.clientWidth / 2, row.height * at.y - scroll.clientHeight / 2);
}

function fetchAhead(url) {
  const image = new Image();
  image.decoding = "async";
  image.src = url;
  ahead.set(url, image);
  return image;
}

function prefetch() {
  const here = place();
  if (here < 0) return;
  const near = state.ids.slice(Math.max(0, here - AHEAD), here + AHEAD + 1);
  const rows = near.map((id) => state.rows.get(id)).filter(Boolean);
  const urls = new Set(rows.map((row) => row.display));
  for (const [url, image] of ahead) {
    if (urls.has(url)) continue;
    if (!image.complete) image.src = "";
    ahead.delete(url);
  }
  for (const url of urls) if (!ahead.has(url)) fetchAhead(url);
}

let timer = 0;

function changed() {
  const here = place();
  want("near", here < 0 ? [] : [state.current, ...state.ids.slice(Math.max(0, here - 20), here + 60)]);
  // Also while its row is still on its way: it is this image that is polished.
  byId("open-polish").href = `/images/${state.current}/polish`;
  if (!currentRow()) {
    picture.removeAttribute("src");
    shade.hidden = true;
    shade.removeAttribute("src");
    shown = 0;
  }
  draw();
  clearTimeout(timer);
  // While keys repeat only the small copies are shown; a moment of rest brings the large ones.
  timer = setTimeout(prefetch, 60);
}

export function toggleSize() {
  stage.dataset.view = stage.dataset.view === "fit" ? "actual" : "fit";
  lay();
}

export function pan(dx, dy) {
  scroll.scrollBy(dx * 80, dy * 80);
}

export function toggleOverlay() {
  overlay.toggleAttribute("hidden");
  byId("view-overlay").ariaPressed = String(!overlay.hasAttribute("hidden"));
}

export function toggleMask() {
  showsMask = !showsMask;
  byId("view-mask").ariaPressed = String(showsMask);
  const row = currentRow();
  if (row) drawMask(row);
}

export function toggleLoupe() {
  loupe.hidden = !loupe.hidden;
  byId("view-loupe").ariaPressed = String(!loupe.hidden);
  moveLoupe();
}

function moveLoupe() {
  const row = currentRow();
  if (loupe.hidden || !row) return;
  const [box, frame] = [picture.getBoundingClientRect(), stage.getBoundingClientRect()];
  const [x, y] = [box.left - frame.left + box.width * at.x, box.top - frame.top + box.height * at.y];
  loupe.style.transform = `translate(${x - LOUPE / 2}px, ${y - LOUPE / 2}px)`;
  const large = loupe.firstElementChild;
  const scale = Math.max(1, (2 * box.width) / row.width);
  large.style.width = `${row.width * scale}px`;
  large.style.height = `${row.height * scale}px`;
  large.style.transform = `translate(${LOUPE / 2 - row.width * scale * at.x}px, ${LOUPE / 2 - row.height * scale * at.y}px)`;
}

export function start() {
  new ResizeObserver(lay).observe(scroll);
  stage.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, value));
    at = { x: inside((event.clientX - box.left) / box.width), y: inside((event.clientY - box.top) / box.height) };
    moveLoupe();
  });
  scroll.addEventListener("dblclick", toggleSize);
  byId("view-size").addEventListener("click", toggleSize);
  byId("view-loupe").addEventListener("click", toggleLoupe);
  byId("view-mask").addEventListener("click", toggleMask);
  shade.addEventListener("load", () => (shade.hidden = false));
  shade.addEventListener("error", () => {
    if (shade.hasAttribute("src")) byId("picture-mask").textContent = "the mask cannot be read";
  });
  byId("view-overlay").addEventListener("click", toggleOverlay);
  on("index", changed);
  on("current", changed);
  on("row", (id) => {
    const here = place();
    if (id === state.current) draw();
    if (Math.abs((state.places.get(id) ?? Infinity) - here) <= AHEAD) {
      clearTimeout(timer);
      timer = setTimeout(prefetch, 60);
    }
  });
}
