"""What transparency means in a project: asked once, kept with the project, written into the recipes it concerns."""

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.contract.recipe import HEX_COLOUR, AlphaUse, read_recipe
from app.errors import Invalid
from app.store import projects
from app.store.history import Edit, record_many
from app.store.models import Blob, Image

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


def decide(session: Session, project_id: int, use: AlphaUse, background: str, by: str = "you") -> int:
    """Say what transparency means, now and for images to come; return how many recipes changed.

    Raises Invalid for a background that is no colour, NotFound.
    """
    if not HEX_COLOUR.match(background):
        raise Invalid(f"{background[:20] or 'Nothing'} is no colour.", "Write it as #rrggbb.", field="background")
    project = projects.get(session, project_id)
    batch = str(uuid4())
    before = {"alpha_use": project.alpha_use, "background": project.background}
    project.alpha_use, project.background = use, background
    edits = [
        Edit(
            project_id, by, "project", project_id, "update", before, {"alpha_use": use, "background": background}, batch
        )
    ]
    for image in session.scalars(_transparent(project_id).order_by(Image.id)):
        recipe = read_recipe(image.recipe)
        changed = recipe.model_copy(update={"alpha": use, "background": background})
        if changed != recipe:
            edits.append(Edit(project_id, by, "image", image.id, "recipe", image.recipe, changed.to_json(), batch))
            image.recipe = changed.to_json()
            image.revision += 1
    session.flush()
    record_many(session, edits)
    return len(edits) - 1
