"""The labeling screen: its page, which images a filter finds, and the images it shows, a few at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.config import Settings
from app.contract.buckets import Size
from app.contract.purposes import PURPOSES
from app.contract.recipe import size_after
from app.contract.spec import TagSpec, read_spec
from app.contract.splits import Split
from app.errors import Invalid
from app.label.desk import Desk
from app.label.filters import FilterError
from app.label.offers import Offered, offers
from app.label.one_tag import Asked, Limits, in_doubt_first
from app.launch.start import run_dir
from app.next_step import uncaptioned
from app.person import NOBODY, Person
from app.place import Target, place_of, target_of
from app.polish.addresses import picture_url, shade_url, thumb_url
from app.render import page
from app.store import images, projects, runs, tiles
from app.store.db import read
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.store.tiles import TileRow
from app.table import find, table_of
from app.wiring import LabelDesk, OwnSettings, Store

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
    """One image of the screen; width and height are those of what is shown, `shade` is red over what is masked."""

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
    shade: str | None
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


@router.get("/projects/{project_id}/label/pass.json")
def one_tag(
    project_id: int,
    store: Store,
    desk: LabelDesk,
    settings: OwnSettings,
    tag: Annotated[str, Query(max_length=500)],
    text: Annotated[str, Query(alias="filter")] = "",
) -> list[Asked]:
    """Order the images of a filter for one tag, the doubtful ones first; none where the filter cannot be read."""
    with read(store) as session:
        table = table_of(session, desk, project_id)
        scores = desk.disagreements(session, project_id, table).scores(tag)
        limits = _limits(session, settings, project_id) if scores else {}
        found, _ = _find(session, desk, project_id, text)
    has = {row.id for row in table.rows if row.reading.has(tag)}
    return in_doubt_first(found, has, scores, limits)


def _limits(session: Session, settings: Settings, project_id: int) -> dict[str, Limits]:
    """The thresholds of each model, as in the newest tag run that asked it."""
    limits: dict[str, Limits] = {}
    for run in runs.listed(session, project_id):
        if run.kind != "tag":
            continue
        try:
            spec = read_spec(run_dir(settings, run).spec.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(spec, TagSpec):
            limits.setdefault(spec.model, Limits(spec.threshold, spec.character_threshold))
    return limits


@router.get("/projects/{project_id}/label/offers.json")
def filter_offers(project_id: int, store: Store, desk: LabelDesk, q: str = "") -> list[Offered]:
    """Offer at most 12 terms that a filter may go on with."""
    with read(store) as session:
        table = table_of(session, desk, project_id)
    return offers(table, q[:200])


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
        shade=shade_url(row) if _is_masked(row) else None,
        crop=_crop(size, target),
    )


def _badges(row: TileRow) -> list[str]:
    badges = {
        "untagged": not (row.caption or "").strip(),
        "masked": _is_masked(row),
        "cropped": row.recipe.crop is not None,
        "suggested": row.suggestions > 0,
    }
    return [key for key, is_on in badges.items() if is_on]


def _is_masked(row: TileRow) -> bool:
    return row.recipe.mask is not None or (row.recipe.alpha == "mask" and row.uses_alpha)


def _crop(size: Size, target: Target) -> Crop:
    place = place_of(size, target)
    kept = place.kept
    return Crop(
        bucket=(place.fit.bucket.width, place.fit.bucket.height),
        kept=(kept.left, kept.top, kept.width, kept.height),
        lost_pct=place.lost_pct,
        is_upscaled=place.fit.upscaled,
    )
