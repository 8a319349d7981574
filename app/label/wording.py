"""Changes of the words of one caption; what a change does not mean stays byte for byte as it was written."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from app.contract.captions import GROUP, Line, Segment, has_trigger, parse
from app.label.rows import fold

Matches = Callable[[str], bool]


def add(text: str, tags: Sequence[str], after: Matches | None = None, *, in_front: bool = False) -> str:
    """Add tags that are not there yet: at the end, in front, or behind another tag (nowhere without that one)."""

    def change(line: Line) -> Line:
        known = {fold(tag) for tag in line.tags}
        new = [tag for tag in dict.fromkeys(tags) if fold(tag) not in known]
        if not new:
            return line
        if after is not None:
            return _behind(line, new, after)
        return _in_front(line, new) if in_front else _at_end(line, new)

    return _each_line(text, change, only=_tag_lines)


def remove(text: str, matches: Matches) -> str:
    """Take tags out, each with the separator that set it apart."""
    return _each_line(text, lambda line: _without(line, matches))


def rename(text: str, matches: Matches, names: Sequence[str]) -> str:
    """Give tags another name, or several; what stands there already is not written twice."""

    def change(line: Line) -> Line:
        others = {fold(tag) for tag in line.tags if not matches(tag)}
        new = [name for name in names if fold(name) not in others]
        is_first = True
        segments = []
        for segment in line.segments:
            if segment.has_words and matches(segment.text):
                segments.append(Segment(", ".join(new) if is_first else "", segment.kind))
                is_first = False
            else:
                segments.append(segment)
        return line if is_first else _without(replace(line, segments=tuple(segments)), lambda tag: not tag)

    return _each_line(text, change)


def merge(text: str, tags: Sequence[str], name: str) -> str:
    """Make one tag of several, where all of them stand in a line."""
    keys = {fold(tag) for tag in tags}

    def change(line: Line) -> Line:
        if not keys or not keys <= {fold(tag) for tag in line.tags}:
            return line
        return parse(rename(line.text, lambda tag: fold(tag) in keys, [name])).lines[0]

    return _each_line(text, change)


def dedupe(text: str) -> str:
    """Leave the first of each tag of a line."""

    def change(line: Line) -> Line:
        seen: set[str] = set()

        def is_again(tag: str) -> bool:
            key = fold(tag)
            is_known = key in seen
            seen.add(key)
            return is_known

        return _without(line, is_again)

    return _each_line(text, change)


def move_to_front(text: str, matches: Matches, default: str = "") -> str:
    """Put a tag first; with a default it is written where no tag matches."""

    def change(line: Line) -> Line:
        found = next((tag for tag in line.tags if matches(tag)), default)
        if not found or (line.tags and matches(line.tags[0])):
            return line
        return _in_front(_without(line, matches), [found])

    return _each_line(text, change, only=_tag_lines)


def lead(text: str, trigger_word: str) -> str:
    """Put the trigger word first in every line, where it does not stand inside a sentence already."""

    def is_trigger(tag: str) -> bool:
        return fold(tag) in (fold(trigger_word), "[trigger]")

    def change(line: Line) -> Line:
        if not line.tags or has_trigger(line.tags[0], trigger_word) or is_trigger(line.tags[0]):
            return line
        own = next((tag for tag in line.tags if is_trigger(tag)), None)
        if own is None and has_trigger(line.text, trigger_word):
            return line
        return _in_front(_without(line, is_trigger), [own or trigger_word])

    return _each_line(text, change) if text.strip() else trigger_word


def sort(text: str, key: Callable[[str], tuple[float, str]], trigger_word: str = "") -> str:
    """Sort the tags of each line behind its trigger word and `|||`; lines with sentences or groups stay."""

    def change(line: Line) -> Line:
        kinds = [segment.kind for segment in line.segments]
        if "prose" in kinds or "group" in kinds:
            return line
        start = len(kinds) - kinds[::-1].index("keep") if "keep" in kinds else 0
        places = [at for at in range(start, len(kinds)) if line.segments[at].has_words]
        if places and start == 0 and trigger_word and has_trigger(line.segments[places[0]].text, trigger_word):
            places = places[1:]
        ordered = sorted((line.segments[at] for at in places), key=lambda each: key(each.text))
        segments = list(line.segments)
        for at, segment in zip(places, ordered, strict=True):
            segments[at] = segment
        return replace(line, segments=tuple(segments))

    return _each_line(text, change)


def _each_line(
    text: str, change: Callable[[Line], Line], only: Callable[[Sequence[Line]], frozenset[int]] | None = None
) -> str:
    lines = parse(text).lines
    chosen = only(lines) if only is not None else None
    return "".join(
        (change(line) if chosen is None or at in chosen else line).text + line.ending for at, line in enumerate(lines)
    )


def _tag_lines(lines: Sequence[Line]) -> frozenset[int]:
    """Where a tag is added: to the lines that hold tags; without any to the first line with words, or the first."""
    tagged = [at for at, line in enumerate(lines) if any(each.kind not in ("prose", "gap") for each in line.segments)]
    worded = [at for at, line in enumerate(lines) if line.tags]
    return frozenset(tagged or worded[:1] or [0])


def _without(line: Line, matches: Matches) -> Line:
    segments = list(line.segments)
    at = 0
    while at < len(segments):
        if not (segments[at].has_words and matches(segments[at].text)):
            at += 1
            continue
        del segments[at]
        before = segments[at - 1] if at else None
        behind = segments[at] if at < len(segments) else None
        is_grouped = behind is not None and behind.kind == "group" and (before is None or before.kind != "group")
        if before is not None and _parts_tags(before) and not is_grouped:
            del segments[at - 1]
            at -= 1
        elif behind is not None and (_parts_tags(behind) or (before is None and behind.kind == "gap")):
            del segments[at]
    return replace(line, segments=tuple(segments))


def _parts_tags(segment: Segment) -> bool:
    return segment.kind == "group" or (segment.kind == "gap" and "," in segment.text)


def _comma(line: Line) -> str:
    """The separator as this line is written."""
    return next((each.text for each in line.segments if each.kind == "gap" and each.text.strip() == ","), ", ")


def _in_front(line: Line, tags: Sequence[str]) -> Line:
    first = next((at for at, each in enumerate(line.segments) if each.kind != "gap"), len(line.segments))
    comma = _comma(line)
    has_more = any(each.has_words for each in line.segments)
    follows = comma if has_more and line.segments[first].kind != "keep" else " " if has_more else ""
    new = Segment(comma.join(tags) + follows, "tag")
    return replace(line, segments=(*line.segments[:first], new, *line.segments[first:]))


def _at_end(line: Line, tags: Sequence[str]) -> Line:
    text = line.text
    kept = text.rstrip()
    comma = _comma(line)
    if not kept:
        return replace(line, segments=(Segment(text + comma.join(tags), "tag"),))
    # A comma that waits for a tag gets one.
    link = (" " if comma.endswith(" ") else "") if kept.endswith(",") else " " if kept.endswith("|||") else comma
    link = "" if kept.endswith(GROUP) else link
    return replace(line, segments=(Segment(kept + link + comma.join(tags) + text[len(kept) :], "tag"),))


def _behind(line: Line, tags: Sequence[str], after: Matches) -> Line:
    at = next((at for at, each in enumerate(line.segments) if each.has_words and after(each.text)), None)
    if at is None:
        return line
    comma = _comma(line)
    new = Segment("".join(comma + tag for tag in tags), "tag")
    return replace(line, segments=(*line.segments[: at + 1], new, *line.segments[at + 1 :]))
