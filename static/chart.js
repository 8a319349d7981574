// The loss curve of a run. Reads its points from data-url, then only those behind the last step whenever the stream reports progress.
const { uPlot } = window;
const body = document.getElementById("loss");
const readout = document.getElementById("chart-readout");
const scaleButton = document.querySelector("[data-chart-scale]");

const LEAST_PAUSE_MS = 1000;
let points = [];
let checkpoints = [];
let isLog = false;
let plot = null;

const colour = (name) => getComputedStyle(body).getPropertyValue(name).trim();
const shown = (value) => (value == null ? "–" : value.toFixed(4));

// A running average whose memory is counted in steps, not points, since a long curve arrives thinned. It grows with the
// run, so that the early fall of the loss isn't flattened.
function smoothed() {
  const longest = Number(body.dataset.steps) / 30;
  let mean = 0;
  let last = 0;
  return points.map(([step, loss]) => {
    const memory = Math.max(3, Math.min(longest, step / 5));
    mean += Math.max(1 - Math.exp((last - step) / memory), (step - last) / step) * (loss - mean);
    last = step;
    return mean;
  });
}

function columns() {
  return [points.map(([step]) => step), points.map(([, loss]) => loss), smoothed()];
}

function drawCheckpoints(u) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.strokeStyle = colour("--chart-second");
  ctx.fillStyle = colour("--chart-second");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const step of checkpoints) {
    const x = Math.round(u.valToPos(step, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    const size = 4 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + size);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x - size, bbox.top);
    ctx.lineTo(x + size, bbox.top);
    ctx.lineTo(x, bbox.top + 1.5 * size);
    ctx.fill();
  }
  ctx.restore();
}

function readCursor(u) {
  const place = u.cursor.idx;
  readout.textContent = place == null || !points[place] ? "" : `step ${points[place][0]}: ${shown(u.data[1][place])}, smoothed ${shown(u.data[2][place])}`;
}

function options() {
  const axis = { stroke: () => colour("--chart-text"), grid: { stroke: () => colour("--chart-grid"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(body).fontFamily}` };
  return {
    width: body.clientWidth - 20,
    height: body.clientHeight - 16,
    legend: { show: false },
    cursor: { y: false, points: { show: false } },
    scales: { x: { time: false, range: (_, least, most) => [Math.min(least, 1), Math.max(most, 10)] }, y: { distr: isLog ? 3 : 1 } },
    axes: [{ ...axis, size: 28 }, { ...axis, size: 56 }],
    series: [
      {},
      { stroke: () => colour("--chart-faint"), width: 1, points: { show: points.length < 2 } },
      { stroke: () => colour("--chart-line"), width: 2, points: { show: false } },
    ],
    hooks: { draw: [drawCheckpoints], setCursor: [readCursor] },
  };
}

function rebuild() {
  plot?.destroy();
  plot = null;
  if (!points.length) return;
  body.classList.remove("empty-chart");
  body.replaceChildren();
  plot = new uPlot(options(), columns(), body);
}

async function load(after) {
  const answer = await fetch(`${body.dataset.url}?after=${after}`);
  if (!answer.ok) return;
  const read = await answer.json();
  points = [...points.filter(([step]) => step <= after), ...read.points];
  checkpoints = read.checkpoints;
  if (plot && points.length > 2) plot.setData(columns());
  else rebuild();
}

// One request at a time and at most one a second; what comes meanwhile is fetched together afterwards.
let isBusy = false;
let wish = null;

async function refresh(after) {
  wish = wish === null ? after : Math.min(wish, after);
  if (isBusy) return;
  isBusy = true;
  while (wish !== null) {
    const from = wish;
    wish = null;
    await load(Math.min(from, points.at(-1)?.[0] ?? 0)).catch(() => {}); // the next tick asks again
    await new Promise((resolve) => setTimeout(resolve, LEAST_PAUSE_MS));
  }
  isBusy = false;
}

refresh(0);
for (const name of ["run-progress", "run-checkpoint", "run-ended"]) document.addEventListener(name, () => refresh(Infinity));
// After these, steps that were drawn already may no longer hold.
for (const name of ["run-resumed", "run-reset"]) document.addEventListener(name, () => refresh(0));

new MutationObserver(() => plot?.redraw(false)).observe(document.documentElement, { attributeFilter: ["data-theme"] });
new ResizeObserver(() => plot?.setSize({ width: body.clientWidth - 20, height: body.clientHeight - 16 })).observe(body);
scaleButton.addEventListener("click", () => {
  isLog = !isLog;
  scaleButton.setAttribute("aria-pressed", String(isLog));
  rebuild();
});
