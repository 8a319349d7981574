// Tags of a caption, on the screen alone: cut at commas that stand by themselves, every other byte left as it is.

// The pieces of a line: {text, tag, start, end}; `tag` is the text without its spaces.
export function pieces(line) {
  const found = [];
  let start = 0;
  let depth = 0;
  for (let at = 0; at <= line.length; at += 1) {
    const sign = line[at];
    if (sign === "\\") at += 1;
    else if (sign === "{") depth += 1;
    else if (sign === "}") depth = Math.max(0, depth - 1);
    else if (at >= line.length || ((sign === "," || sign === "，") && !depth)) {
      const text = line.slice(start, at);
      found.push({ text, tag: text.trim(), start, end: Math.min(at, line.length) });
      start = at + 1;
    }
  }
  if (start <= line.length && found.at(-1)?.end !== line.length) found.push({ text: line.slice(start), tag: line.slice(start).trim(), start, end: line.length });
  return found;
}

const key = (tag) => tag.trim().toLowerCase();
export const tagsOf = (text) => text.split("\n").flatMap((line) => pieces(line).map((each) => each.tag)).filter(Boolean);
export const hasTag = (text, tag) => tagsOf(text).some((each) => key(each) === key(tag));

// At the end of the first line.
export function addTag(text, tag) {
  if (hasTag(text, tag)) return text;
  const end = text.indexOf("\n") < 0 ? text.length : text.indexOf("\n");
  const head = text.slice(0, end);
  const join = !head.trim() ? "" : /,\s*$/.test(head) ? (/\s$/.test(head) ? "" : " ") : ", ";
  return head + join + tag + text.slice(end);
}

export function removeTag(text, tag) {
  return text.split("\n").map((line) => removeFrom(line, tag)).join("\n");
}

function removeFrom(line, tag) {
  const all = pieces(line);
  const at = all.findIndex((each) => each.tag && key(each.tag) === key(tag));
  if (at < 0) return line;
  const piece = all[at];
  const [start, end] = at > 0 ? [piece.start - 1, piece.end] : [0, all.length > 1 ? all[1].start + (all[1].text.length - all[1].text.trimStart().length) : piece.end];
  return removeFrom(line.slice(0, start) + line.slice(end), tag);
}

// What changed between two texts, as tags: to do the same again on another image.
export function difference(before, after) {
  return { added: tagsOf(after).filter((tag) => !hasTag(before, tag)), removed: tagsOf(before).filter((tag) => !hasTag(after, tag)) };
}

export function apply(text, { added, removed }) {
  return added.reduce(addTag, removed.reduce(removeTag, text));
}

// Both sides' changes to what they started from.
export const merge = (base, mine, theirs) => apply(theirs, difference(base, mine));

// Moves the tag at the caret one place; answers [text, caret] or null.
export function moveTag(text, caret, by) {
  const from = text.lastIndexOf("\n", caret - 1) + 1;
  const to = text.indexOf("\n", caret) < 0 ? text.length : text.indexOf("\n", caret);
  const all = pieces(text.slice(from, to));
  const at = all.findIndex((each) => caret - from <= each.end);
  const other = at + by;
  if (at < 0 || other < 0 || other >= all.length || !all[at].tag || !all[other].tag) return null;
  const trimmed = all.map((each) => each.text);
  const swap = (text, tag) => text.replace(text.trim(), () => tag);
  [trimmed[at], trimmed[other]] = [swap(all[at].text, all[other].tag), swap(all[other].text, all[at].tag)];
  const line = trimmed.join(",");
  const start = trimmed.slice(0, other).reduce((sum, each) => sum + each.length + 1, 0);
  return [text.slice(0, from) + line + text.slice(to), from + start + trimmed[other].trimEnd().length];
}
