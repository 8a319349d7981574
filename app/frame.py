"""The frame of a page about one image: its project, its neighbours, and where it trains."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.place import Place, place_of, target_of
from app.store import images, projects
from app.store.images import ImageRow
from app.store.models import Project
from app.store.projects import ProjectCounts


@dataclass(frozen=True, kw_only=True)
class Frame:
    """An image among its neighbours, and where it trains; `position` counts from 1."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    row: ImageRow
    position: int
    total: int
    previous_id: int | None
    next_id: int | None
    place: Place


def frame_of(session: Session, row: ImageRow) -> Frame:
    """Gather the frame of an image."""
    project = projects.get(session, row.project_id)
    previous_id, next_id, position, total = images.neighbours(session, row)
    return Frame(
        project=project,
        counts=projects.counts(session, project.id),
        caption_url=f"/projects/{project.id}/label",
        row=row,
        position=position,
        total=total,
        previous_id=previous_id,
        next_id=next_id,
        place=place_of(row.size, target_of(session, project)),
    )
