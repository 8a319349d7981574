"""What transparency means in a project: asked once, kept with the project, written into the recipes it concerns."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session

from app.contract.recipe import HEX_COLOUR, AlphaUse
from app.errors import Invalid
from app.store import projects, recipes
from app.store.db import write
from app.store.edits import new_step
from app.store.history import record
from app.store.models import Blob, Image
from app.store.parts import in_parts

# As facts are written: only what differs from a plain picture stands in them, without spaces.
USES_ALPHA = '%"uses_alpha":true%'


@dataclass(frozen=True)
class AlphaState:
    """How many images have transparent parts, and what was decided; `use` is None until somebody has."""

    count: int
    use: AlphaUse | None
    background: str


def _transparent(project_id: int) -> Select[Image]:
    joined = select(Image).join(Blob, Blob.sha256 == Image.sha256)
    return joined.where(Image.project_id == project_id, Blob.facts.like(USES_ALPHA))


def state(session: Session, project_id: int) -> AlphaState:
    """How transparency stands in a project. Raises NotFound."""
    project = projects.get(session, project_id)
    count = session.scalar(select(func.count()).select_from(_transparent(project_id).subquery())) or 0
    return AlphaState(count, project.alpha_use, project.background)


def examples(session: Session, project_id: int, limit: int = 6) -> list[str]:
    """The hashes of some images with transparent parts."""
    rows = session.scalars(_transparent(project_id).order_by(Image.id).limit(limit))
    return [row.sha256 for row in rows]


def decide(engine: Engine, project_id: int, use: AlphaUse, background: str, by: str = "you") -> int:
    """Say what transparency means, now and for images to come; return how many recipes changed.

    The recipes follow in parts. Raises Invalid for a background that is no colour, NotFound, Unfinished.
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
        now = recipes.sizes(session, project_id, part)
        update = {"alpha": use, "background": background}
        return recipes.set_recipes(session, step, {each.id: each.recipe.model_copy(update=update) for each in now})

    return in_parts(engine, ids, change)
