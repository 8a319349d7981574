"""Tiles: the images of a project as the labeling screen shows them, a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.contract.recipe import Recipe, read_recipe
from app.contract.splits import Split
from app.store.alpha import USES_ALPHA
from app.store.models import Blob, Caption, Image, Suggestion


@dataclass(frozen=True)
class TileRow:
    """An image with its words; width and height are the original's, upright, `caption_by` is None without a caption."""

    id: int
    name: str
    sha256: str
    width_px: int
    height_px: int
    caption: str | None
    caption_by: str | None
    split: Split
    repeats: int
    revision: int
    reviewed_by: str | None
    suggestions: int
    uses_alpha: bool
    recipe: Recipe


def image_ids(session: Session, project_id: int) -> list[int]:
    """Every image of a project, in the order they were added."""
    return list(session.scalars(select(Image.id).where(Image.project_id == project_id).order_by(Image.id)))


def tile_rows(session: Session, project_id: int, ids: Sequence[int]) -> list[TileRow]:
    """The images among some ids, in the order of the ids; those that are gone or another project's are passed over."""
    suggested = (
        select(func.count())
        .where(Suggestion.image_id == Image.id, Suggestion.state == "open", Suggestion.category != "doubt")
        .correlate(Image)
        .scalar_subquery()
    )
    query = (
        select(
            Image.id,
            Image.name,
            Image.sha256,
            Blob.width_px,
            Blob.height_px,
            Caption.text,
            Caption.by,
            Image.split,
            Image.repeats,
            Image.revision,
            Image.reviewed_by,
            suggested,
            func.coalesce(Blob.facts.like(USES_ALPHA), False),
            Image.recipe,
        )
        .join(Blob, Blob.sha256 == Image.sha256)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .where(Image.project_id == project_id, Image.id.in_(ids))
    )
    found = {row[0]: _tile(row) for row in session.execute(query)}
    return [found[each] for each in ids if each in found]


def _tile(values: Sequence[Any]) -> TileRow:
    shown: Sequence[Any] = (*values[:-1], read_recipe(values[-1]))
    return TileRow(*shown)
