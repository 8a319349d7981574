"""Undo and redo out of the history, so that they survive a restart: for a project, for one image, for one person."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.store.db import read, write
from app.store.edits import (
    FIELDS,
    PROVENANCE,
    Columns,
    Step,
    Value,
    Words,
    new_step,
    remove_images,
    restore_images,
    write_captions,
    write_fields,
)
from app.store.later import NOUNS, field_kind, overtaken, refuse, say_left
from app.store.models import Caption, HistoryEntry, Image
from app.store.parts import in_parts
from app.store.step_words import say

COLUMNS = [getattr(Image, name) for name in (*FIELDS, *PROVENANCE)]
ACCEPTED_BY = ", accepted by "
READ_AT_ONCE = 500
AT_ONCE = 100
"""So many images are put back in one transaction; more go in parts."""


@dataclass(frozen=True)
class Offer:
    """A step that can be undone or redone: its name, its entries (oldest first) and what it will do in words.

    `left` says which images it is not undone for, since somebody changed them while it was still under way.
    """

    key: str
    entries: tuple[HistoryEntry, ...]
    words: str
    left: str = ""

    @property
    def image_ids(self) -> list[int]:
        """The images it touches."""
        return sorted({entry.noun_id for entry in self.entries})


@dataclass(frozen=True)
class Done:
    """What an undo or redo did, in words, and to which images."""

    said: str
    image_ids: list[int]


def offers(
    session: Session, project_id: int, image_id: int | None = None, by: str | None = None, kind: str | None = None
) -> tuple[Offer | None, Offer | None]:
    """The step that undo would reverse and the one that redo would bring back, of all or of one image or person.

    With a `kind`, such as "recipe", other steps are passed over.
    """
    undo_key, redo_key = _latest(session, project_id, image_id, by, kind)
    return (
        _offer(session, project_id, undo_key, image_id, "Undo") if undo_key else None,
        _offer(session, project_id, redo_key, image_id, "Redo") if redo_key else None,
    )


def _latest(
    session: Session, project_id: int, image_id: int | None, by: str | None, kind: str | None = None
) -> tuple[str | None, str | None]:
    """The names of those two steps, which cost far less than what they hold."""
    state: dict[tuple[str, int], bool] = {}
    undo: str | None = None
    redo: str | None = None
    for key, noun_id, author, undoes, redoes in _newest_first(session, project_id, image_id, kind):
        if undoes is not None:
            is_undone = (undoes, noun_id) not in state
            state.setdefault((undoes, noun_id), False)
            if is_undone and redo is None and _is_by(author, by):
                redo = key
        elif redoes is not None:
            state.setdefault((redoes, noun_id), True)
        elif _is_by(author, by) and state.get((key, noun_id), True):
            undo = key
            break
    return undo, redo


def undo(
    session: Session,
    project_id: int,
    by: str,
    image_id: int | None = None,
    of: str | None = None,
    kind: str | None = None,
) -> Done | None:
    """Reverse the latest step (of one image or person, where asked); None when there is none. Raises Conflict."""
    key, _ = _latest(session, project_id, image_id, of, kind)
    if key is None:
        return None
    offer = _offer(session, project_id, key, image_id, "Undo")
    return _reverse(session, _step(project_id, by, offer, "undo"), offer) if offer else None


def redo(
    session: Session,
    project_id: int,
    by: str,
    image_id: int | None = None,
    of: str | None = None,
    kind: str | None = None,
) -> Done | None:
    """Do the step again that was undone last; None when there is none. Raises Conflict."""
    _, key = _latest(session, project_id, image_id, of, kind)
    if key is None:
        return None
    offer = _offer(session, project_id, key, image_id, "Redo")
    return _reverse(session, _step(project_id, by, offer, "redo"), offer) if offer else None


def travel(
    engine: Engine,
    project_id: int,
    by: str,
    verb: Literal["undo", "redo"],
    image_id: int | None = None,
    kind: str | None = None,
) -> Done | None:
    """Undo the latest step, or redo the one undone last, a large one in parts; None when there is none.

    Raises Conflict before anything is changed, Unfinished half way.
    """
    with read(engine) as session:
        key = _latest(session, project_id, image_id, None, kind)[verb == "redo"]
        offer = _offer(session, project_id, key, image_id, "Redo" if verb == "redo" else "Undo") if key else None
    if offer is None or len(offer.image_ids) <= AT_ONCE:
        with write(engine) as session:
            return (undo if verb == "undo" else redo)(session, project_id, by, image_id, kind=kind)
    return _reverse_in_parts(engine, _step(project_id, by, offer, verb), offer)


def waiting(session: Session, project_id: int, key: str) -> Offer | None:
    """What undo of the step of this name would reverse; None where there is none, or it is undone already."""
    return _offer(session, project_id, key, None, "Undo")


def take_back(engine: Engine, project_id: int, by: str, key: str) -> Done | None:
    """Undo the step of this name, a large one in parts; None where there is none, or it is undone already.

    Raises Conflict before anything is changed, Unfinished half way.
    """
    with read(engine) as session:
        offer = waiting(session, project_id, key)
    if offer is not None and len(offer.image_ids) > AT_ONCE:
        return _reverse_in_parts(engine, _step(project_id, by, offer, "undo"), offer)
    with write(engine) as session:
        offer = waiting(session, project_id, key)
        return _reverse(session, _step(project_id, by, offer, "undo"), offer) if offer else None


def _reverse_in_parts(engine: Engine, step: Step, whole: Offer) -> Done:
    plan = _plan(whole.entries)
    # Several short looks: where there is no write-ahead log, whoever wants to write waits until a reader has left.
    with read(engine) as session:
        _check(session, step, plan)
    with read(engine) as session:
        authors = _authors(session, step.project_id, plan.texts, whole.entries[0].id)
    by_image: dict[int, list[HistoryEntry]] = {}
    for entry in whole.entries:
        by_image.setdefault(entry.noun_id, []).append(entry)

    def some(session: Session, ids: Sequence[int]) -> int:
        part = replace(whole, entries=tuple(entry for each in ids for entry in by_image[each]))
        return len(_reverse(session, step, part, authors).image_ids)

    verbs = ("Undo", "redo what is undone") if step.undoes else ("Redo", "undo what is done")
    in_parts(engine, whole.image_ids, some, way_on=f"{verbs[0]} once more for the rest, or {verbs[1]}.")
    return _done(step, whole)


def _step(project_id: int, by: str, offer: Offer, verb: Literal["undo", "redo"]) -> Step:
    step = new_step(project_id, by)
    return replace(step, undoes=offer.key) if verb == "undo" else replace(step, redoes=offer.entries[0].undoes)


def _newest_first(
    session: Session, project_id: int, image_id: int | None, kind: str | None
) -> Iterator[tuple[str, int, str, str | None, str | None]]:
    query = select(
        HistoryEntry.id,
        HistoryEntry.batch,
        HistoryEntry.noun_id,
        HistoryEntry.by,
        HistoryEntry.undoes,
        HistoryEntry.redoes,
    ).where(HistoryEntry.project_id == project_id, HistoryEntry.noun.in_(NOUNS))
    if image_id is not None:
        query = query.where(HistoryEntry.noun_id == image_id)
    if kind is not None:
        query = query.where(HistoryEntry.verb == kind)
    below: int | None = None
    while True:
        page = query if below is None else query.where(HistoryEntry.id < below)
        rows = session.execute(page.order_by(HistoryEntry.id.desc()).limit(READ_AT_ONCE)).all()
        for entry_id, batch, noun_id, author, undoes, redoes in rows:
            yield batch or f"#{entry_id}", noun_id, author, undoes, redoes
        if len(rows) < READ_AT_ONCE:
            return
        below = rows[-1][0]


def _is_by(author: str, person: str | None) -> bool:
    return person is None or author == person or author.endswith(f"{ACCEPTED_BY}{person}")


def _offer(session: Session, project_id: int, key: str, image_id: int | None, verb: str) -> Offer | None:
    entries = _entries(session, project_id, key)
    settled = entries[0].undoes if verb == "Redo" and entries else key
    last = {
        entry.noun_id: entry
        for entry in session.scalars(
            select(HistoryEntry)
            .where(
                HistoryEntry.project_id == project_id,
                (HistoryEntry.undoes == settled) | (HistoryEntry.redoes == settled),
            )
            .order_by(HistoryEntry.id)
        )
    }

    def waits(entry: HistoryEntry) -> bool:
        newest = last.get(entry.noun_id)
        if verb == "Redo":
            return newest is not None and newest.batch == key
        return newest is None or newest.undoes is None

    kept = tuple(entry for entry in entries if waits(entry) and image_id in (None, entry.noun_id))
    if not kept:
        return None
    late = overtaken(session, project_id, key, kept) if verb == "Undo" else {}
    # Where nothing else is left of it, it is refused by name.
    ready = tuple(entry for entry in kept if entry.noun_id not in late) or kept
    return Offer(key, ready, say(session, ready), say_left(session, late) if len(ready) < len(kept) else "")


def _entries(session: Session, project_id: int, key: str) -> list[HistoryEntry]:
    named = HistoryEntry.id == int(key[1:]) if key.startswith("#") else HistoryEntry.batch == key
    query = select(HistoryEntry).where(HistoryEntry.project_id == project_id, named, HistoryEntry.noun.in_(NOUNS))
    return list(session.scalars(query.order_by(HistoryEntry.id)))


@dataclass
class _Reversal:
    """What has to be written to reverse some entries, and what must stand there now."""

    texts: dict[int, object] = field(default_factory=dict)
    texts_now: dict[int, object] = field(default_factory=dict)
    origins: dict[int, Columns] = field(default_factory=dict)
    fields: dict[int, dict[str, Value]] = field(default_factory=dict)
    fields_now: dict[int, dict[str, Value]] = field(default_factory=dict)
    removed: dict[int, dict[str, object]] = field(default_factory=dict)
    added: list[int] = field(default_factory=list)

    def take(self, entry: HistoryEntry) -> None:
        """Add an entry; the newest comes first."""
        before, after = _read(entry.before), _read(entry.after)
        image_id = entry.noun_id
        if entry.noun == "caption" and entry.verb == "bytes":
            if isinstance(before, dict):
                self.origins[image_id] = before
        elif entry.noun == "caption":
            self.texts_now.setdefault(image_id, after)
            self.texts[image_id] = before
        elif entry.verb == "add":
            self.added.append(image_id)
        elif entry.verb == "remove" and isinstance(before, dict):
            self.removed[image_id] = before
        elif entry.verb in FIELDS:
            self._columns(image_id, {entry.verb: _value(before)}, {entry.verb: _value(after)})
        elif isinstance(before, dict) and isinstance(after, dict):
            self._columns(image_id, before, after)

    def _columns(self, image_id: int, before: dict[str, Value], after: dict[str, Value]) -> None:
        self.fields.setdefault(image_id, {}).update(before)
        now = self.fields_now.setdefault(image_id, {})
        for key, value in after.items():
            now.setdefault(key, value)


def _plan(entries: Sequence[HistoryEntry]) -> _Reversal:
    plan = _Reversal()
    for entry in reversed(entries):
        plan.take(entry)
    gone = set(plan.added)
    for texts in (plan.texts, plan.fields):
        for image_id in gone:
            texts.pop(image_id, None)
    return plan


def _reverse(session: Session, step: Step, offer: Offer, authors: Mapping[int, str] | None = None) -> Done:
    plan = _plan(offer.entries)
    _check(session, step, plan)
    if authors is None:
        authors = _authors(session, step.project_id, plan.texts, offer.entries[0].id)
    words = {
        image_id: Words(
            text if isinstance(text, str) else None, authors.get(image_id, step.by), plan.origins.get(image_id)
        )
        for image_id, text in plan.texts.items()
        if image_id not in plan.removed
    }
    restore_images(session, step, plan.removed)
    write_fields(session, step, {key: value for key, value in plan.fields.items() if key not in plan.removed})
    write_captions(session, step, words)
    remove_images(session, step, plan.added)
    return _done(step, offer)


def _done(step: Step, offer: Offer) -> Done:
    words = f"{offer.words}.{offer.left}" if offer.left else offer.words
    return Done(f"{'Undone' if step.undoes else 'Done again'}: {words}", offer.image_ids)


def _check(session: Session, step: Step, plan: _Reversal) -> None:
    """Raise Conflict, before anything is written, where what stands there is not what the step left."""
    wanted = {*plan.texts, *plan.fields} - plan.removed.keys()
    own = Image.project_id == step.project_id
    few = Image.id.in_(wanted) if len(wanted) <= READ_AT_ONCE else own
    here = {row.id: row for row in session.execute(select(Image.id, *COLUMNS).where(own, few)) if row.id in wanted}
    texts: dict[int, str] = {}
    for image_id, text in session.execute(select(Caption.image_id, Caption.text).join(Image).where(own, few)):
        texts[image_id] = text
    for image_id in wanted:
        image = here.get(image_id)
        if image is None:
            refuse(session, step, image_id, "remove")
        elif image_id in plan.texts and texts.get(image_id) != plan.texts_now[image_id]:
            refuse(session, step, image_id, "caption")
        else:
            now = plan.fields_now.get(image_id, {}) if image_id in plan.fields else {}
            for key, value in now.items():
                if getattr(image, key) != value:
                    refuse(session, step, image_id, field_kind(key), getattr(image, key))
    hashes = [str(snap["sha256"]) for snap in plan.removed.values()]
    parts = [hashes[start : start + READ_AT_ONCE] for start in range(0, len(hashes), READ_AT_ONCE)]
    taken = {
        each for part in parts for each in session.scalars(select(Image.sha256).where(own, Image.sha256.in_(part)))
    }
    for snap in plan.removed.values():
        if snap["sha256"] in taken:
            raise Conflict(
                f"{snap['name']} was added again meanwhile, so it cannot come back a second time.",
                "Remove the newer one first.",
            )


def _authors(session: Session, project_id: int, texts: dict[int, object], before_id: int) -> dict[int, str]:
    """Who first wrote the words that come back."""
    query = select(HistoryEntry.noun_id, HistoryEntry.by, HistoryEntry.after).where(
        HistoryEntry.project_id == project_id,
        HistoryEntry.noun == "caption",
        HistoryEntry.verb != "bytes",
        HistoryEntry.undoes.is_(None),
        HistoryEntry.redoes.is_(None),
        HistoryEntry.id < before_id,
    )
    if len(texts) <= READ_AT_ONCE:
        query = query.where(HistoryEntry.noun_id.in_(texts))
    found: dict[int, str] = {}
    for image_id, author, after in session.execute(query.order_by(HistoryEntry.id)):
        if image_id in texts and _read(after) == texts[image_id]:
            found[image_id] = author
    return found


def _read(text: str | None) -> object:
    return None if text is None else json.loads(text)


def _value(told: object) -> Value:
    return told if isinstance(told, str | int | float | bool) else None
