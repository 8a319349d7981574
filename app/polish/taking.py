"""Taking what a model found in many images: its masks or its crops go into their recipes, as one step."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe, read_recipe
from app.polish import steps
from app.polish.subjects import Found, has_shape, suggested_crop
from app.store import recipes, subjects
from app.store.db import read
from app.store.edits import Step
from app.store.parts import in_parts
from app.store.recipes import SizedImage
from app.store.subjects import Standing

What = Literal["mask", "crop"]
Group = Literal["open", "taken", "away"]


@dataclass(frozen=True)
class Took:
    """How many images were changed, and how many were left alone: with a mask or crop of their own, or without one."""

    changed: int
    own: int
    none: int


@dataclass(frozen=True)
class FoundImage:
    """An image, and what a model sees in it."""

    image: SizedImage
    found: Found


def groups(session: Session, project_id: int, buckets: tuple[Size, ...]) -> dict[Group, list[int]]:
    """The images in which a model sees a subject: open, with its mask or its crop in their recipe, or put away."""
    found: dict[Group, list[int]] = {"open": [], "taken": [], "away": []}
    for each in subjects.standings(session, project_id):
        group: Group = "away" if each.is_dismissed else "taken" if _is_taken(each, buckets) else "open"
        found[group].append(each.image_id)
    return found


def _is_taken(each: Standing, buckets: tuple[Size, ...]) -> bool:
    """As Found.is_taken, without parsing what needs none: of tens of thousands most have no crop, or their mask."""
    if f'"mask":"{each.mask_sha256}"' in each.recipe:
        return True
    return '"crop":' in each.recipe and _is_cropped(each.recipe, each.box, each.width_px, each.height_px, buckets)


@lru_cache(maxsize=50_000)
def _is_cropped(recipe: str, box: str, width_px: int, height_px: int, buckets: tuple[Size, ...]) -> bool:
    read = read_recipe(recipe)
    if read.crop is None or not has_shape(read.crop, buckets):
        return False
    made = suggested_crop(read, Size(width_px, height_px), Crop.model_validate_json(box), buckets)
    return made is not None and made.crop == read.crop


def found_images(
    session: Session, project_id: int, buckets: tuple[Size, ...], image_ids: Collection[int] | None = None
) -> list[FoundImage]:
    """The images of a project, or those of them, in which a model sees a subject, also those that are put away."""
    seen = {each.image_id: each for each in subjects.of_project(session, project_id, image_ids)}
    rows = recipes.sizes(session, project_id, list(seen))
    return [FoundImage(row, Found(seen[row.id], row.recipe, row.upright, buckets)) for row in rows]


def take(
    engine: Engine,
    step: Step,
    what: What,
    buckets: tuple[Size, ...],
    chosen: Collection[int] | None = None,
) -> Took:
    """Take the masks or crops of the chosen images; of all, for None, but then those with one of their own keep it.

    It is done in parts. Raises Unfinished.
    """
    with read(engine) as session:
        there = [each.image_id for each in subjects.standings(session, step.project_id) if not each.is_dismissed]
    ids = there if chosen is None else sorted(set(chosen).intersection(there))
    taking = _Taking(step, what, buckets, keeps_own=chosen is None)
    changed = in_parts(engine, ids, taking.some)
    return Took(changed, taking.own, taking.none)


@dataclass
class _Taking:
    """What is taken, and how many images were left alone so far."""

    step: Step
    what: What
    buckets: tuple[Size, ...]
    keeps_own: bool
    own: int = 0
    none: int = 0

    def some(self, session: Session, image_ids: Sequence[int]) -> int:
        """Take of some images, as they are by now; return how many changed."""
        wanted: dict[int, Recipe] = {}
        own = none = 0
        for each in found_images(session, self.step.project_id, self.buckets, image_ids):
            if each.found.seen.is_dismissed:
                continue
            if self.what == "crop" and each.found.crop is None:
                none += 1
            elif self.keeps_own and self._has_own(each):
                own += 1
            else:
                wanted[each.image.id] = _taken(each.image, each.found, self.what)
        changed = recipes.set_recipes(session, self.step, wanted)
        self.own, self.none = self.own + own, self.none + none
        return changed

    def _has_own(self, each: FoundImage) -> bool:
        recipe = each.image.recipe
        if self.what == "mask":
            return recipe.mask is not None and not each.found.is_masked
        return recipe.crop is not None and not each.found.is_cropped


def _taken(row: SizedImage, seen: Found, what: What) -> Recipe:
    if what == "mask":
        return steps.masked(row.recipe, seen.seen.mask_sha256)
    return steps.cropped(row.recipe, row.upright, seen.crop.crop if seen.crop else None)
