"""Clashes: a field of an image was set by somebody since a change of it was made; that change is not written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.store.edits import FIELDS, Columns, Value
from app.store.models import HistoryEntry, Image

CHUNK = 500
LOOKED_AT = 20
"""So many of an image's latest entries are asked who set a field of it."""
WORDS = {"reviewed_by": "review mark", "collected_on": "date", "no_ai": "mark against AI use"}


@dataclass(frozen=True)
class Clash:
    """A field that is neither what a change was made on nor what it wants; `by` is '' where nobody gave a name."""

    image_id: int
    name: str
    field: str
    now: Value
    by: str

    @property
    def what(self) -> str:
        """The field by the name that a person knows."""
        return WORDS.get(self.field, self.field)

    @property
    def shown(self) -> str:
        """The image, what stands there now and who set it."""
        now = "empty" if self.now in (None, "") else str(self.now)
        return f"{self.name} ({now}, by {self.by})" if self.by else f"{self.name} ({now})"


class Clashed(Conflict):
    """A change of an image met a value that it was not made on; nothing of the change was written."""

    def __init__(self, clash: Clash) -> None:
        did = f"set the {clash.what} of {clash.name} to {clash.now}"
        if clash.now in (None, ""):
            did = f"took the {clash.what} of {clash.name} away"
        super().__init__(
            f"{clash.by or 'Somebody'} {did} in the meantime, so yours was not written.",
            "Look at what is there now, and change it again if yours is right.",
        )
        self.clash = clash


def met(session: Session, image_id: int, wanted: Columns, made_on: Columns) -> list[Clash]:
    """The fields that are neither as they were nor as they are wanted; those without `made_on` pass."""
    image = session.get_one(Image, image_id)
    now: dict[str, Value] = {field: getattr(image, field) for field in made_on if field in wanted}
    return [
        Clash(image_id, image.name, field, value, _last_by(session, image, field))
        for field, value in now.items()
        if value not in (made_on[field], wanted[field])
    ]


def check(session: Session, image_id: int, wanted: Columns, made_on: Columns) -> None:
    """Raise Clashed for the first of these."""
    if found := met(session, image_id, wanted, made_on):
        raise Clashed(found[0])


def since(
    session: Session, project_id: int, field: str, wanted: Mapping[int, Value], history_id: int
) -> dict[int, Clash]:
    """Which of some images have another value in a field than at a point of the history, nor the wanted one."""
    first: dict[int, Value] = {}
    last_by: dict[int, str] = {}
    ids = list(wanted)
    for start in range(0, len(ids), CHUNK):
        for entry in _entries_since(session, project_id, field, ids[start : start + CHUNK], history_id):
            first.setdefault(entry.noun_id, _before(entry, field))
            last_by[entry.noun_id] = entry.by
    found: dict[int, Clash] = {}
    touched = list(first)
    for start in range(0, len(touched), CHUNK):
        column = getattr(Image, field)
        query = select(Image.id, Image.name, column).where(Image.id.in_(touched[start : start + CHUNK]))
        for image_id, name, now in session.execute(query):
            if now not in (first[image_id], wanted[image_id]):
                found[image_id] = Clash(image_id, name, field, now, _named(last_by[image_id]))
    return found


def _entries_since(
    session: Session, project_id: int, field: str, image_ids: Sequence[int], history_id: int
) -> list[HistoryEntry]:
    query = select(HistoryEntry).where(
        HistoryEntry.project_id == project_id,
        HistoryEntry.id > history_id,
        HistoryEntry.noun == "image",
        HistoryEntry.verb == _verb(field),
        HistoryEntry.noun_id.in_(image_ids),
    )
    return [each for each in session.scalars(query.order_by(HistoryEntry.id)) if _is_about(each, field)]


def _last_by(session: Session, image: Image, field: str) -> str:
    query = select(HistoryEntry).where(
        HistoryEntry.project_id == image.project_id,
        HistoryEntry.noun == "image",
        HistoryEntry.verb == _verb(field),
        HistoryEntry.noun_id == image.id,
    )
    latest = session.scalars(query.order_by(HistoryEntry.id.desc()).limit(LOOKED_AT))
    return next((_named(each.by) for each in latest if _is_about(each, field)), "")


def _verb(field: str) -> str:
    return field if field in FIELDS else "provenance"


def _is_about(entry: HistoryEntry, field: str) -> bool:
    return field in FIELDS or (entry.before is not None and field in json.loads(entry.before))


def _before(entry: HistoryEntry, field: str) -> Value:
    if entry.before is None:
        return None
    told = json.loads(entry.before)
    value: Value = told if field in FIELDS else told[field]
    return value


def _named(by: str) -> str:
    return "" if by == "you" else by
