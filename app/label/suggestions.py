"""What becomes of a caption when a suggestion is accepted, and where caption and model disagree. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.contract.captions import Caption, Line, Segment, parse, tags
from app.contract.suggestions import DOUBT, AnswerKind, tag_key

View = Literal["missing", "doubted"]
"""`missing`: the image says it, the caption does not; `doubted`: the caption says it, the image does not."""

SENTENCE_ENDS = ".!?…;:"
PROSE_WORDS = 5


class Seen(NamedTuple):
    """One suggestion: which image it is of, and what the model said. A tuple, since there are many."""

    id: int
    image_id: int
    kind: AnswerKind
    text: str
    category: str
    confidence: float
    model: str
    was_accepted: bool = False


@dataclass(frozen=True)
class TagCount:
    """A tag over which captions and models disagree: in how many images, and how sure the models are on average."""

    key: str
    text: str
    category: str
    images: int
    confidence: float


class Reading:
    """A caption, ready to be asked for many tags."""

    def __init__(self, caption: str, words: Sequence[str] | None = None) -> None:
        """Read it once; `words` are its tags, where somebody has read them already."""
        words = tags(caption) if words is None else words
        self._keys = {tag_key(word) for word in words}
        prose = " ".join(word for word in words if word.count(" ") >= PROSE_WORDS - 1)
        self._prose = f" {_plain(prose)} " if prose else ""

    def has(self, tag: str) -> bool:
        """Whether the caption says the tag: as a tag of its own, or inside a sentence."""
        key = tag_key(tag)
        if key in self._keys or not self._prose:
            return key in self._keys
        plain = _plain(key)
        return bool(plain) and f" {plain} " in self._prose


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text.casefold()).split())


def with_tags(caption: str, new: Iterable[str]) -> str:
    """Return the caption with the tags it lacks behind its first line; what stands there stays byte for byte."""
    reading, added = Reading(caption), dict[str, str]()
    for tag in new:
        if tag.strip() and not reading.has(tag):
            added.setdefault(tag_key(tag), tag.strip().replace(",", "\\,"))
    if not added:
        return caption
    line = next((line for line in parse(caption).lines if line.tags), None)
    words = ", ".join(added.values())
    if line is None:
        return words + caption if caption.strip() else words
    start = caption.index(line.text)
    place = start + len(line.text.rstrip(" \t,"))
    said = caption[start:place]
    gap = " " if said.endswith(tuple(SENTENCE_ENDS)) else ", "
    return caption[:place] + gap + words + caption[place:].lstrip(" \t,")


def with_caption(caption: str, text: str, how: Literal["empty", "replace", "line"]) -> str | None:
    """Return the caption once a suggested one is accepted: only where there is none, instead of it, or as a line more.

    None where `empty` finds words already.
    """
    if not caption.strip() or how == "replace":
        return text
    if how == "line":
        return f"{caption.rstrip()}\n{text}"
    return None


def without_tag(caption: str, tag: str) -> str:
    """Return the caption without every segment that is the tag; all others stay byte for byte."""
    key = tag_key(tag)
    lines = tuple(_line_without(line, key) for line in parse(caption).lines)
    return Caption(lines).text


def _line_without(line: Line, key: str) -> Line:
    kept: list[Segment] = []
    left_out = False
    for segment in line.segments:
        if segment.kind == "tag" and tag_key(segment.text) == key:
            left_out = True
        elif left_out and segment.kind == "gap" and (not kept or kept[-1].kind == "gap"):
            # The comma behind what is gone goes with it.
            left_out = False
        else:
            kept.append(segment)
            left_out = False
    if len(kept) < len(line.segments) and kept and kept[-1].kind == "gap" and line.segments[-1].kind != "gap":
        kept.pop()
    return Line(tuple(kept), line.ending)


def ghosts(caption: str, seen: Sequence[Seen]) -> list[Seen]:
    """The suggestions that say something which the caption does not, the surest first, each tag once."""
    reading, found = Reading(caption), dict[tuple[str, str], Seen]()
    for each in sorted(seen, key=lambda each: -each.confidence):
        if each.category == DOUBT or (each.kind == "tag" and reading.has(each.text)):
            continue
        if each.kind == "caption" and (each.text.strip() == caption.strip() or (each.was_accepted and caption.strip())):
            # A caption that was accepted is a person's from then on; it comes back only when theirs was undone.
            continue
        found.setdefault((each.kind, tag_key(each.text)), each)
    return list(found.values())


def disagreeing(view: View, caption: Reading, seen: Iterable[Seen]) -> list[Seen]:
    """The suggestions of one image over which its caption and the models disagree in this way."""
    if view == "doubted":
        return [each for each in seen if each.category == DOUBT and caption.has(each.text)]
    return [each for each in seen if each.kind == "tag" and each.category != DOUBT and not caption.has(each.text)]
