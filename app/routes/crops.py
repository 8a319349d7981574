"""Cropping an image: a box over the picture before its crop, where it would train, and what a model would keep."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Json
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe, straightened
from app.errors import Conflict, Invalid
from app.frame import Frame, frame_of
from app.person import person_of
from app.place import Place, Target, place_of, target_of
from app.polish import steps
from app.polish.addresses import stage_url
from app.polish.subjects import Found, found_in
from app.render import page, partial
from app.store import images, projects, recipes
from app.store.db import read, write
from app.store.images import ImageRow
from app.wiring import Store

router = APIRouter()

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


class CropForm(BaseModel):
    """A crop box as it was typed or drawn, on the image as it stood at a revision, with the recipe `seen` then."""

    revision: int
    seen: Json[Recipe] | None = None
    left: str = ""
    top: str = ""
    width: str = ""
    height: str = ""
    snaps: bool = False


@dataclass(frozen=True, kw_only=True)
class CropPage(Frame):
    """The crop page: a box over the picture as it is before its crop, `whole` in size; `found` is a model's word.

    `clash` says what somebody has changed since the box was drawn; the box was then `moved` along with the picture.
    """

    whole: Size
    box: Crop
    stage: str
    found: Found | None
    ratios: tuple[tuple[str, str], ...] = RATIOS
    error: str = ""
    clash: str = ""
    moved: bool = False
    section: str = "images"


@dataclass(frozen=True)
class FitPart:
    """Where a crop box would train, what of it is kept, and the box that would lose nothing."""

    place: Place
    box: Crop
    snapped: Crop


@router.get("/images/{image_id}/polish/crop")
def edit(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show the picture before its crop, with the crop box to be moved."""
    with read(store) as session:
        row = images.get(session, image_id)
        return page(request, "crops/edit", _crop(session, row, steps.seen(row.recipe, row.upright)))


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
    return partial(request, "crops/fit", _fit(box, size, target))


@router.post("/images/{image_id}/polish/crop")
def put(request: Request, image_id: int, store: Store, form: Annotated[CropForm, Form()]) -> Response:
    """Save the crop box, snapped to its bucket where that is asked for, and go back to the image."""
    with read(store) as session:
        row = images.get(session, image_id)
        target = target_of(session, projects.get(session, row.project_id))
    drawn = form.seen or row.recipe
    try:
        box = _box(*(_pixels(text) for text in (form.left, form.top, form.width, form.height)))
    except Invalid as refusal:
        with read(store) as session:
            shown = _crop(session, row, steps.seen(row.recipe, row.upright), f"{refusal.message} {refusal.hint}")
        return page(request, "crops/edit", shown, 422)
    size = straightened(drawn, row.upright)
    box = steps.clamped(box, size)
    if form.snaps:
        box = steps.snapped(box, size, target.buckets)
    wanted = steps.cropped(drawn, row.upright, box)
    try:
        with write(store) as session:
            recipes.set_recipe(session, image_id, wanted, form.revision, person_of(request), seen=form.seen)
    except Conflict as clash:
        return _kept(request, store, image_id, wanted, clash)
    return RedirectResponse(f"/images/{image_id}/polish", 303)


def _kept(request: Request, store: Store, image_id: int, wanted: Recipe, clash: Conflict) -> Response:
    """The form with the box that could not be saved, over the picture as it is now."""
    with read(store) as session:
        row = images.get(session, image_id)
        box = steps.carried(steps.seen(wanted, row.upright), wanted, row.recipe, row.upright)
        shown = _crop(session, row, box)
    has_moved = box != steps.seen(wanted, row.upright)
    return page(request, "crops/edit", replace(shown, clash=clash.message, moved=has_moved), clash.status)


def _pixels(text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit() and len(text.strip()) < 8):
        raise Invalid(f"{text[:20] or 'Nothing'} is no number of pixels.", "Give whole numbers from 0.")
    return int(text)


def _box(left: int, top: int, width: int, height: int) -> Crop:
    edges = (max(0, min(left, MOST_PX)), max(0, min(top, MOST_PX)))
    if width < 1 or height < 1:
        raise Invalid("A crop of no pixels leaves nothing.", "Give a width and a height from 1.")
    return Crop(left=edges[0], top=edges[1], width=min(width, MOST_PX), height=min(height, MOST_PX))


def _fit(box: Crop, size: Size, target: Target) -> FitPart:
    found = place_of(Size(box.width, box.height), target)
    return FitPart(found, box, steps.snapped(box, size, target.buckets))


def _crop(session: Session, row: ImageRow, box: Crop, error: str = "") -> CropPage:
    frame = frame_of(session, row)
    return CropPage(
        **vars(frame),
        found=found_in(session, row, target_of(session, frame.project).buckets),
        whole=straightened(row.recipe, row.upright),
        box=box,
        stage=stage_url(row, "uncropped"),
        error=error,
    )
