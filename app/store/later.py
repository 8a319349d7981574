"""Later changes: what somebody changed of an image after a step, so that the step is not taken back over it."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.store.edits import FIELDS, Step, Value
from app.store.models import HistoryEntry, Image

NOUNS = ("caption", "image")
NAMED = 3
NAMES = {
    "caption": ("caption", "captions"),
    "add": ("added image", "added images"),
    "remove": ("removed image", "removed images"),
    "repeats": ("number of repeats", "numbers of repeats"),
    "weight": ("weight", "weights"),
    "split": ("split", "splits"),
    "recipe": ("recipe", "recipes"),
    "reviewed_by": ("review mark", "review marks"),
    "name": ("name", "names"),
    "provenance": ("source or licence", "sources and licences"),
}


class Later(NamedTuple):
    """A change of an image after a step; `kind` is a key of NAMES."""

    image_id: int
    kind: str
    by: str

    @property
    def who(self) -> str:
        """Who made it, as far as one gave a name."""
        return self.by if self.by not in ("", "you") else "somebody"


def kind_of(noun: str, verb: str) -> str:
    """What an entry of the history is about."""
    return "caption" if noun == "caption" else verb


def overtaken(session: Session, project_id: int, key: str, entries: Sequence[HistoryEntry]) -> dict[int, Later]:
    """Images of the step `key` that were removed since, or changed in what it changed of them: the newest of these.

    What was changed and undone again does not count.
    """
    own = {(each.noun_id, kind_of(each.noun, each.verb)): each.id for each in entries}
    ids = {image_id for image_id, _ in own}
    columns = (
        HistoryEntry.id,
        HistoryEntry.batch,
        HistoryEntry.noun,
        HistoryEntry.noun_id,
        HistoryEntry.verb,
        HistoryEntry.by,
        HistoryEntry.undoes,
        HistoryEntry.redoes,
    )
    query = select(*columns).where(
        HistoryEntry.project_id == project_id,
        HistoryEntry.id > min(own.values()),
        HistoryEntry.noun.in_(NOUNS),
        or_(HistoryEntry.batch.is_(None), HistoryEntry.batch != key),
    )
    stands: dict[tuple[str, int], bool] = {}
    found: dict[int, Later] = {}
    for entry_id, batch, noun, image_id, verb, by, undoes, redoes in session.execute(
        query.order_by(HistoryEntry.id.desc())
    ):
        if settled := undoes or redoes:
            stands.setdefault((settled, image_id), undoes is None)
            continue
        kind = kind_of(noun, verb)
        is_gone = kind == "remove" and (image_id, "add") not in own
        is_about = is_gone or own.get((image_id, kind), entry_id) < entry_id
        if image_id in ids and is_about and stands.get((batch or f"#{entry_id}", image_id), True):
            found.setdefault(image_id, Later(image_id, kind, by))
    return found


def say_left(session: Session, left: Mapping[int, Later]) -> str:
    """Which images a step was not taken back for, why, and the way to it; '' for none."""
    if not left:
        return ""
    told = ", ".join(_told(session, each) for each in list(left.values())[:NAMED])
    rest = f" and {len(left) - NAMED:,} more" if len(left) > NAMED else ""
    return f" Left, since somebody changed it later: {told}{rest}. Once that is undone, this can be too."


def _told(session: Session, later: Later) -> str:
    name = name_of(session, later.image_id)
    return (
        f"{name} ({'removed' if later.kind == 'remove' else NAMES.get(later.kind, (later.kind,))[0]}, by {later.who})"
    )


def refuse(session: Session, step: Step, image_id: int, kind: str, now: Value = None) -> NoReturn:
    """Raise Conflict: the image, what was changed of it since and by whom, and the way out."""
    later = _newest(session, step.project_id, image_id, kind)
    name, who = name_of(session, image_id), later.who if later else "somebody"
    nothing = "so nothing was undone." if step.undoes else "so nothing was done again."
    if later and later.kind == "remove":
        raise Conflict(
            f"{_first_large(who)} removed {name} after this step, {nothing}", f"Undo that first: it brings {name} back."
        )
    what = NAMES.get(kind, (kind, kind))[0]
    is_now = f" (it is {now} now)" if kind in ("repeats", "weight", "split") else ""
    raise Conflict(
        f"{_first_large(who)} changed the {what} of {name} after this step{is_now}, {nothing}",
        f"Undo that later change first, or set the {what} of {name} by hand.",
    )


def _newest(session: Session, project_id: int, image_id: int, kind: str) -> Later | None:
    query = select(HistoryEntry.noun, HistoryEntry.verb, HistoryEntry.by).where(
        HistoryEntry.project_id == project_id, HistoryEntry.noun_id == image_id, HistoryEntry.noun.in_(NOUNS)
    )
    about = HistoryEntry.noun == "caption" if kind == "caption" else HistoryEntry.verb == kind
    row = session.execute(
        query.where(or_(about, HistoryEntry.verb == "remove")).order_by(HistoryEntry.id.desc()).limit(1)
    ).first()
    return Later(image_id, kind_of(row[0], row[1]), row[2]) if row else None


def name_of(session: Session, image_id: int) -> str:
    """An image's name; that of one that is gone stands in the history."""
    if name := session.scalar(select(Image.name).where(Image.id == image_id)):
        return name
    gone = select(HistoryEntry.before).where(
        HistoryEntry.noun == "image", HistoryEntry.noun_id == image_id, HistoryEntry.verb == "remove"
    )
    before = session.scalar(gone.order_by(HistoryEntry.id.desc()).limit(1))
    return str(json.loads(before)["name"]) if before else f"image {image_id}"


def field_kind(field: str) -> str:
    """What a column of an image is about."""
    return field if field in FIELDS else "provenance"


def _first_large(who: str) -> str:
    return "Somebody" if who == "somebody" else who
