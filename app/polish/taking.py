"""Taking what a model found in many images: its masks or its crops go into their recipes, as one step."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe, read_recipe
from app.polish import steps
from app.polish.subjects import Found, has_shape, suggested_crop
from app.store import recipes, subjects
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
    session: Session,
    project_id: int,
    what: What,
    buckets: tuple[Size, ...],
    by: str,
    chosen: Collection[int] | None = None,
) -> Took:
    """Take the masks or crops of the chosen images; of all, for None, but then those with one of their own keep it."""
    ticked = None if chosen is None else set(chosen)
    wanted: dict[int, Recipe] = {}
    own = none = 0
    for each in found_images(session, project_id, buckets):
        row = each.image
        if each.found.seen.is_dismissed or (ticked is not None and row.id not in ticked):
            continue
        has_own = (row.recipe.mask if what == "mask" else row.recipe.crop) is not None
        if what == "crop" and each.found.crop is None:
            none += 1
        elif ticked is None and has_own and not (each.found.is_masked if what == "mask" else each.found.is_cropped):
            own += 1
        else:
            wanted[row.id] = _taken(row, each.found, what)
    return Took(recipes.set_recipes(session, project_id, wanted, by), own, none)


def _taken(row: SizedImage, seen: Found, what: What) -> Recipe:
    if what == "mask":
        return steps.masked(row.recipe, seen.seen.mask_sha256)
    return steps.cropped(row.recipe, row.upright, seen.crop.crop if seen.crop else None)
