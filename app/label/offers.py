"""What the filter may go on with while it is being typed: keys, the values they know, the dataset's own tags."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.label.rows import Table, fold
from app.label.terms import (
    BUCKET_SHAPES,
    EXAMPLES,
    HAS,
    HAS_OF_TABLE,
    IS,
    IS_OF_TABLE,
    READERS,
    SPLITS,
    TRIGGER_PLACES,
)

MOST = 12
VALUES: dict[str, tuple[str, ...]] = {
    "is": (*IS, *IS_OF_TABLE),
    "has": (*HAS, *HAS_OF_TABLE),
    "split": tuple(SPLITS),
    "by": ("person", "model", "import"),
    "bucket": BUCKET_SHAPES,
    "trigger": TRIGGER_PLACES,
}
MEANINGS = {
    "is": "untagged, reviewed, masked, error …",
    "has": "mask, suggestion, prompt …",
    "tag": "a whole tag",
    "caption": "words of the caption",
    "finding": "what inspection found",
    "df": "tags that stand in so many captions",
    "near": "images like this one",
    "by": "who wrote the caption",
    "ar": "width to height",
    "mp": "megapixels",
}


@dataclass(frozen=True)
class Offered:
    """A term to go on with, and what it means or in how many captions it stands."""

    term: str
    note: str


def offers(table: Table, word: str) -> list[Offered]:
    """The terms that begin as the last word of a filter does; at most 12."""
    minus, bare = ("-", word[1:]) if word.startswith("-") else ("", word)
    key, colon, value = bare.partition(":")
    found = _values(table, key.casefold(), value.strip('"').casefold()) if colon else _starts(table, bare.casefold())
    return [Offered(minus + each.term, each.note) for each, _ in zip(found, range(MOST), strict=False)]


def _starts(table: Table, word: str) -> Iterator[Offered]:
    if not word:
        return
    for key in sorted(READERS):
        if key.startswith(word):
            yield Offered(f"{key}:", MEANINGS.get(key, f"such as {EXAMPLES[key]}"))
    for key in ("is", "has", "trigger"):
        yield from (Offered(f"{key}:{each}", "") for each in VALUES[key] if each.startswith(word) and len(word) > 1)
    yield from _tags(table, word.strip('"'), "")


def _values(table: Table, key: str, value: str) -> Iterator[Offered]:
    if key == "tag":
        yield from _tags(table, value, "tag:")
        return
    known: Iterable[str] = VALUES.get(key, ())
    if key == "finding":
        known = sorted({mark for marks in table.marks.values() for mark in marks})
    yield from (Offered(f"{key}:{each}", "") for each in known if each.startswith(value))
    if key in READERS and not known and not value:
        yield Offered(EXAMPLES[key], "for example")


def _tags(table: Table, word: str, lead: str) -> Iterator[Offered]:
    wanted = fold(word)
    for key, count in table.frequencies.most_common():
        if key.startswith(wanted):
            yield Offered(lead + _quoted(table.spellings[key].most_common(1)[0][0]), f"{count:,}")


def _quoted(tag: str) -> str:
    """A tag as a filter wants it: in quotes unless it is one plain word."""
    is_plain = re.fullmatch(r"\w+", tag) and tag.casefold() not in ("and", "or", "not")
    return tag if is_plain else '"' + re.sub(r'(["\\])', r"\\\1", tag) + '"'
