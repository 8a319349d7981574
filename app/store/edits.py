"""Edits of one image or of many in one step: the rows change, revisions grow and the history is written together."""

import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from uuid import uuid4

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.store.history import Edit, record_many
from app.store.models import Caption, Image, now_us

FIELDS = ("repeats", "weight", "split", "recipe", "reviewed_by", "name")
PROVENANCE = ("source", "author", "licence", "collected_on", "no_ai")
CHUNK = 500

Value = str | int | float | bool | None
Columns = Mapping[str, Value]
Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class Step:
    """Who does what is one step for a person; `undoes` and `redoes` name the step that it reverses or repeats."""

    project_id: int
    by: str
    batch: str
    undoes: str | None = None
    redoes: str | None = None

    def edit(self, noun: str, noun_id: int, verb: str, before: object, after: object) -> Edit:
        """One entry of the step."""
        return Edit(self.project_id, self.by, noun, noun_id, verb, before, after, self.batch, self.undoes, self.redoes)


@dataclass(frozen=True)
class Words:
    """A caption to write: no text takes it away; `origin` are the bytes it came as, `by` who wrote it."""

    text: str | None
    by: str
    origin: Columns | None = None


def name_key(name: str) -> str:
    """A name by which captions find it: composed, and without case."""
    return unicodedata.normalize("NFC", name).casefold()


def new_step(project_id: int, by: str, batch: str = "") -> Step:
    """Begin a step, or go on with one that was named before: several edits that are one for a person."""
    return Step(project_id, by, batch or str(uuid4()))


def write_captions(session: Session, step: Step, words: Mapping[int, Words]) -> list[int]:
    """Set captions and return the images of which one changed; the bytes a caption came as go with its first edit."""
    kept = {row.image_id: row for part in _parts(list(words)) for row in _kept(session, part)}
    edits: list[Edit] = []
    written: list[dict[str, object]] = []
    changed: list[int] = []
    for image_id, new in words.items():
        row = kept.get(image_id)
        if (row.text if row else None) == new.text:
            continue
        changed.append(image_id)
        edits.append(step.edit("caption", image_id, "save", row.text if row else None, new.text))
        before = origin_of(row) if row else None
        if before or new.origin:
            edits.append(step.edit("caption", image_id, "bytes", before, new.origin))
        if new.text is not None:
            written.append(_caption_values(image_id, new))
    for part in _parts(changed):
        session.execute(delete(Caption).where(Caption.image_id.in_(part)).execution_options(synchronize_session=False))
    if written:
        session.connection().execute(insert(Caption), written)
    _grow(session, changed)
    record_many(session, edits)
    _refresh(session, set(changed))
    return changed


def write_fields(session: Session, step: Step, changes: Mapping[int, Columns]) -> list[int]:
    """Set columns of the project's images and return those of which one changed; ids that are gone are passed over."""
    ids = list(changes)
    here = select(Image).where(Image.project_id == step.project_id)
    rows = {row.id: row for part in _parts(ids) for row in session.scalars(here.where(Image.id.in_(part)))}
    edits: list[Edit] = []
    changed: list[int] = []
    for image_id, wanted in changes.items():
        row = rows.get(image_id)
        new = {key: value for key, value in wanted.items() if row is not None and getattr(row, key) != value}
        if row is None or not new:
            continue
        old: dict[str, Value] = {key: getattr(row, key) for key in new}
        changed.append(image_id)
        edits += [step.edit("image", image_id, key, old[key], new[key]) for key in FIELDS if key in new]
        if told := [key for key in PROVENANCE if key in new]:
            before, after = {key: old[key] for key in told}, {key: new[key] for key in told}
            edits.append(step.edit("image", image_id, "provenance", before, after))
        for key, value in new.items():
            setattr(row, key, value)
        if "name" in new:
            row.name_key = name_key(row.name)
        row.revision += 1
    session.flush()
    record_many(session, edits)
    return changed


def remove_images(session: Session, step: Step, image_ids: Sequence[int]) -> int:
    """Take images out and return how many; what they were is kept in the history. Ids that are gone are passed over."""
    removed = 0
    for part in _parts(list(image_ids)):
        here = select(Image).where(Image.project_id == step.project_id, Image.id.in_(part))
        images = session.scalars(here.order_by(Image.id)).all()
        ids = [image.id for image in images]
        words = {row.image_id: row for row in session.scalars(select(Caption).where(Caption.image_id.in_(ids)))}
        record_many(
            session,
            [step.edit("image", each.id, "remove", _snapshot(each, words.get(each.id)), None) for each in images],
        )
        session.execute(delete(Caption).where(Caption.image_id.in_(ids)))
        session.execute(delete(Image).where(Image.id.in_(ids)))
        removed += len(ids)
    return removed


def restore_images(session: Session, step: Step, snapshots: Mapping[int, Mapping[str, object]]) -> list[int]:
    """Bring removed images back under their ids; those whose picture came in again meanwhile are passed over."""
    here = select(Image.sha256).where(Image.project_id == step.project_id)
    hashes = [str(snap["sha256"]) for snap in snapshots.values()]
    taken = {sha256 for part in _parts(hashes) for sha256 in session.scalars(here.where(Image.sha256.in_(part)))}
    back = {key: snap for key, snap in snapshots.items() if snap["sha256"] not in taken}
    edits = []
    for image_id, snap in back.items():
        columns = _read_columns(step.project_id, image_id, snap)
        session.connection().execute(insert(Image), [columns])
        words = snap.get("words")
        if isinstance(words, dict) or isinstance(snap.get("caption"), str):
            session.connection().execute(insert(Caption), [_read_words(image_id, snap, step.by)])
        edits.append(step.edit("image", image_id, "add", None, {"name": snap["name"], "sha256": snap["sha256"]}))
    record_many(session, edits)
    return list(back)


def _snapshot(image: Image, row: Caption | None) -> dict[str, object]:
    """Everything of an image that its removal takes away, as JSON can hold it."""
    columns = {column.name: getattr(image, column.name) for column in Image.__table__.columns}
    words = {"text": row.text, "by": row.by, "updated_us": row.updated_us, "origin": origin_of(row)} if row else None
    return {
        "name": image.name,
        "sha256": image.sha256,
        "repeats": image.repeats,
        "caption": row.text if row else None,
        "columns": columns,
        "words": words,
    }


class KeptWords(NamedTuple):
    """A caption as it stands before it is changed."""

    image_id: int
    text: str
    by: str
    raw: bytes | None
    encoding: str | None
    came_from: str | None


def _kept(session: Session, ids: Sequence[int]) -> list[KeptWords]:
    session.flush()
    query = select(Caption.image_id, Caption.text, Caption.by, Caption.raw, Caption.encoding, Caption.came_from).where(
        Caption.image_id.in_(ids)
    )
    return [KeptWords(*row) for row in session.execute(query)]


def origin_of(row: Caption | KeptWords) -> dict[str, Value] | None:
    """The bytes that a caption came as, with who brought them; None once it was edited."""
    if row.raw is None:
        return None
    return {
        "raw": b64encode(row.raw).decode("ascii"),
        "encoding": row.encoding,
        "came_from": row.came_from,
        "by": row.by,
    }


def _caption_values(image_id: int, new: Words) -> dict[str, object]:
    origin = new.origin or {}
    raw = origin.get("raw")
    return {
        "image_id": image_id,
        "text": new.text,
        "by": origin.get("by") or new.by,
        "updated_us": now_us(),
        "raw": b64decode(str(raw)) if raw is not None else None,
        "encoding": origin.get("encoding"),
        "came_from": origin.get("came_from"),
    }


def _read_columns(project_id: int, image_id: int, snap: Mapping[str, object]) -> dict[str, object]:
    columns = snap.get("columns")
    if isinstance(columns, dict):
        known = {column.name for column in Image.__table__.columns}
        return {key: value for key, value in columns.items() if key in known} | {"revision": columns["revision"] + 1}
    name = str(snap["name"])
    return {
        "id": image_id,
        "project_id": project_id,
        "sha256": snap["sha256"],
        "name": name,
        "name_key": name_key(name),
        "repeats": snap.get("repeats") or 1,
        "added_us": now_us(),
        "revision": 1,
    }


def _read_words(image_id: int, snap: Mapping[str, object], by: str) -> dict[str, object]:
    words = snap.get("words")
    if not isinstance(words, dict):
        return _caption_values(image_id, Words(str(snap["caption"]), by))
    values = _caption_values(image_id, Words(words["text"], words["by"], words["origin"]))
    return values | {"updated_us": words["updated_us"]}


def _grow(session: Session, image_ids: Sequence[int]) -> None:
    for part in _parts(image_ids):
        session.execute(
            update(Image)
            .where(Image.id.in_(part))
            .values(revision=Image.revision + 1)
            .execution_options(synchronize_session=False)
        )


def _refresh(session: Session, image_ids: set[int]) -> None:
    """What the session holds of these rows was written behind its back."""
    held = [row.id for row in session if isinstance(row, Image) and row.id in image_ids]
    for part in _parts(held):
        session.scalars(select(Image).where(Image.id.in_(part)).execution_options(populate_existing=True)).all()
    for row in list(session):
        if isinstance(row, Caption) and row.image_id in image_ids:
            session.expunge(row)


def _parts(ids: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
