"""Provenance: where an image came from, who made it and under which terms; edited for many at once, undone as one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypedDict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Invalid, NotFound
from app.store.edits import new_step, write_fields
from app.store.models import Image

MAX_TEXT = 2000
PARTIAL_DATE = re.compile(r"^\d{4}(-\d{2}(-\d{2})?)?$")


@dataclass(frozen=True)
class Provenance:
    """Where an image came from; empty texts say that nobody knows. `parent_id` is the image it was made from."""

    source: str = ""
    author: str = ""
    licence: str = ""
    collected_on: str = ""
    no_ai: bool = False
    parent_id: int | None = None


UNKNOWN = Provenance()


class Change(TypedDict, total=False):
    """What is to be set; fields that are not named stay."""

    source: str
    author: str
    licence: str
    collected_on: str
    no_ai: bool


@dataclass(frozen=True)
class Share:
    """How many images have one value; the empty value counts those that have none."""

    value: str
    images: int


def of_project(session: Session, project_id: int) -> dict[int, Provenance]:
    """The provenance of every image of a project, by its id."""
    query = select(
        Image.id, Image.source, Image.author, Image.licence, Image.collected_on, Image.no_ai, Image.parent_id
    ).where(Image.project_id == project_id)
    return {row[0]: Provenance(*row[1:]) for row in session.execute(query)}


def get(session: Session, image_id: int) -> Provenance:
    """Where an image came from. Raises NotFound."""
    return origin_of(_image(session, image_id))


def shares(session: Session, project_id: int, field: str) -> list[Share]:
    """The values of `source`, `author` or `licence` in a project, the commonest first."""
    column = {"source": Image.source, "author": Image.author, "licence": Image.licence}[field]
    count = func.count()
    query = select(column, count).where(Image.project_id == project_id).group_by(column)
    return [Share(*row) for row in session.execute(query.order_by(count.desc(), column)).all()]


def stands_in(session: Session, project_id: int, source: str, author: str) -> bool:
    """Whether any image of a project came from there and was made by them."""
    known = (Image.project_id == project_id, Image.source == source, Image.author == author)
    return session.scalar(select(Image.id).where(*known).limit(1)) is not None


def set_many(
    session: Session, project_id: int, image_ids: Sequence[int], change: Change, by: str, *, batch: str = ""
) -> int:
    """Set fields of images, as one step or as part of `batch`; return how many changed. Ids that are gone pass by.

    Raises Invalid for a date that is none, or a text that is far too long.
    """
    wanted = {key: value for key, value in checked(change).items() if isinstance(value, str | bool)}
    return len(write_fields(session, new_step(project_id, by, batch), dict.fromkeys(image_ids, wanted)))


def checked(change: Change) -> Change:
    """Trim and check a change. Raises Invalid naming the field."""
    clean = Change(**change)
    for key, value in change.items():
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise Invalid(f"That is longer than {MAX_TEXT} characters.", "Shorten it.", field=key)
            clean[key] = " ".join(value.split())  # type: ignore[literal-required]  # keys of Change itself
    if day := clean.get("collected_on"):
        _check_date(day)
    return clean


def _check_date(text: str) -> None:
    try:
        if not PARTIAL_DATE.match(text):
            raise ValueError(text)
        parts = [int(part) for part in text.split("-")]
        date(*[*parts, 1, 1][:3])
    except ValueError as error:
        raise Invalid(f"{text[:40]} is no date.", "Write 2024, 2024-05 or 2024-05-17.", field="collected_on") from error


def origin_of(image: Image) -> Provenance:
    """Where an image that was read already came from."""
    return Provenance(image.source, image.author, image.licence, image.collected_on, image.no_ai, image.parent_id)


def _image(session: Session, image_id: int) -> Image:
    if image := session.get(Image, image_id):
        return image
    raise NotFound(f"There is no image {image_id}; it may have been removed.", "Go back to the project's images.")
