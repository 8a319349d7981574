"""Polishing an image: turns, straightening, crop, colour; every step is saved and drawn by the code that trains."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from app.collect.blobs import blob_path
from app.contract.buckets import Size, make_buckets
from app.contract.pixels import UNREADABLE, open_rgb
from app.contract.recipe import STRAIGHTEN_MOST_DEG, AlphaUse, Crop, Recipe, straightened
from app.errors import Invalid, NotFound
from app.person import person_of
from app.place import Place, Target, place_of, target_of
from app.polish import steps
from app.polish.addresses import picture_url, stage_url
from app.polish.bars import without_bars
from app.render import is_htmx, page, partial
from app.store import images, projects, recipes
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import OwnSettings, Store

router = APIRouter()

Step = Literal["rotate", "mirror", "flip", "straighten", "colour", "trim", "uncrop", "unmask", "reset"]
MOST_PX = 1_000_000
RATIOS = (
    ("free", "Free"),
    ("bucket", "Snapped to the bucket"),
    ("1:1", "1 : 1"),
    ("4:5", "4 : 5"),
    ("5:4", "5 : 4"),
    ("3:4", "3 : 4"),
    ("4:3", "4 : 3"),
    ("2:3", "2 : 3"),
    ("3:2", "3 : 2"),
    ("9:16", "9 : 16"),
    ("16:9", "16 : 9"),
)


class StepForm(BaseModel):
    """One step, on the image as it stood at a revision."""

    step: Step
    revision: int
    degrees: str = ""
    background: str = ""
    alpha: AlphaUse = "flatten"


class CropForm(BaseModel):
    """A crop box as it was typed or drawn."""

    revision: int
    left: str = ""
    top: str = ""
    width: str = ""
    height: str = ""
    snaps: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame:
    """An image among its neighbours, and where it trains."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    row: ImageRow
    position: int
    total: int
    previous_id: int | None
    next_id: int | None
    place: Place
    section: str = "images"


@dataclass(frozen=True, kw_only=True)
class ShowPage(Frame):
    """The polish page; `before` and `after` are addresses of the picture as it came and as it trains."""

    before: str
    after: str
    most_deg: float = STRAIGHTEN_MOST_DEG
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class CropPage(Frame):
    """The crop page: a box over the picture as it is before its crop, `whole` in size."""

    whole: Size
    box: Crop
    stage: str
    ratios: tuple[tuple[str, str], ...] = RATIOS
    error: str = ""


@dataclass(frozen=True)
class FitPart:
    """Where a crop box would train, what of it is kept, and the box that would lose nothing."""

    place: Place
    box: Crop
    snapped: Crop


@router.get("/images/{image_id}/polish")
def show(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show an image as it trains, its bucket over it, and the steps."""
    with read(store) as session:
        return page(request, "polish/show", _show(session, images.get(session, image_id)))


@router.post("/images/{image_id}/polish/step")
def step(
    request: Request, image_id: int, store: Store, settings: OwnSettings, form: Annotated[StepForm, Form()]
) -> Response:
    """Do one step, save it, and show the image after it."""
    with read(store) as session:
        row = images.get(session, image_id)
    try:
        wanted = _stepped(form, row, settings)
    except Invalid as refusal:
        return _refused(request, store, row, f"{refusal.message} {refusal.hint}")
    with write(store) as session:
        row = recipes.set_recipe(session, image_id, wanted, form.revision, person_of(request))
        shown = _show(session, row)
    if is_htmx(request):
        return partial(request, "polish/studio", shown)
    return RedirectResponse(f"/images/{image_id}/polish", 303)


@router.get("/images/{image_id}/polish/bars")
def bars(request: Request, image_id: int, store: Store, settings: OwnSettings) -> HTMLResponse:
    """Show whether the image has even bars at its sides, and offer to take them away."""
    with read(store) as session:
        row = images.get(session, image_id)
    found = _bars(settings, row) if row.recipe.crop is None else None
    size = straightened(row.recipe, row.upright)
    return partial(request, "polish/bars", {"row": row, "found": found, "size": size})


@router.get("/images/{image_id}/polish/crop")
def crop(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show the picture before its crop, with the crop box to be moved."""
    with read(store) as session:
        row = images.get(session, image_id)
        return page(request, "polish/crop", _crop(session, row, steps.seen(row.recipe, row.upright)))


@router.get("/images/{image_id}/polish/fit")
def fit(
    request: Request, image_id: int, store: Store, left: int = 0, top: int = 0, width: int = 1, height: int = 1
) -> HTMLResponse:
    """Show where a crop box would train, while it is being moved."""
    with read(store) as session:
        row = images.get(session, image_id)
        target = target_of(session, projects.get(session, row.project_id))
    size = straightened(row.recipe, row.upright)
    box = steps.clamped(_box(left, top, width, height), size)
    return partial(request, "polish/fit", _fit(box, size, target))


@router.post("/images/{image_id}/polish/crop")
def set_crop(request: Request, image_id: int, store: Store, form: Annotated[CropForm, Form()]) -> Response:
    """Save the crop box, snapped to its bucket where that is asked for, and go back to the image."""
    with read(store) as session:
        row = images.get(session, image_id)
        target = target_of(session, projects.get(session, row.project_id))
    try:
        box = _box(*(_pixels(text) for text in (form.left, form.top, form.width, form.height)))
    except Invalid as refusal:
        with read(store) as session:
            shown = _crop(session, row, steps.seen(row.recipe, row.upright), f"{refusal.message} {refusal.hint}")
        return page(request, "polish/crop", shown, 422)
    size = straightened(row.recipe, row.upright)
    if form.snaps:
        box = steps.snapped(steps.clamped(box, size), size, _buckets(target))
    with write(store) as session:
        wanted = steps.cropped(row.recipe, row.upright, box)
        recipes.set_recipe(session, image_id, wanted, form.revision, person_of(request))
    return RedirectResponse(f"/images/{image_id}/polish", 303)


def _stepped(form: StepForm, row: ImageRow, settings: OwnSettings) -> Recipe:
    recipe, upright = row.recipe, row.upright
    match form.step:
        case "rotate":
            return steps.rotated(recipe, upright)
        case "mirror":
            return steps.mirrored(recipe, upright)
        case "flip":
            return steps.flipped(recipe, upright)
        case "straighten":
            return steps.straight(recipe, upright, _degrees(form.degrees))
        case "colour":
            return _coloured(recipe, form.background, form.alpha)
        case "trim":
            return steps.cropped(recipe, upright, _bars(settings, row))
        case "uncrop":
            return recipe.model_copy(update={"crop": None})
        case "unmask":
            return steps.masked(recipe, None)
        case "reset":
            # What transparency means is the project's decision, and no step of this image.
            return Recipe(background=recipe.background, alpha=recipe.alpha)


def _degrees(text: str) -> float:
    try:
        degrees = float(text.strip().replace(",", ".") or 0)
    except ValueError:
        degrees = float("nan")
    if not abs(degrees) <= STRAIGHTEN_MOST_DEG:
        raise Invalid(
            f"{text[:20]} is no angle to straighten by.",
            f"Give −{STRAIGHTEN_MOST_DEG:.0f} to {STRAIGHTEN_MOST_DEG:.0f}.",
        )
    return degrees


def _coloured(recipe: Recipe, background: str, alpha: AlphaUse) -> Recipe:
    try:
        return Recipe.model_validate({**recipe.model_dump(), "background": background.lower(), "alpha": alpha})
    except ValidationError as error:
        raise Invalid(f"{background[:20] or 'Nothing'} is no colour.", "Give one like #808080.") from error


def _pixels(text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit() and len(text.strip()) < 8):
        raise Invalid(f"{text[:20] or 'Nothing'} is no number of pixels.", "Give whole numbers from 0.")
    return int(text)


def _box(left: int, top: int, width: int, height: int) -> Crop:
    edges = (max(0, min(left, MOST_PX)), max(0, min(top, MOST_PX)))
    if width < 1 or height < 1:
        raise Invalid("A crop of no pixels leaves nothing.", "Give a width and a height from 1.")
    return Crop(left=edges[0], top=edges[1], width=min(width, MOST_PX), height=min(height, MOST_PX))


def _bars(settings: OwnSettings, row: ImageRow) -> Crop | None:
    uncropped = row.recipe.model_copy(update={"crop": None})
    try:
        return without_bars(open_rgb(blob_path(settings, row.sha256, row.extension), uncropped))
    except UNREADABLE as error:
        raise NotFound("The original is gone or damaged.", "Add the image again.") from error


def _buckets(target: Target) -> tuple[Size, ...]:
    return make_buckets(target.resolution_px, target.step_px)


def _fit(box: Crop, size: Size, target: Target) -> FitPart:
    found = place_of(Size(box.width, box.height), target)
    return FitPart(found, box, steps.snapped(box, size, _buckets(target)))


def _frame(session: Session, row: ImageRow) -> Frame:
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


def _show(session: Session, row: ImageRow, error: str = "") -> ShowPage:
    return ShowPage(
        **vars(_frame(session, row)),
        before=f"/media/pictures/{row.sha256}.webp",
        after=picture_url(row),
        error=error,
    )


def _crop(session: Session, row: ImageRow, box: Crop, error: str = "") -> CropPage:
    return CropPage(
        **vars(_frame(session, row)),
        whole=straightened(row.recipe, row.upright),
        box=box,
        stage=stage_url(row, "uncropped"),
        error=error,
    )


def _refused(request: Request, store: Store, row: ImageRow, error: str) -> Response:
    with read(store) as session:
        shown = _show(session, row, error)
        render, name = (partial, "polish/studio") if is_htmx(request) else (page, "polish/show")
        return render(request, name, shown, 422)
