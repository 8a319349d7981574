// One line of a caption as the studio read it, changed tag by tag: words move between places, separators stay as written.
const KEEP = "|||";
const WORDS = ["tag", "trigger", "wildcard"];

export const isChip = (segment) => WORDS.includes(segment.kind);
export const textOf = (segments) => segments.map((each) => each.text).join("");

const hasWords = (segment) => isChip(segment) || segment.kind === "prose";
const partsTags = (segment) => segment?.kind === "group" || (segment?.kind === "gap" && segment.text.includes(","));
const comma = (segments) => segments.find((each) => each.kind === "gap" && each.text.trim() === ",")?.text ?? ", ";
const without = (segments, from, count = 1) => segments.toSpliced(from, count);

// The separator before the tag goes with it; for the first one that behind it.
export function remove(segments, at) {
  const left = without(segments, at);
  const [before, behind] = [left[at - 1], left[at]];
  const isOfGroup = behind?.kind === "group" && before?.kind !== "group";
  if (partsTags(before) && !isOfGroup) return tidy(without(left, at - 1));
  return tidy(partsTags(behind) || (!before && behind?.kind === "gap") ? without(left, at) : left);
}

// A pin that keeps nothing is none.
function tidy(segments) {
  const bar = segments.findIndex((each) => each.kind === "keep");
  return bar < 0 || segments.slice(0, bar).some(hasWords) ? segments : segments.slice(bar + 1).slice(segments[bar + 1]?.kind === "gap" ? 1 : 0);
}

// Takes the tag to another tag's place; those between move up by one.
export function move(segments, from, to) {
  const places = [...segments.keys()].filter((at) => isChip(segments[at]));
  const words = places.map((at) => segments[at]);
  words.splice(places.indexOf(to), 0, ...words.splice(places.indexOf(from), 1));
  const moved = [...segments];
  for (const [at, place] of places.entries()) moved[place] = words[at];
  return moved;
}

export function rewrite(segments, at, text) {
  const words = text.trim();
  return words ? segments.with(at, { ...segments[at], text: words }) : remove(segments, at);
}

// Keeps the tags up to this one in front; where the pin is there already, takes it away.
export function pin(segments, at) {
  const end = groupEnd(segments, at);
  const bar = segments.findIndex((each) => each.kind === "keep");
  const next = segments.findIndex((each, place) => place > end && each.kind !== "gap");
  const last = segments[end];
  const bare = bar < 0 ? segments : unpinned(segments, bar);
  if (bar >= 0 && bar === next) return bare;
  const place = bare.indexOf(last) + 1;
  const sign = [{ text: " ", kind: "gap" }, { text: KEEP, kind: "keep" }];
  const isLast = !bare.slice(place).some((each) => each.kind !== "gap");
  const gaps = bare[place]?.kind === "gap" ? 1 : 0;
  return bare.toSpliced(place, gaps, ...sign, ...(isLast ? [] : [{ text: " ", kind: "gap" }]));
}

function unpinned(segments, bar) {
  const from = segments[bar - 1]?.kind === "gap" ? bar - 1 : bar;
  const to = segments[bar + 1]?.kind === "gap" ? bar + 2 : bar + 1;
  const isBetween = segments.slice(0, from).some(hasWords) && segments.slice(to).some(hasWords);
  return segments.toSpliced(from, to - from, ...(isBetween ? [{ text: comma(segments), kind: "gap" }] : []));
}

// What `;;;` joins is never parted.
function groupEnd(segments, at) {
  let end = at;
  for (let place = at + 1; place < segments.length && !(segments[place].kind === "gap" && segments[place].text.includes(",")) && segments[place].kind !== "keep"; place += 1) {
    if (hasWords(segments[place])) end = place;
  }
  return end;
}

// Whether a tag stands before the pin.
export function isKept(segments, at) {
  return segments.findIndex((each) => each.kind === "keep") > at;
}
