// Boxes in a picture, as [left, top, width, height] in pixels; `ratio` is width over height, 0 where any will do.
export const clamp = (value, least, most) => Math.max(least, Math.min(most, value));

// In whole pixels, and not past the picture's edges.
export function inside([x, y, w, h], [W, H]) {
  const [width, height] = [clamp(Math.round(w), 1, W), clamp(Math.round(h), 1, H)];
  return [clamp(Math.round(x), 0, W - width), clamp(Math.round(y), 0, H - height), width, height];
}

const around = (middleX, middleY, w, h) => [middleX - w / 2, middleY - h / 2, w, h];
const ofWidth = ([x, y, w, h], width, height) => around(x + w / 2, y + h / 2, width, height);

export function largest(ratio, [W, H]) {
  const width = ratio ? Math.min(W, H * ratio) : W;
  return around(W / 2, H / 2, width, ratio ? width / ratio : H);
}

// Of another shape, as large as before where the picture allows.
export function reshaped(box, ratio, [W, H]) {
  const width = Math.min(Math.sqrt(box[2] * box[3] * ratio), W, H * ratio);
  return ofWidth(box, width, width / ratio);
}

// The box with one of its numbers given: the shape is kept by the other size, and a box that no longer fits shrinks.
export function given(box, at, value, ratio, [W, H]) {
  let [x, y, w, h] = box;
  if (at === 0) [x, w] = [clamp(value, 0, W - 1), Math.min(w, W - clamp(value, 0, W - 1))];
  if (at === 1) [y, h] = [clamp(value, 0, H - 1), Math.min(h, H - clamp(value, 0, H - 1))];
  if (at === 2) w = clamp(value, 1, W);
  if (at === 3) h = clamp(value, 1, H);
  if (ratio && (w !== box[2] || h !== box[3])) {
    if (at % 2) w = h * ratio;
    else h = w / ratio;
    const scale = Math.min(1, W / w, H / h);
    [w, h] = [w * scale, h * scale];
  }
  return inside([x, y, w, h], [W, H]);
}

// Larger or smaller by so many pixels at each side.
export function grown(box, by, ratio, [W, H]) {
  const width = Math.max(1, box[2] + 2 * by);
  if (!ratio) return ofWidth(box, width, (box[3] * width) / box[2]);
  const most = Math.min(width, W, H * ratio);
  return ofWidth(box, most, most / ratio);
}

// A snapped box goes in whole steps of its bucket's shape; null where these are no small ones.
export function stepOf([, , w, h]) {
  let [count, rest] = [w, h];
  while (rest) [count, rest] = [rest, count % rest];
  return count < 20 ? null : { count, w: w / count, h: h / count };
}

export function stepped(box, by, [W, H]) {
  const step = stepOf(box);
  if (!step) return null;
  const wanted = step.count + Math.sign(by) * Math.max(1, Math.round(Math.abs(2 * by) / step.w));
  const count = clamp(wanted, 1, Math.floor(Math.min(W / step.w, H / step.h)));
  return ofWidth(box, count * step.w, count * step.h);
}

// A snapped size at a given place, a step smaller where it would leave the picture.
export function placed([x, y], snapped, [W, H]) {
  const step = stepOf(snapped);
  if (!step) return inside([x, y, snapped[2], snapped[3]], [W, H]);
  const count = clamp(Math.floor(Math.min((W - x) / step.w, (H - y) / step.h)), 1, step.count);
  return inside([x, y, count * step.w, count * step.h], [W, H]);
}

// The four corners and four edges: where each is, and at which share of the box.
export const grips = ([x, y, w, h]) =>
  [0, 0.5, 1].flatMap((fx) => [0, 0.5, 1].filter((fy) => fx !== 0.5 || fy !== 0.5).map((fy) => [x + fx * w, y + fy * h, fx, fy]));

// A box pulled at the grip of a share to a point; what lies opposite stays.
export function pulled([x, y, w, h], [fx, fy], point, ratio, [W, H]) {
  const [px, py] = [clamp(point.x, 0, W), clamp(point.y, 0, H)];
  const fixed = [x + (1 - fx) * w, y + (1 - fy) * h];
  const [across, down] = [fx === 0.5 ? w : Math.max(1, Math.abs(px - fixed[0])), fy === 0.5 ? h : Math.max(1, Math.abs(py - fixed[1]))];
  // The side that stays is the one the pointer is not on.
  const stays = [fx === 0.5 ? 0.5 : px < fixed[0] ? 1 : 0, fy === 0.5 ? 0.5 : py < fixed[1] ? 1 : 0];
  const put = (width, height) => [fixed[0] - stays[0] * width, fixed[1] - stays[1] * height, width, height];
  if (!ratio) return put(across, down);
  // An edge decides alone; of a corner the side that is pulled farther.
  const wanted = fx === 0.5 ? down * ratio : fy === 0.5 ? across : Math.max(across, down * ratio);
  const room = (share, place, whole) => (share === 0.5 ? whole : share ? place : whole - place);
  const width = Math.min(wanted, room(stays[0], fixed[0], W), room(stays[1], fixed[1], H) * ratio);
  return put(width, width / ratio);
}
