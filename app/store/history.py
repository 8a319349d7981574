"""History: every edit of a project, from which versions and undo are made."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, insert, or_, select
from sqlalchemy.orm import Session

from app.store.models import HistoryEntry, now_us


@dataclass(frozen=True)
class Edit:
    """One edit to record; `before` and `after` are anything JSON can hold, None for what is not there."""

    project_id: int
    by: str
    noun: str
    noun_id: int
    verb: str
    before: object = None
    after: object = None
    batch: str | None = None
    undoes: str | None = None
    redoes: str | None = None


def record(session: Session, edit: Edit) -> int:
    """Write an edit down and return its id, which names the dataset version it led to."""
    entry = HistoryEntry(**_values(edit))
    session.add(entry)
    session.flush()
    return entry.id


def record_many(session: Session, edits: Iterable[Edit]) -> None:
    """Write edits down in their order, with few statements however many there are."""
    if values := [_values(edit) for edit in edits]:
        session.flush()
        session.connection().execute(insert(HistoryEntry), values)


def _values(edit: Edit) -> dict[str, object]:
    return {
        "project_id": edit.project_id,
        "at_us": now_us(),
        "by": edit.by,
        "batch": edit.batch,
        "noun": edit.noun,
        "noun_id": edit.noun_id,
        "verb": edit.verb,
        "before": _json(edit.before),
        "after": _json(edit.after),
        "undoes": edit.undoes,
        "redoes": edit.redoes,
    }


def newest(session: Session, project_id: int) -> int:
    """The id of a project's latest edit; 0 before the first."""
    highest = select(func.max(HistoryEntry.id)).where(HistoryEntry.project_id == project_id)
    return session.scalar(highest) or 0


def reach(session: Session, project_id: int, batch: str) -> tuple[int, int]:
    """How many images a step changed, and for how many of these it is undone."""
    own = HistoryEntry.project_id == project_id
    changed = select(func.count(HistoryEntry.noun_id.distinct())).where(
        own, HistoryEntry.batch == batch, HistoryEntry.noun.in_(("caption", "image"))
    )
    settled = select(HistoryEntry.noun_id, HistoryEntry.undoes).where(
        own, or_(HistoryEntry.undoes == batch, HistoryEntry.redoes == batch)
    )
    last = {noun_id: undoes for noun_id, undoes in session.execute(settled.order_by(HistoryEntry.id))}
    return session.scalar(changed) or 0, sum(undoes is not None for undoes in last.values())


def entries(session: Session, project_id: int, limit: int = 100) -> list[HistoryEntry]:
    """The latest edits of a project, newest first."""
    query = select(HistoryEntry).where(HistoryEntry.project_id == project_id)
    return list(session.scalars(query.order_by(HistoryEntry.id.desc()).limit(limit)))


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
