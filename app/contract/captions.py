"""The one grammar of captions: lines of segments, the training text made of them, and the text of one visit."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

from app.contract.spec import Data

Kind = Literal["tag", "prose", "trigger", "wildcard", "keep", "group", "gap"]
Unit = list[str]

KEEP = "|||"
GROUP = ";;;"
TRIGGER = "[trigger]"
WORDS: frozenset[Kind] = frozenset({"tag", "prose", "trigger", "wildcard"})
LINE = re.compile(r"\r\n|\n|\r")
TOKEN = re.compile(r"[^\\{},|;]+|\\[,()]|\{\{|\}\}|\{[^{}]+\}|\|\|\||;;;|.", re.DOTALL)
PLAIN = re.compile(r"[^\s,](?:[^,]*[^\s,])?|[\s,]+")
SPECIAL = re.compile(r"[\\{}\[]|\|\|\||;;;")
WILDCARD = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
PLACEHOLDER = re.compile(r"\[trigger\]([ \t]*)", re.IGNORECASE)
ESCAPED = re.compile(r"\\([,()])")
SENTENCE_MARK = re.compile(r"\w[.!?…]|[。！？]")
# Inside of words a short one before a full stop is an abbreviation; at their end it is not.
SENTENCE_END = re.compile(r"(?:\w{3}[.!?…]|[。！？])[\"'”’)]*(?:\s|$)|\w[.!?…][\"'”’)]*$")
SHORTEST_SENTENCE_WORDS = 4


class Segment(NamedTuple):
    """A stretch of a line: words of one kind, a separator, or the gap of commas and spaces between."""

    text: str
    kind: Kind

    @property
    def has_words(self) -> bool:
        """Whether it is more than a separator."""
        return self.kind in WORDS


@dataclass(frozen=True)
class Line:
    """One line of a caption; `ending` is the line break behind it as it was written."""

    segments: tuple[Segment, ...]
    ending: str = ""

    @property
    def text(self) -> str:
        """The line as it was written, without its ending."""
        return "".join(segment.text for segment in self.segments)

    @property
    def tags(self) -> tuple[str, ...]:
        """The words between the separators."""
        return tuple(segment.text for segment in self.segments if segment.has_words)


@dataclass(frozen=True)
class Caption:
    """A caption read; there is one line more than line breaks."""

    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The caption exactly as it was written."""
        return "".join(line.text + line.ending for line in self.lines)

    @property
    def tags(self) -> tuple[str, ...]:
        """The words between the separators, of all lines."""
        return tuple(tag for line in self.lines for tag in line.tags)


def parse(text: str) -> Caption:
    """Read a caption; joining what is read gives back the exact text."""
    breaks = LINE.findall(text)
    return Caption(
        tuple(Line(parse_line(line), ending) for line, ending in zip(LINE.split(text), [*breaks, ""], strict=True))
    )


def parse_line(text: str) -> tuple[Segment, ...]:
    """Read one line; a comma, `|||` or `;;;` ends a segment unless it stands escaped or inside a wildcard."""
    if not (SPECIAL.search(text) or SENTENCE_MARK.search(text)):
        return tuple(
            Segment(part, "gap" if part[0] == "," or part[0].isspace() else "tag") for part in PLAIN.findall(text)
        )
    return _join_sentences(_merge_gaps(_pieces(text)))


def tags(caption: str) -> tuple[str, ...]:
    """The words of a caption between its separators, trimmed and never empty."""
    if SPECIAL.search(caption) or SENTENCE_MARK.search(caption):
        return parse(caption).tags
    return tuple(tag for part in re.split(r"[,\n\r]", caption) if (tag := part.strip()))


def has_trigger(caption: str, trigger_word: str) -> bool:
    """True when the trigger word stands in the caption as a word of its own, whatever its case."""
    return bool(trigger_word) and bool(
        re.search(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", caption, flags=re.IGNORECASE)
    )


def kind_of(text: str) -> Kind:
    """Say what the words between two separators are."""
    if text.casefold() == TRIGGER:
        return "trigger"
    if "{" in text and any(found[1] for found in WILDCARD.finditer(text)):
        return "wildcard"
    return "prose" if SENTENCE_END.search(text) and " " in text else "tag"


def unescape(text: str) -> str:
    """Take the backslashes off commas and parentheses: a text encoder would learn them."""
    return ESCAPED.sub(r"\1", text)


def compose(caption: str, trigger_word: str) -> str:
    """Return the training text: the caption's lines as written, each led by the trigger word unless it has it.

    `[trigger]` becomes the trigger word; lines, separators, wildcards and escapes stay for `vary` to choose from.
    """
    named = PLACEHOLDER.sub(lambda found: trigger_word + found[1] if trigger_word else "", caption)
    lines = [_compose_line(parse_line(line), trigger_word) for line in LINE.split(named)]
    return "\n".join(line for line in lines if line) or trigger_word


def vary(text: str, random: Random, data: Data) -> str:
    """Return the text of one visit: dropped whole, or one line with its wildcards drawn, shuffled and thinned out.

    What stands before `|||` stays in front, what stands behind a second one at the end; without it the first
    `keep_tags` stay. Words joined by `;;;` move together.
    """
    if random.random() < data.caption_dropout:
        return ""
    line = _draw_line(text, random, data)
    if data.uses_wildcards:
        line = WILDCARD.sub(lambda found: _draw_option(found, random), line)
    has_order = data.shuffles_tags or data.tag_dropout > 0
    if not has_order and KEEP not in line and GROUP not in line:
        return _tidy(line) if data.uses_wildcards else unescape(line)
    front, middle, end = _places(_parts(parse_line(line)), data.keep_tags)
    if data.shuffles_tags:
        random.shuffle(middle)
    if data.tag_dropout > 0:
        middle = [unit for unit in middle if random.random() >= data.tag_dropout]
    return unescape(", ".join(tag for unit in (*front, *middle, *end) for tag in unit))


def _pieces(text: str) -> Iterator[Segment]:
    held: list[str] = []
    tokens = TOKEN.findall(text) if SPECIAL.search(text) else re.findall(r"[^,]+|,", text)
    for token in tokens:
        if token in (",", KEEP, GROUP):
            yield from _words("".join(held))
            held.clear()
            yield Segment(token, "gap" if token == "," else "keep" if token == KEEP else "group")
        else:
            held.append(token)
    yield from _words("".join(held))


def _words(text: str) -> Iterator[Segment]:
    core = text.strip()
    if not core:
        if text:
            yield Segment(text, "gap")
        return
    start = text.index(core)
    if start:
        yield Segment(text[:start], "gap")
    yield Segment(core, kind_of(core))
    if start + len(core) < len(text):
        yield Segment(text[start + len(core) :], "gap")


def _merge_gaps(segments: Iterator[Segment]) -> list[Segment]:
    merged: list[Segment] = []
    for segment in segments:
        if segment.kind == "gap" and merged and merged[-1].kind == "gap":
            merged[-1] = Segment(merged[-1].text + segment.text, "gap")
        else:
            merged.append(segment)
    return merged


def _join_sentences(segments: list[Segment]) -> tuple[Segment, ...]:
    """Make one segment of a sentence that holds commas, so that nothing ever tears it apart."""
    if not any(segment.has_words and SENTENCE_END.search(segment.text) for segment in segments):
        return tuple(segments)
    joined: list[Segment] = []
    at = 0
    while at < len(segments):
        end = _sentence_end(segments, at)
        text = "".join(segment.text for segment in segments[at : end + 1])
        joined.append(Segment(text, "prose") if end > at else segments[at])
        at = end + 1
    return tuple(joined)


def _sentence_end(segments: Sequence[Segment], start: int) -> int:
    """The place of the last segment of the sentences that begin at `start`; `start` itself when none does."""
    first = segments[start]
    if not first.has_words or not first.text[0].isupper():
        return start
    last, words = start, 0
    for at in range(start, len(segments)):
        segment = segments[at]
        if segment.kind in ("keep", "group"):
            break
        if segment.has_words and SENTENCE_END.search(segment.text):
            last, words = at, len("".join(each.text for each in segments[start : at + 1]).split())
    return last if words >= SHORTEST_SENTENCE_WORDS else start


def _parts(segments: Sequence[Segment]) -> list[list[Unit]]:
    """The units of a line between its `|||`; a unit is what moves together."""
    parts: list[list[Unit]] = [[]]
    joins = False
    for segment in segments:
        if segment.kind == "keep":
            parts.append([])
            joins = False
        elif segment.kind == "group":
            joins = True
        elif segment.has_words:
            if joins and parts[-1]:
                parts[-1][-1].append(segment.text)
            else:
                parts[-1].append([segment.text])
            joins = False
        elif "," in segment.text:
            joins = False
    return parts


def _places(parts: list[list[Unit]], keep: int) -> tuple[list[Unit], list[Unit], list[Unit]]:
    if len(parts) == 1:
        return parts[0][:keep], parts[0][keep:], []
    return parts[0], parts[1], [unit for part in parts[2:] for unit in part]


def _compose_line(segments: Sequence[Segment], trigger_word: str) -> str:
    parts = _parts(segments)
    if not any(parts):
        return ""
    if trigger_word and not has_trigger("".join(segment.text for segment in segments), trigger_word):
        parts[0].insert(0, [trigger_word])
    return " ||| ".join(", ".join(GROUP.join(unit) for unit in part) for part in parts).strip()


def _draw_line(text: str, random: Random, data: Data) -> str:
    lines = [line for line in LINE.split(text) if line.strip()]
    if len(lines) > 1 and data.lines == "any":
        return random.choice(lines)
    return lines[0] if lines else ""


def _draw_option(found: re.Match[str], random: Random) -> str:
    return random.choice(found[1].split("|")) if found[1] else found[0][0]


def _tidy(line: str) -> str:
    return unescape(", ".join(Line(parse_line(line)).tags))
