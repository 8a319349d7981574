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
RELOAD = "Reload the page, look at it, then do it again."
PARTS = (
    ("quarter_turns", "mirrored", "flipped", "straighten_deg", "crop"),
    ("background", "alpha"),
    ("mask",),
)
"""What of a recipe hangs together: a crop box lies on the turned picture, a mask is one whatever is done to it."""
WORDS = {
    "quarter_turns": "its turns",
    "mirrored": "its turns",
    "flipped": "its turns",
    "straighten_deg": "its straightening",
    "crop": "its crop",
    "background": "its transparent parts",
    "alpha": "its transparent parts",
    "mask": "its mask",
}


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


def set_recipe(
    session: Session, image_id: int, recipe: Recipe, revision: int, by: str, *, seen: Recipe | None = None
) -> ImageRow:
    """Set the recipe of an image that was shown at a revision; an equal recipe changes nothing.

    `seen` is the recipe it was shown with: only what differs from that is set, so that edits of its words, and of
    other parts of its recipe, are no hindrance and stay. Raises NotFound, and Conflict when somebody changed the same
    part since; without `seen`, when anything of the image was changed after the revision.
    """
    row = images.get(session, image_id)
    if seen is not None:
        recipe = _merged(row, seen, recipe)
    elif row.revision != revision:
        raise Conflict(f"{row.name} was changed in the meantime.", RELOAD)
    set_recipes(session, new_step(row.project_id, by), {image_id: recipe})
    return images.get(session, image_id)


def _merged(row: ImageRow, seen: Recipe, wanted: Recipe) -> Recipe:
    """The recipe as it is now, with the parts in which `wanted` differs from `seen`."""
    now, change = row.recipe, dict[str, object]()
    for part in PARTS:
        set_to = {name: getattr(wanted, name) for name in part}
        if any(getattr(seen, name) != value for name, value in set_to.items()):
            change |= set_to
    done = now.model_copy(update=change)
    clash = [name for name in change if getattr(now, name) not in (getattr(seen, name), getattr(wanted, name))]
    if clash:
        raise Conflict(f"{row.name} was changed in the meantime: {', '.join(_words(seen, now))}.", RELOAD)
    return done


def _words(seen: Recipe, now: Recipe) -> list[str]:
    """What of a recipe was changed, by the names that a person knows."""
    changed = [name for name in Recipe.model_fields if getattr(seen, name) != getattr(now, name)]
    return list(dict.fromkeys(WORDS[name] for name in changed))


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
