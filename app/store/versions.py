"""Versions: named points of a project's history, what differs between two, and a way back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, String, case, cast, func, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.store import history
from app.store.db import read
from app.store.edits import (
    FIELDS,
    PROVENANCE,
    Columns,
    Value,
    Words,
    new_step,
    remove_images,
    restore_images,
    write_captions,
    write_fields,
)
from app.store.models import Caption, HistoryEntry, Image, Run, Version, now_us
from app.store.parts import in_parts

MAX_NAME = 80

Kind = Literal["added", "removed", "caption", "field"]


@dataclass(frozen=True)
class Then:
    """An image as it was at a point of the history; `snap` holds all of it where it has been removed since."""

    name: str
    caption: str | None
    columns: Columns
    snap: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Difference:
    """What differs of one image between two points: there or not, its words, or one of its fields."""

    image_id: int
    name: str
    kind: Kind
    field: str
    before: str
    after: str


def save(session: Session, project_id: int, name: str, by: str) -> Version:
    """Give the present point a name. Raises Invalid without a name, Conflict for a taken one."""
    wanted = " ".join(name.split())
    if not wanted or len(wanted) > MAX_NAME:
        raise Invalid("A version needs a name.", f"Give 1 to {MAX_NAME} letters.", "name")
    query = select(Version).where(Version.project_id == project_id, Version.name == wanted)
    if session.scalar(query):
        raise Conflict(f"There is a version called {wanted} already.", "Choose another name.", "name")
    row = Version(
        project_id=project_id,
        name=wanted,
        history_id=history.newest(session, project_id),
        by=by,
        at_us=now_us(),
    )
    session.add(row)
    session.flush()
    return row


def listed(session: Session, project_id: int) -> list[Version]:
    """The versions of a project, the newest first."""
    query = select(Version).where(Version.project_id == project_id)
    return list(session.scalars(query.order_by(Version.history_id.desc(), Version.id.desc())))


def get(session: Session, project_id: int, version_id: int) -> Version:
    """Find a version. Raises NotFound."""
    row = session.get(Version, version_id)
    if row is None or row.project_id != project_id:
        raise NotFound(f"There is no version {version_id} in this project.", "Choose one from the list.")
    return row


def runs_of(session: Session, project_id: int) -> list[Run]:
    """The training runs of a project, each of which pinned a point of the history."""
    query = select(Run).where(Run.project_id == project_id, Run.kind == "train")
    return list(session.scalars(query.order_by(Run.id.desc())))


def state_at(session: Session, project_id: int, history_id: int) -> dict[int, Then]:
    """Every image as it was after an entry of the history."""
    columns = (*FIELDS, *PROVENANCE)
    now: dict[int, Then] = {}
    query = (
        select(Image, Caption.text)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .where(Image.project_id == project_id)
        .order_by(Image.id)
    )
    for image, text in session.execute(query):
        now[image.id] = Then(image.name, text, {key: getattr(image, key) for key in columns})
    later = select(HistoryEntry).where(HistoryEntry.project_id == project_id, HistoryEntry.id > history_id)
    for entry in session.scalars(later.order_by(HistoryEntry.id.desc())):
        _take_back(now, entry)
    return dict(sorted(now.items()))


def differences(before: Mapping[int, Then], after: Mapping[int, Then]) -> list[Difference]:
    """What differs from one state to another, image by image."""
    found: list[Difference] = []
    for image_id in sorted({*before, *after}):
        one, other = before.get(image_id), after.get(image_id)
        if one is None or other is None:
            found += _came_or_went(image_id, one, other)
            continue
        if one.caption != other.caption:
            found.append(Difference(image_id, other.name, "caption", "caption", one.caption or "", other.caption or ""))
        found += [
            Difference(image_id, other.name, "field", key, _shown(one.columns[key]), _shown(other.columns[key]))
            for key in other.columns
            if key in one.columns and one.columns[key] != other.columns[key]
        ]
    return found


def _came_or_went(image_id: int, one: Then | None, other: Then | None) -> list[Difference]:
    if other is not None:
        return [Difference(image_id, other.name, "added", "", "", other.caption or "")]
    return [Difference(image_id, one.name, "removed", "", one.caption or "", "")] if one is not None else []


def restore(engine: Engine, project_id: int, history_id: int, by: str) -> int:
    """Make the dataset what it was at a point, as one step that can be undone; how many images changed.

    It is done in parts. Raises Unfinished.
    """
    with read(engine) as session:
        wanted = state_at(session, project_id, history_id)
        now = state_at(session, project_id, history.newest(session, project_id))
    step = new_step(project_id, by)

    kept: set[int] = set()

    def some(session: Session, ids: Sequence[int]) -> int:
        part = {key: wanted[key] for key in ids if key in wanted}
        gone = {key: then.snap for key, then in part.items() if key not in now and then.snap is not None}
        back = set(restore_images(session, step, gone))
        twins = _twins(session, project_id, {key: snap for key, snap in gone.items() if key not in back})
        kept.update(twins.values())
        here = {twins.get(key, key): then for key, then in part.items() if key in now or key in back or key in twins}
        columns: dict[int, Columns] = {key: then.columns for key, then in here.items() if then.columns}
        words = {key: Words(then.caption, by) for key, then in here.items()}
        changed = {*back, *write_captions(session, step, words), *write_fields(session, step, columns)}
        return len(changed) + remove_images(
            session, step, [key for key in ids if key not in wanted and key not in kept]
        )

    # What came in since goes last: some of it stands for what was removed.
    extra = [key for key in now if key not in wanted]
    differing = [key for key, then in wanted.items() if then != now.get(key)]
    return in_parts(engine, [*differing, *extra], some)


def _twins(session: Session, project_id: int, gone: Mapping[int, Mapping[str, object]]) -> dict[int, int]:
    """The images that hold the pictures of removed ones by now: the same file was added again."""
    by_hash = {str(snap["sha256"]): image_id for image_id, snap in gone.items()}
    query = select(Image.sha256, Image.id).where(Image.project_id == project_id, Image.sha256.in_(by_hash))
    return {by_hash[sha256]: image_id for sha256, image_id in session.execute(query)}


@dataclass(frozen=True)
class PastStep:
    """One step of the history: its last entry, who did it when, to how many images, and one of them.

    That one has no name when it is no longer there.
    """

    history_id: int
    by: str
    at_us: int
    noun: str
    verb: str
    images: int
    is_undo: bool
    is_redo: bool
    image_id: int
    name: str


def past_steps(session: Session, project_id: int, limit: int = 50) -> list[PastStep]:
    """The latest steps of a project, the newest first."""
    key = func.coalesce(HistoryEntry.batch, cast(HistoryEntry.id, String))
    # Images that came in with their words are one thing that happened.
    adds = func.max(case((HistoryEntry.verb == "add", 1), else_=0)) == 1
    query = (
        select(
            func.max(HistoryEntry.id),
            func.max(HistoryEntry.by),
            func.max(HistoryEntry.at_us),
            func.min(HistoryEntry.noun),
            case((adds, "add"), else_=func.max(HistoryEntry.verb)),
            func.count(HistoryEntry.noun_id.distinct()),
            func.max(HistoryEntry.undoes).is_not(None),
            func.max(HistoryEntry.redoes).is_not(None),
            func.max(HistoryEntry.noun_id),
        )
        .where(HistoryEntry.project_id == project_id, HistoryEntry.noun.in_(("image", "caption")))
        .group_by(key)
        .order_by(func.max(HistoryEntry.id).desc())
        .limit(limit)
    )
    rows: list[Any] = list(session.execute(query))
    here = select(Image.id, Image.name).where(Image.id.in_([row[-1] for row in rows]))
    names = {image_id: name for image_id, name in session.execute(here)}
    return [PastStep(*[*row, names.get(row[-1], "")]) for row in rows]


def _take_back(now: dict[int, Then], entry: HistoryEntry) -> None:
    before = json.loads(entry.before) if entry.before is not None else None
    image_id = entry.noun_id
    if entry.noun == "image" and entry.verb == "add":
        now.pop(image_id, None)
    elif entry.noun == "image" and entry.verb == "remove" and isinstance(before, dict):
        told = before.get("columns") or {"repeats": before.get("repeats") or 1}
        kept: dict[str, Value] = {key: told[key] for key in (*FIELDS, *PROVENANCE) if key in told}
        now[image_id] = Then(str(before["name"]), before.get("caption"), kept, before)
    elif image_id not in now:
        return
    elif entry.noun == "caption" and entry.verb != "bytes":
        then = now[image_id]
        now[image_id] = Then(then.name, before, then.columns, then.snap)
    elif entry.noun == "image":
        then = now[image_id]
        change = {entry.verb: before} if entry.verb in FIELDS else before if isinstance(before, dict) else {}
        now[image_id] = Then(then.name, then.caption, {**then.columns, **change}, then.snap)


def _shown(value: Value) -> str:
    return "" if value is None else str(value)
