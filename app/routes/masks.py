"""Masks: the page to draw them on, and what becomes of a drawn or chosen mask."""

import shutil
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from PIL import Image
from pydantic import BaseModel, Json
from sqlalchemy.orm import Session

from app.collect.drawing import DrawWish
from app.collect.imports import ImportJobs
from app.collect.masks import MaskWish, share_left_out
from app.collect.pictures import DISPLAY_SIDE_PX
from app.collect.screen import Screen
from app.contract.buckets import Size
from app.contract.pixels import UNREADABLE
from app.contract.recipe import Recipe, turned, turns_alone
from app.errors import AppError, Conflict, Invalid
from app.frame import Frame, frame_of
from app.person import person_of
from app.polish import steps
from app.polish.addresses import stage_url
from app.render import is_htmx, page, partial
from app.store import images, recipes, subjects
from app.store.db import read, write
from app.store.images import ImageRow
from app.wiring import Imports, Store

router = APIRouter()

MAX_MASK_BYTES = 101_000_000


class MaskForm(BaseModel):
    """A mask for the image as it stood at a revision, with the recipe `seen` then.

    `is_drawn` on the picture as it was turned then, not on the one that came.
    """

    mask: UploadFile
    revision: int
    seen: Json[Recipe] | None = None
    is_drawn: bool = False


@dataclass(frozen=True, kw_only=True)
class EditPage(Frame):
    """The mask editor; `picture` is the address of what is drawn on, `width_px` and `height_px` its size there.

    `found_by` is the model that has seen a subject, '' for none.
    """

    picture: str
    width_px: int
    height_px: int
    left_out_pct: int
    found_by: str
    error: str = ""
    section: str = "images"


@dataclass(frozen=True)
class ClashPart:
    """What somebody did to the mask while another was drawn; `seen` is what a save over theirs has seen.

    `theirs` is the address of their mask; `lies_alike` is false where the picture was turned meanwhile.
    """

    row: ImageRow
    words: str
    seen: str
    theirs: str
    lies_alike: bool


@router.get("/images/{image_id}/mask")
def edit(request: Request, image_id: int, store: Store, imports: Imports) -> HTMLResponse:
    """Show the image, turned as it trains but whole, with its mask to be drawn."""
    with read(store) as session:
        row = images.get(session, image_id)
    left_out_pct = _left_out_pct(imports.screen, row)
    with read(store) as session:
        shown = _edit(session, row, left_out_pct)
    return page(request, "masks/edit", shown)


@router.post("/images/{image_id}/mask", max_body_size=MAX_MASK_BYTES)
def put(
    request: Request,
    image_id: int,
    store: Store,
    imports: Imports,
    form: Annotated[MaskForm, Form()],
) -> Response:
    """Take a mask: one that was drawn on the turned picture, or a file that covers the image as it came."""
    with read(store) as session:
        row = images.get(session, image_id)
    drawn = form.seen or row.recipe
    try:
        wanted = steps.masked(drawn, _taken(imports, form, row.upright, drawn))
        with write(store) as session:
            recipes.set_recipe(session, image_id, wanted, form.revision, person_of(request), seen=form.seen)
    except Conflict as clash:
        if is_htmx(request):
            return _clash(request, store, image_id, drawn, clash)
        told = Conflict(clash.message, "Look at it; take the file again to put it in its place.")
        return _refused(request, store, imports, image_id, told)
    except Invalid as refusal:
        if is_htmx(request):
            raise
        return _refused(request, store, imports, image_id, refusal)
    onward = f"/images/{image_id}/polish" if form.is_drawn else f"/images/{image_id}/mask"
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": onward})
    return RedirectResponse(onward, 303)


def _taken(imports: ImportJobs, form: MaskForm, upright: Size, drawn: Recipe) -> str | None:
    """Have the mask decoded by a child, and return its hash; None for one that is white all over, which is no mask."""
    name = "The mask" if form.is_drawn else (form.mask.filename or "The file")[:100]
    turns = turns_alone(drawn) if form.is_drawn else Recipe()
    wish = MaskWish(width_px=upright.width, height_px=upright.height, turns=turns)
    path = imports.staging()
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(form.mask.file, file)
        made = imports.take_mask(name, path, wish)
    finally:
        path.unlink(missing_ok=True)
    return None if made.facts.brightness == 1 else made.sha256


def _clash(request: Request, store: Store, image_id: int, drawn: Recipe, clash: Conflict) -> Response:
    """What somebody did to the mask, to be shown beside the drawing, which stays where it is."""
    with read(store) as session:
        row = images.get(session, image_id)
    part = ClashPart(
        row,
        clash.message,
        seen=steps.masked(drawn, row.recipe.mask).to_json(),
        theirs=f"/media/images/{row.id}/mask.png?v={row.revision}" if row.recipe.mask else "",
        lies_alike=steps.turns(drawn) == steps.turns(row.recipe),
    )
    return partial(request, "masks/clash", part, clash.status)


def _refused(request: Request, store: Store, imports: ImportJobs, image_id: int, refusal: AppError) -> Response:
    with read(store) as session:
        row = images.get(session, image_id)
    left_out_pct = _left_out_pct(imports.screen, row)
    with read(store) as session:
        shown = _edit(session, row, left_out_pct, f"{refusal.message} {refusal.hint}")
    return page(request, "masks/edit", shown, refusal.status)


def _edit(session: Session, row: ImageRow, left_out_pct: int, error: str = "") -> EditPage:
    size = turned(row.recipe, row.upright)
    scale = min(1.0, DISPLAY_SIDE_PX / max(size.width, size.height))
    found = subjects.of_image(session, row.id)
    return EditPage(
        **vars(frame_of(session, row)),
        picture=stage_url(row, "turned"),
        width_px=max(1, round(size.width * scale)),
        height_px=max(1, round(size.height * scale)),
        left_out_pct=left_out_pct,
        found_by=found.model if found and not found.is_dismissed else "",
        error=error,
    )


def _left_out_pct(screen: Screen, row: ImageRow) -> int:
    if row.recipe.mask is None:
        return 0
    wish = DrawWish(sha256=row.sha256, extension=row.extension, recipe=row.recipe, layer="mask", mask=row.recipe.mask)
    try:
        path = screen.path(wish, row.name)
        # Drawn by our own child, so that it may be read here.
        return round(100 * share_left_out(Image.open(path).convert("L"))) if path else 0
    except (AppError, *UNREADABLE):
        return 0
