"""What transparency means in a project: asked once, kept with the project, written into the recipes it concerns."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, Select, func, or_, select
from sqlalchemy.orm import Session

from app.contract.recipe import HEX_COLOUR, AlphaUse, Recipe, read_recipe
from app.errors import Invalid
from app.store import projects, recipes
from app.store.db import write
from app.store.edits import new_step
from app.store.history import record
from app.store.models import Blob, HistoryEntry, Image, Project
from app.store.parts import in_parts

# As facts are written: only what differs from a plain picture stands in them, without spaces.
USES_ALPHA = '%"uses_alpha":true%'
AT_ONCE = 500
SET_NAMES = ("background", "alpha")


@dataclass(frozen=True)
class AlphaState:
    """How many images have transparent parts, and what was decided; `use` is None until somebody has.

    `own` is how many of them are filled or learned in another way than was decided.
    """

    count: int
    use: AlphaUse | None
    background: str
    own: int = 0


def _transparent(project_id: int) -> Select[Image]:
    joined = select(Image).join(Blob, Blob.sha256 == Image.sha256)
    return joined.where(Image.project_id == project_id, Blob.facts.like(USES_ALPHA))


def state(session: Session, project_id: int) -> AlphaState:
    """How transparency stands in a project. Raises NotFound."""
    project = projects.get(session, project_id)
    query = _transparent(project_id).with_only_columns(Image.recipe, func.count()).group_by(Image.recipe)
    decided = untouched(project, uses_alpha=True)
    count = own = 0
    for text, images in session.execute(query):
        count += images
        own += images if project.alpha_use and not _is_alike(read_recipe(text), decided) else 0
    return AlphaState(count, project.alpha_use, project.background, own)


def examples(session: Session, project_id: int, limit: int = 6) -> list[str]:
    """The hashes of some images with transparent parts."""
    rows = session.scalars(_transparent(project_id).order_by(Image.id).limit(limit))
    return [row.sha256 for row in rows]


def transparent(session: Session, project_id: int, image_ids: Collection[int]) -> set[int]:
    """Those of some images that have transparent parts."""
    query = _transparent(project_id).with_only_columns(Image.id)
    return {each for part in _parts(image_ids) for each in session.scalars(query.where(Image.id.in_(part)))}


def untouched(project: Project, *, uses_alpha: bool) -> Recipe:
    """The recipe of an image that nothing was done to: what was decided of its transparent parts, if it has any."""
    if not uses_alpha or project.alpha_use is None:
        return Recipe()
    return Recipe(alpha=project.alpha_use, background=project.background)


def decide(engine: Engine, project_id: int, use: AlphaUse, background: str, by: str = "you") -> int:
    """Say what transparency means, now and for images to come; return how many recipes changed.

    The recipes follow in parts, but for those that were given a meaning of their own. Raises Invalid for a background
    that is no colour, NotFound, Unfinished.
    """
    if not HEX_COLOUR.match(background):
        raise Invalid(f"{background[:20] or 'Nothing'} is no colour.", "Write it as #rrggbb.", field="background")
    step = new_step(project_id, by)
    after = {"alpha_use": use, "background": background}
    with write(engine) as session:
        project = projects.get(session, project_id)
        before = {"alpha_use": project.alpha_use, "background": project.background}
        project.alpha_use, project.background = use, background
        record(session, step.edit("project", project_id, "update", before, after))
        ids = list(session.scalars(_transparent(project_id).with_only_columns(Image.id).order_by(Image.id)))

    def change(session: Session, part: Sequence[int]) -> int:
        by_hand = _set_by_hand(session, project_id, part)
        now = [each for each in recipes.sizes(session, project_id, part) if each.id not in by_hand]
        update = {"alpha": use, "background": background}
        return recipes.set_recipes(session, step, {each.id: each.recipe.model_copy(update=update) for each in now})

    return in_parts(engine, ids, change)


def _set_by_hand(session: Session, project_id: int, image_ids: Collection[int]) -> set[int]:
    """Those of some images whose transparent parts were given a meaning by a step that stands, not by a decision."""
    decisions = _decisions(session, project_id)
    stands: dict[tuple[str, int], bool] = {}
    newest: dict[int, str] = {}
    for entry in _recipe_entries(session, project_id, image_ids):
        if settled := entry.undoes or entry.redoes:
            stands.setdefault((settled, entry.noun_id), entry.undoes is None)
        elif stands.get((key := entry.batch or f"#{entry.id}", entry.noun_id), True) and _sets_colour(entry):
            newest.setdefault(entry.noun_id, key)
    return {image_id for image_id, key in newest.items() if key not in decisions}


def _decisions(session: Session, project_id: int) -> set[str]:
    query = select(HistoryEntry.batch, HistoryEntry.after).where(
        HistoryEntry.project_id == project_id, HistoryEntry.noun == "project", HistoryEntry.verb == "update"
    )
    return {batch for batch, after in session.execute(query) if batch and "alpha_use" in (json.loads(after or "{}"))}


def _recipe_entries(session: Session, project_id: int, image_ids: Collection[int]) -> Iterator[HistoryEntry]:
    """The entries of the images' recipes, the newest of each image first."""
    query = select(HistoryEntry).where(
        HistoryEntry.project_id == project_id,
        HistoryEntry.noun == "image",
        HistoryEntry.verb == "recipe",
        # Of most recipes nobody has set these.
        or_(
            HistoryEntry.undoes.is_not(None),
            HistoryEntry.redoes.is_not(None),
            *(column.contains(name) for column in (HistoryEntry.before, HistoryEntry.after) for name in SET_NAMES),
        ),
    )
    for part in _parts(image_ids):
        yield from session.scalars(query.where(HistoryEntry.noun_id.in_(part)).order_by(HistoryEntry.id.desc()))


def _sets_colour(entry: HistoryEntry) -> bool:
    before, after = (read_recipe(json.loads(text or '"{}"')) for text in (entry.before, entry.after))
    return not _is_alike(before, after)


def _is_alike(one: Recipe, other: Recipe) -> bool:
    return (one.alpha, one.background) == (other.alpha, other.background)


def _parts(ids: Collection[int]) -> Iterator[Sequence[int]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
