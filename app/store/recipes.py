"""Recipes of images: set for one or for many, every step of a person one batch of the history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import Recipe, read_recipe, size_after
from app.errors import Conflict
from app.store import images
from app.store.edits import Step, new_step
from app.store.history import record_many
from app.store.images import ImageRow
from app.store.models import Blob, Image

AT_ONCE = 500
MOST_ID = 2**63 - 1
"""The largest that SQLite knows; what a form says may be anything."""


@dataclass(frozen=True)
class SizedImage:
    """As much of an image as its bucket needs; `upright` is the original's size."""

    id: int
    upright: Size
    recipe: Recipe
    repeats: int

    @property
    def size(self) -> Size:
        """The size of what trains."""
        return size_after(self.recipe, self.upright)


def sizes(session: Session, project_id: int, image_ids: Sequence[int] | None = None) -> list[SizedImage]:
    """The images of a project, or those among some ids, in the order they were added; nothing is decoded."""
    query = (
        select(Image.id, Blob.width_px, Blob.height_px, Image.recipe, Image.repeats)
        .join(Blob, Blob.sha256 == Image.sha256)
        .where(Image.project_id == project_id)
        .order_by(Image.id)
    )
    wanted = None if image_ids is None else set(image_ids)
    if wanted is not None and len(wanted) <= AT_ONCE:
        query = query.where(Image.id.in_([each for each in wanted if each <= MOST_ID]))
    # Of many images most have one of a few recipes.
    read = cache(read_recipe)
    return [
        SizedImage(image_id, Size(width, height), read(recipe), repeats)
        for image_id, width, height, recipe, repeats in session.execute(query)
        if wanted is None or image_id in wanted
    ]


def set_recipe(session: Session, image_id: int, recipe: Recipe, revision: int, by: str) -> ImageRow:
    """Set the recipe of an image that stands at a revision; an equal recipe changes nothing.

    Raises NotFound, and Conflict when somebody changed the image after the revision.
    """
    row = images.get(session, image_id)
    if row.revision != revision:
        raise Conflict(f"{row.name} was changed in the meantime.", "Reload the page, look at it, then do it again.")
    set_recipes(session, new_step(row.project_id, by), {image_id: recipe})
    return images.get(session, image_id)


def set_recipes(session: Session, step: Step, wanted: Mapping[int, Recipe]) -> int:
    """Set the recipes of images of the step's project; return how many of them changed.

    Ids that are gone or another project's are passed over.
    """
    changed, ids = 0, sorted(wanted)
    for start in range(0, len(ids), AT_ONCE):
        query = select(Image).where(Image.project_id == step.project_id, Image.id.in_(ids[start : start + AT_ONCE]))
        edits = []
        for image in session.scalars(query.order_by(Image.id)):
            before, after = image.recipe, wanted[image.id].to_json()
            if before == after:
                continue
            image.recipe = after
            image.revision += 1
            edits.append(step.edit("image", image.id, "recipe", before, after))
        record_many(session, edits)
        changed += len(edits)
    return changed
