"""Relations: what a person said of alike pictures, and the facts of pictures that tell which are alike."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.store.history import Edit, record
from app.store.models import Blob, Caption, Image, Kinship, Relation, now_us


class Likely(NamedTuple):
    """An image as the search for alike pictures reads it; the hashes are None where nothing was measured."""

    image_id: int
    name: str
    sha256: str
    phash: str | None
    phash_mirrored: str | None


@dataclass(frozen=True)
class Candidate:
    """One side of a pair as a person compares it; `facts` is JSON of collect.facts."""

    image_id: int
    name: str
    sha256: str
    extension: str
    size_bytes: int
    width_px: int
    height_px: int
    facts: str | None
    caption: str
    split: str


def likely(session: Session, project_id: int) -> list[Likely]:
    """Every image of a project with its hashes, in the order they were added."""
    query = (
        select(Image.id, Image.name, Image.sha256, Blob.phash, Blob.phash_mirrored)
        .join(Blob, Blob.sha256 == Image.sha256)
        .where(Image.project_id == project_id)
        .order_by(Image.id)
    )
    return [Likely(*row) for row in session.execute(query)]


def measured(session: Session, project_id: int) -> dict[str, str]:
    """What the one decode found of each original of a project, as JSON of collect.facts, by its hash."""
    query = (
        select(Blob.sha256, Blob.facts)
        .join(Image, Image.sha256 == Blob.sha256)
        .where(Image.project_id == project_id, Blob.facts.is_not(None))
    )
    return {row[0]: row[1] or "{}" for row in session.execute(query)}


def candidate(session: Session, project_id: int, sha256: str) -> Candidate | None:
    """A picture of a project by its content, None when it is gone."""
    query = (
        select(
            Image.id,
            Image.name,
            Image.sha256,
            Blob.extension,
            Blob.size_bytes,
            Blob.width_px,
            Blob.height_px,
            Blob.facts,
            Caption.text,
            Image.split,
        )
        .join(Blob, Blob.sha256 == Image.sha256)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .where(Image.project_id == project_id, Image.sha256 == sha256)
    )
    row = session.execute(query).first()
    return None if row is None else Candidate(*row[:8], row[8] or "", row[9])


def decisions(session: Session, project_id: int) -> list[Relation]:
    """Everything decided in a project, the oldest first."""
    query = select(Relation).where(Relation.project_id == project_id)
    return list(session.scalars(query.order_by(Relation.at_us, Relation.low_sha256, Relation.high_sha256)))


def decide(
    session: Session, project_id: int, pair: tuple[str, str], kinship: Kinship, better: str | None, by: str
) -> Relation:
    """Say what two pictures are to each other; an earlier word about them is replaced.

    Raises Invalid when `better` is asked for without saying which.
    """
    low, high = sorted(pair)
    before = _words(session.get(Relation, (project_id, low, high)))
    if (kinship == "better") != (better in pair) or low == high:
        raise Invalid("It is not said which of the two is better.", "Choose the left or the right image.")
    said = session.get(Relation, (project_id, low, high)) or Relation(
        project_id=project_id, low_sha256=low, high_sha256=high
    )
    said.kinship, said.better_sha256, said.by, said.at_us = kinship, better, by, now_us()
    session.add(said)
    session.flush()
    _record(session, said, "decide", before, _words(said), by)
    return said


def _words(said: Relation | None) -> dict[str, str | None] | None:
    return None if said is None else {"kinship": said.kinship, "better": said.better_sha256, "by": said.by}


def _record(session: Session, said: Relation, verb: str, before: object, after: object, by: str) -> None:
    pair = {"low": said.low_sha256, "high": said.high_sha256}
    image_id = session.scalar(
        select(Image.id).where(Image.project_id == said.project_id, Image.sha256 == said.low_sha256)
    )
    edit = Edit(said.project_id, by, "relation", image_id or 0, verb, [pair, before], [pair, after])
    record(session, edit)


def undo(session: Session, project_id: int, by: str = "you") -> tuple[str, str] | None:
    """Take back the latest decision of a project and return its pair, None when there is none."""
    newest = (
        select(Relation)
        .where(Relation.project_id == project_id)
        .order_by(Relation.at_us.desc(), Relation.low_sha256.desc(), Relation.high_sha256.desc())
        .limit(1)
    )
    said = session.scalar(newest)
    if said is None:
        return None
    pair = (said.low_sha256, said.high_sha256)
    _record(session, said, "take-back", _words(said), None, by)
    keys = (Relation.project_id == project_id, Relation.low_sha256 == pair[0], Relation.high_sha256 == pair[1])
    session.execute(delete(Relation).where(*keys))
    return pair
