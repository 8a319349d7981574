"""The labeling screen: its page, which images a filter finds, and the images it shows, a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.purposes import PURPOSES
from app.contract.recipe import size_after
from app.contract.splits import Split
from app.errors import Invalid
from app.label.desk import Desk
from app.label.filters import FilterError
from app.next_step import uncaptioned
from app.person import NOBODY, Person
from app.place import Target, place_of, target_of
from app.polish.addresses import picture_url, thumb_url
from app.render import page
from app.store import images, projects, tiles
from app.store.db import read
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.store.tiles import TileRow
from app.table import find
from app.wiring import LabelDesk, Store

router = APIRouter()

MAX_ROWS = 200


@dataclass(frozen=True)
class ShowPage:
    """The screen as it opens; what it shows then comes by `index` and `rows`."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    image_id: int
    filter_text: str
    person: str
    labeling: str
    section: str = "captions"


class Mistake(BaseModel):
    """Why a filter cannot be read; `column` counts from 0 into its text."""

    message: str
    column: int


class Index(BaseModel):
    """Which images a filter finds, in their order, and where their rows are asked for."""

    ids: Sequence[int]
    count: int
    total: int
    error: Mistake | None
    rows: str


class Crop(BaseModel):
    """The bucket an image trains in, and the box of it that is kept, in the pixels of what is shown."""

    bucket: tuple[int, int]
    kept: tuple[int, int, int, int]
    lost_pct: int
    is_upscaled: bool


class Row(BaseModel):
    """One image of the screen; width and height are those of what is shown."""

    id: int
    name: str
    thumb: str
    display: str
    width: int
    height: int
    caption: str | None
    by: str | None
    revision: int
    split: Split
    repeats: int
    reviewed_by: str | None
    suggestions: int
    badges: Sequence[str]
    crop: Crop


@router.get("/projects/{project_id}/label")
def show(
    request: Request,
    project_id: int,
    store: Store,
    person: Person,
    image: int = 0,
    text: Annotated[str, Query(alias="filter")] = "",
) -> HTMLResponse:
    """Show the labeling screen, at one image or at the first without a caption."""
    with read(store) as session:
        project = projects.get(session, project_id)
        start = uncaptioned(session, project_id) if not image else None
        shown = ShowPage(
            project=project,
            counts=projects.counts(session, project_id),
            caption_url=f"/projects/{project_id}/label",
            image_id=image or (start.id if start else _first(session, project_id)),
            filter_text=text,
            person="" if person == NOBODY else person,
            labeling=PURPOSES[project.purpose].labeling,
        )
        return page(request, "label/show", shown)


@router.get("/projects/{project_id}/label/index.json")
def index(project_id: int, store: Store, desk: LabelDesk, text: Annotated[str, Query(alias="filter")] = "") -> Index:
    """Say which images a filter finds; without one, all of them."""
    with read(store) as session:
        projects.get(session, project_id)
        every = tiles.image_ids(session, project_id)
        found, error = (every, None) if not text.strip() else _find(session, desk, project_id, text)
    rows = f"/projects/{project_id}/label/rows.json"
    return Index(ids=found, count=len(found), total=len(every), error=error, rows=rows)


@router.get("/projects/{project_id}/label/rows.json")
def rows(project_id: int, store: Store, ids: str = "") -> list[Row]:
    """Answer some images, at most 200 ids set apart by commas; what is gone is left out. Raises Invalid."""
    wanted = _read_ids(ids)
    with read(store) as session:
        target = target_of(session, projects.get(session, project_id))
        return [_row(each, target) for each in tiles.tile_rows(session, project_id, wanted)]


def _find(session: Session, desk: Desk, project_id: int, text: str) -> tuple[list[int], Mistake | None]:
    try:
        return find(session, desk, project_id, text), None
    except FilterError as error:
        return [], Mistake(message=error.message, column=error.column)


def _first(session: Session, project_id: int) -> int:
    return next((row.id for row in images.page(session, project_id, limit=1)), 0)


def _read_ids(text: str) -> list[int]:
    parts = [part for part in text.split(",") if part]
    if len(parts) > MAX_ROWS or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Invalid(f"Images are asked for by at most {MAX_ROWS} numbers.", "Ask for fewer at once.")
    return [int(part) for part in parts]


def _row(row: TileRow, target: Target) -> Row:
    size = size_after(row.recipe, Size(row.width_px, row.height_px))
    return Row(
        id=row.id,
        name=row.name,
        thumb=thumb_url(row),
        display=picture_url(row),
        width=size.width,
        height=size.height,
        caption=row.caption,
        by=row.caption_by,
        revision=row.revision,
        split=row.split,
        repeats=row.repeats,
        reviewed_by=row.reviewed_by,
        suggestions=row.suggestions,
        badges=_badges(row),
        crop=_crop(size, target),
    )


def _badges(row: TileRow) -> list[str]:
    badges = {
        "untagged": not (row.caption or "").strip(),
        "masked": row.recipe.mask is not None or row.recipe.alpha == "mask",
        "cropped": row.recipe.crop is not None,
        "suggested": row.suggestions > 0,
    }
    return [key for key, is_on in badges.items() if is_on]


def _crop(size: Size, target: Target) -> Crop:
    place = place_of(size, target)
    kept = place.kept
    return Crop(
        bucket=(place.fit.bucket.width, place.fit.bucket.height),
        kept=(kept.left, kept.top, kept.width, kept.height),
        lost_pct=place.lost_pct,
        is_upscaled=place.fit.upscaled,
    )
