"""A step of the history in words: what was done to which image, or to how many."""

import json
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.later import NAMES, kind_of
from app.store.models import HistoryEntry, Image
from app.store.recipe_words import told_of_all


def say(session: Session, entries: Sequence[HistoryEntry]) -> str:
    """A step in words: how many of what, or whose; of recipes, what is different."""
    by_kind: dict[str, set[int]] = {}
    for entry in entries:
        by_kind.setdefault(kind_of(entry.noun, entry.verb), set()).add(entry.noun_id)
    if by_kind.keys() == {"recipe"}:
        images = by_kind["recipe"]
        who = _name(session, entries) if len(images) == 1 else f"{len(images):,} images"
        said = f"{who}: {told_of_all(_pair(entry) for entry in entries)}"
    elif len(by_kind) == 1 and len(next(iter(by_kind.values()))) == 1:
        (kind,) = by_kind
        link = " " if kind in ("add", "remove") else " of "
        said = f"{NAMES.get(kind, (kind, kind))[0]}{link}{_name(session, entries)}"
    else:
        said = ", ".join(f"{len(ids)} {NAMES.get(kind, (kind, kind))[len(ids) > 1]}" for kind, ids in by_kind.items())
    return f"{said} ({entries[-1].by})" if entries[-1].by not in ("", "you") else said


def _pair(entry: HistoryEntry) -> tuple[str | None, str | None]:
    # What is told of an undo is the step that it took back.
    return (entry.after, entry.before) if entry.undoes else (entry.before, entry.after)


def _name(session: Session, entries: Sequence[HistoryEntry]) -> str:
    name = session.scalar(select(Image.name).where(Image.id == entries[0].noun_id))
    return name or _name_in(entries)


def _name_in(entries: Sequence[HistoryEntry]) -> str:
    for entry in entries:
        for text in (entry.before, entry.after):
            told = None if text is None else json.loads(text)
            if isinstance(told, dict) and "name" in told:
                return str(told["name"])
    return f"image {entries[0].noun_id}"
