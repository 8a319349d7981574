"""Trimming the bars of many images: which have some, and one step that crops them all away."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe, size_after
from app.polish import steps
from app.polish.bars import trim_of
from app.store import measures, recipes
from app.store.db import read
from app.store.edits import Step
from app.store.parts import in_parts


@dataclass(frozen=True)
class Barred:
    """An uncropped image with bars worth trimming: the crop without them, None where straightening has tilted them."""

    image_id: int
    upright: Size
    recipe: Recipe
    crop: Crop | None

    @property
    def size(self) -> Size:
        """The size of what trains."""
        return size_after(self.recipe, self.upright)


def barred(session: Session, project_id: int, image_ids: Sequence[int] | None = None) -> list[Barred]:
    """The images of a project, or those among some, whose bars are worth trimming, in the order they were added."""
    found = []
    for row in measures.barred(session, project_id, image_ids):
        trim = trim_of(row.facts, row.recipe, row.upright)
        if trim.state in ("straight", "tilted"):
            found.append(Barred(row.image_id, row.upright, row.recipe, trim.crop))
    return found


def trim(engine: Engine, step: Step) -> int:
    """Crop the bars of all images of the step's project away, but for tilted ones; return how many changed.

    It is done in parts. Raises Unfinished.
    """
    with read(engine) as session:
        ids = [each.image_id for each in barred(session, step.project_id) if each.crop]

    def some(session: Session, part: Sequence[int]) -> int:
        # As they are by now: one that somebody has cropped meanwhile is passed over.
        there = barred(session, step.project_id, part)
        wanted = {each.image_id: steps.cropped(each.recipe, each.upright, each.crop) for each in there if each.crop}
        return recipes.set_recipes(session, step, wanted)

    return in_parts(engine, ids, some)
