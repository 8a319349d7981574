"""Bulk edits: one operation on the words or fields of many images, as changes that can be looked at before."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Literal, get_args

import regex

from app.contract.captions import parse_line
from app.errors import Invalid
from app.label import wording
from app.label.rows import Row, Table, fold
from app.label.terms import pattern

Operation = Literal[
    "add", "remove", "rename", "replace", "front", "trigger", "sort", "dedupe", "merge", "copy", "repeats", "split",
    "licence",
]  # fmt: skip
Place = Literal["back", "front", "after"]
Order = Literal["name", "count"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
FIELDS = {"repeats": "repeats", "split": "split", "licence": "licence"}
LINKS: dict[Operation, str] = {"add": "to", "remove": "from", "copy": "to"}
MAX_REPEATS = 1000
TOLD_EVERY = 500
CAPTION_S, PATTERN_S = 0.5, 10.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wish:
    """What shall be done; which of the fields count follows from the operation."""

    operation: Operation
    tags: str = ""
    value: str = ""
    place: Place = "back"
    after: str = ""
    is_regex: bool = False
    is_exact: bool = False
    order: Order = "name"
    image_id: int = 0


@dataclass(frozen=True)
class Change:
    """What becomes of one image: its caption (None where there is none), or one field, before and after."""

    image_id: int
    name: str
    field: str
    before: str | int | None
    after: str | int


def plan(table: Table, ids: Sequence[int], wish: Wish, progress: Progress | None = None) -> list[Change]:
    """Work out what a wish changes among some images. Raises Invalid, naming the form's field.

    `progress` is told how many of all are done; what it raises ends the work.
    """
    change = _changer(table, wish)
    changes: list[Change] = []
    for place, image_id in enumerate(ids):
        if progress is not None and place % TOLD_EVERY == 0:
            progress(place, len(ids))
        row = table.by_id.get(image_id)
        if row is not None and (made := change(row)) is not None:
            changes.append(made)
    return changes


def describe(wish: Wish, trigger_word: str = "", scope: str = "") -> str:
    """The operation as words on a button: Add “red hat”, with a scope Add “red hat” to 37 filtered."""
    tags, value = f"“{wish.tags.strip()}”", wish.value.strip()
    words: dict[Operation, str] = {
        "add": f"Add {tags}",
        "remove": f"Remove {tags}",
        "rename": f"Rename {tags}",
        "replace": f"Replace {tags}",
        "front": f"Move {tags} to the front",
        "trigger": f"Put “{trigger_word}” first",
        "sort": "Sort tags",
        "dedupe": "Remove repeated tags",
        "merge": f"Merge {tags}",
        "copy": "Copy a caption",
        "repeats": f"Set {value} repeats",
        "split": f"Set {value}",
        "licence": f"Set licence {value}",
    }
    link = LINKS.get(wish.operation, "for" if wish.operation in FIELDS else "in")
    return f"{words[wish.operation]} {link} {scope}" if scope else words[wish.operation]


def _changer(table: Table, wish: Wish) -> Callable[[Row], Change | None]:
    if wish.operation in FIELDS:
        return _field_changer(wish)
    rewrite = _rewriter(table, wish)

    def change(row: Row) -> Change | None:
        after = rewrite(row.caption)
        return None if after == row.caption else Change(row.id, row.stored.name, "caption", row.stored.caption, after)

    return change


def _field_changer(wish: Wish) -> Callable[[Row], Change | None]:
    value: str | int = wish.value.strip()
    if wish.operation == "repeats":
        if not (wish.value.strip().isascii() and wish.value.strip().isdigit() and len(wish.value.strip()) < 6):
            raise Invalid("Repeats are a whole number.", f"Give 1 to {MAX_REPEATS}.", "value")
        value = int(wish.value)
        if not 1 <= value <= MAX_REPEATS:
            raise Invalid(f"{value} repeats are not possible.", f"Give 1 to {MAX_REPEATS}.", "value")
    elif wish.operation == "split" and value not in ("train", "held-out", "regularisation"):
        raise Invalid("There is no such split.", "Choose one of the three.", "value")
    field = FIELDS[wish.operation]

    def change(row: Row) -> Change | None:
        before: str | int = getattr(row.stored, field)
        return None if before == value else Change(row.id, row.stored.name, field, before, value)

    return change


def _rewriter(table: Table, wish: Wish) -> Callable[[str], str]:
    match wish.operation:
        case "add":
            tags = _tags(wish.tags, "tags")
            after = _matches(wish.after, "after") if wish.place == "after" else None
            return lambda text: wording.add(text, tags, after, in_front=wish.place == "front")
        case "remove":
            matches = _matches(wish.tags, "tags")
            return lambda text: wording.remove(text, matches)
        case "rename":
            matches, names = _matches(wish.tags, "tags"), _tags(wish.value, "value")
            return lambda text: wording.rename(text, matches, names)
        case "merge":
            tags, names = _tags(wish.tags, "tags"), _tags(wish.value, "value")
            return lambda text: wording.merge(text, tags, ", ".join(names))
        case "front":
            matches = _matches(wish.tags, "tags")
            return lambda text: wording.move_to_front(text, matches)
        case _:
            return _rearranger(table, wish)


def _rearranger(table: Table, wish: Wish) -> Callable[[str], str]:
    match wish.operation:
        case "trigger":
            if not table.trigger_word:
                raise Invalid("The project has no trigger word.", "Give it one on the project's page.", "operation")
            return lambda text: wording.lead(text, table.trigger_word)
        case "dedupe":
            return wording.dedupe
        case "sort":
            return _sorter(table, wish.order)
        case "copy":
            source = table.by_id.get(wish.image_id)
            if source is None:
                raise Invalid("There is no such image in this project.", "Give the number of one.", "image_id")
            return lambda _text: source.caption
        case _:
            return _replacer(wish)


def _replacer(wish: Wish) -> Callable[[str], str]:
    if not wish.tags:
        raise Invalid("There is nothing to look for.", "Type what to replace.", "tags")
    if wish.is_regex:
        return _pattern_replacer(wish)
    found = re.compile(re.escape(wish.tags), re.NOFLAG if wish.is_exact else re.IGNORECASE)
    return lambda text: found.sub(lambda _: wish.value, text)


def _pattern_replacer(wish: Wish) -> Callable[[str], str]:
    """Replace by a pattern that anybody may have written: one that would never end is given up."""
    flags = 0 if wish.is_exact else regex.IGNORECASE
    try:
        found = regex.compile(wish.tags, flags)
        # A group that the pattern does not have is noticed only when one is filled in.
        regex.compile(f"(?:{wish.tags})|", flags).sub(wish.value, "", 1)
    except (regex.error, IndexError) as error:
        raise Invalid(f"This pattern cannot be used: {error}.", "Mend it, or switch patterns off.", "tags") from error
    end_s = monotonic() + PATTERN_S

    def change(text: str) -> str:
        try:
            return str(found.sub(wish.value, text, timeout=min(CAPTION_S, max(0.001, end_s - monotonic()))))
        except TimeoutError as error:
            raise Invalid(
                "This pattern takes too long, so nothing was changed.",
                "Write it without repeats inside of repeats, such as (a+)+.",
                "tags",
            ) from error

    return change


def _sorter(table: Table, order: Order) -> Callable[[str], str]:
    def key(tag: str) -> tuple[float, str]:
        return (-table.frequencies[fold(tag)] if order == "count" else 0, fold(tag))

    return lambda text: wording.sort(text, key, table.trigger_word)


def _tags(text: str, field: str) -> tuple[str, ...]:
    tags = tuple(segment.text for segment in parse_line(" ".join(text.splitlines())) if segment.has_words)
    if not tags:
        raise Invalid("No tag is named.", "Type one, or several with commas between.", field)
    return tags


def _matches(text: str, field: str) -> wording.Matches:
    finders = [pattern(fold(tag), is_whole=True) for tag in _tags(text, field)]
    return lambda tag: any(finds(fold(tag)) for finds in finders)
