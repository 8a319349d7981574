"""Measures: which originals came in before everything was measured that is today, and what a new look at them found."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import Recipe, read_recipe
from app.store.models import Blob, Image

# The youngest of the facts: always written, also where there are none, by whoever looks for bars.
NEWEST_FACT = '"bars":'
NO_BARS = '"bars":[0.0,0.0,0.0,0.0]'


class Barred(NamedTuple):
    """An uncropped image with even bars at a side, however thin; `facts` is JSON of collect.facts."""

    image_id: int
    upright: Size
    recipe: Recipe
    facts: str


class Unmeasured(NamedTuple):
    """An image whose original is to be looked at anew."""

    image_id: int
    name: str
    sha256: str
    extension: str


def lacks_facts(facts: str | None) -> bool:
    """Whether what was measured of an original (JSON of collect.facts) is not all that is measured today."""
    return facts is None or NEWEST_FACT not in facts


def unmeasured(session: Session, project_id: int, image_ids: Sequence[int] | None = None) -> list[Unmeasured]:
    """The images of a project, or those among a few, that were not measured wholly, in the order they were added."""
    query = select(Image.id, Image.name, Image.sha256, Blob.extension).where(_lacking(project_id)).order_by(Image.id)
    if image_ids is not None:
        query = query.where(Image.id.in_(image_ids))
    return [Unmeasured(*row) for row in session.execute(query)]


def _lacking(project_id: int) -> ColumnElement[bool]:
    """What the image and blob of an original fulfil that was not measured wholly."""
    facts = or_(Blob.facts.is_(None), ~Blob.facts.contains(NEWEST_FACT))
    return and_(Blob.sha256 == Image.sha256, Image.project_id == project_id, facts)


def barred(session: Session, project_id: int, image_ids: Sequence[int] | None = None) -> list[Barred]:
    """The images of a project, or those among some, that have bars and no crop, in the order they were added."""
    query = (
        select(Image.id, Blob.width_px, Blob.height_px, Image.recipe, Blob.facts)
        .join(Blob, Blob.sha256 == Image.sha256)
        .where(Image.project_id == project_id, Blob.facts.contains(NEWEST_FACT), ~Blob.facts.contains(NO_BARS))
        .where(~Image.recipe.contains('"crop":'))
        .order_by(Image.id)
    )
    if image_ids is not None:
        query = query.where(Image.id.in_(image_ids))
    return [
        Barred(image_id, Size(width, height), read_recipe(recipe), facts or "")
        for image_id, width, height, recipe, facts in session.execute(query)
    ]


def facts_of(session: Session, sha256: str) -> str | None:
    """What was measured of an original, as JSON of collect.facts."""
    return session.scalar(select(Blob.facts).where(Blob.sha256 == sha256))


def put(session: Session, sha256: str, facts: str, phashes: tuple[str, str]) -> None:
    """Write down what was found of an original."""
    phash, phash_mirrored = phashes
    values = {"facts": facts, "phash": phash, "phash_mirrored": phash_mirrored}
    session.execute(update(Blob).where(Blob.sha256 == sha256).values(**values))
