"""Bars: every image of a project with even bars at its sides, and one step that trims them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.collect.pictures import THUMB_SIDE_PX
from app.contract.buckets import Size
from app.contract.recipe import Crop
from app.done import STEP, DoneStep, StepName, done_step
from app.person import person_of
from app.polish.addresses import thumb_url
from app.polish.trimming import Barred, barred, trim
from app.render import page
from app.store import projects, tiles, undo
from app.store.db import read
from app.store.edits import new_step
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Store

router = APIRouter()

SHOWN = 240


@dataclass(frozen=True)
class Tile:
    """An image with bars, and what would be left of it; None where its bars are tilted."""

    id: int
    name: str
    thumb: str
    width_px: int
    height_px: int
    left: Crop | None


@dataclass(frozen=True)
class IndexPage:
    """The page of bars: how many can be trimmed, how many are tilted, and the first of them; `done` was just done."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    trimmable: int
    tilted: int
    tiles: Sequence[Tile]
    done: DoneStep | None
    section: str = "images"


@router.get("/projects/{project_id}/bars")
def index(request: Request, project_id: int, store: Store, step: StepName = "") -> HTMLResponse:
    """Show the images with bars, and what the step of a name has just done to them."""
    with read(store) as session:
        return page(request, "bars/index", _index(session, project_id, step))


@router.post("/projects/{project_id}/bars")
def apply(request: Request, project_id: int, store: Store) -> Response:
    """Trim the bars of all images, as one step, and show what is left. Raises NotFound, Unfinished."""
    with read(store) as session:
        projects.get(session, project_id)
    step = new_step(project_id, person_of(request))
    trim(store, step)
    return RedirectResponse(f"/projects/{project_id}/bars?step={step.batch}", 303)


@router.post("/projects/{project_id}/bars/undo")
def take_back(
    request: Request, project_id: int, store: Store, step: Annotated[str, Form(pattern=STEP)] = ""
) -> Response:
    """Undo a step that was done from here. Raises NotFound, Conflict, Unfinished."""
    with read(store) as session:
        projects.get(session, project_id)
    undo.take_back(store, project_id, person_of(request), step)
    return RedirectResponse(f"/projects/{project_id}/bars?step={step}", 303)


def _index(session: Session, project_id: int, step: str) -> IndexPage:
    project = projects.get(session, project_id)
    found = barred(session, project_id)
    trimmable = sum(each.crop is not None for each in found)
    return IndexPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/label",
        trimmable=trimmable,
        tilted=len(found) - trimmable,
        tiles=_tiles(session, project_id, found[:SHOWN]),
        done=done_step(session, project_id, step, "trimmed"),
    )


def _tiles(session: Session, project_id: int, found: Sequence[Barred]) -> list[Tile]:
    by_id = {each.image_id: each for each in found}
    rows = tiles.tile_rows(session, project_id, list(by_id))
    return [_tile(row, by_id[row.id]) for row in rows]


def _tile(row: tiles.TileRow, found: Barred) -> Tile:
    size: Size = found.size
    scale = min(1.0, THUMB_SIDE_PX / max(size.width, size.height))
    shown = max(1, round(size.width * scale)), max(1, round(size.height * scale))
    return Tile(row.id, row.name, thumb_url(row), *shown, found.crop)
