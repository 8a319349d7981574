"""Masks: the page to draw them on, and what becomes of a drawn or chosen mask."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from PIL import Image
from sqlalchemy.orm import Session

from app.collect.blobs import blob_path
from app.collect.pictures import DISPLAY_SIDE_PX
from app.config import Settings
from app.contract.pixels import UNREADABLE
from app.contract.recipe import turned
from app.errors import Invalid
from app.person import person_of
from app.polish import steps
from app.polish.addresses import stage_url
from app.polish.masks import checked, put_mask, read_mask, share_left_out, turned_back, turned_mask
from app.render import is_htmx, page
from app.store import images, projects, recipes
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import OwnSettings, Store

router = APIRouter()

MAX_MASK_BYTES = 101_000_000


@dataclass(frozen=True, kw_only=True)
class EditPage:
    """The mask editor; `picture` is the address of what is drawn on, `width_px` and `height_px` its size there."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    row: ImageRow
    picture: str
    width_px: int
    height_px: int
    left_out_pct: int
    error: str = ""
    section: str = "images"


@router.get("/images/{image_id}/mask")
def edit(request: Request, image_id: int, store: Store, settings: OwnSettings) -> HTMLResponse:
    """Show the image, turned as it trains but whole, with its mask to be drawn."""
    with read(store) as session:
        shown = _edit(session, settings, images.get(session, image_id))
    return page(request, "masks/edit", shown)


@router.post("/images/{image_id}/mask", max_body_size=MAX_MASK_BYTES)
def put(
    request: Request,
    image_id: int,
    store: Store,
    settings: OwnSettings,
    mask: Annotated[UploadFile, File()],
    revision: Annotated[int, Form()],
    is_drawn: Annotated[bool, Form()] = False,
) -> Response:
    """Take a mask: one that was drawn on the turned picture, or a file that covers the image as it came."""
    with read(store) as session:
        row = images.get(session, image_id)
    try:
        name = "The mask" if is_drawn else (mask.filename or "The file")[:100]
        image = _covering(mask.file.read(), name, row, is_drawn)
    except Invalid as refusal:
        if is_htmx(request):
            raise
        with read(store) as session:
            shown = _edit(session, settings, row, f"{refusal.message} {refusal.hint}")
        return page(request, "masks/edit", shown, 422)
    sha256 = put_mask(settings, image) if image else None
    with write(store) as session:
        recipes.set_recipe(session, image_id, steps.masked(row.recipe, sha256), revision, person_of(request))
    onward = f"/images/{image_id}/polish" if is_drawn else f"/images/{image_id}/mask"
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": onward})
    return RedirectResponse(onward, 303)


def _covering(data: bytes, name: str, row: ImageRow, is_drawn: bool) -> Image.Image | None:
    image = read_mask(data, name, row.upright)
    return checked(turned_back(image, row.recipe) if is_drawn else image, row.upright, name)


def _edit(session: Session, settings: Settings, row: ImageRow, error: str = "") -> EditPage:
    project = projects.get(session, row.project_id)
    size = turned(row.recipe, row.upright)
    scale = min(1.0, DISPLAY_SIDE_PX / max(size.width, size.height))
    return EditPage(
        project=project,
        counts=projects.counts(session, project.id),
        caption_url=f"/projects/{project.id}/label",
        row=row,
        picture=stage_url(row, "turned"),
        width_px=max(1, round(size.width * scale)),
        height_px=max(1, round(size.height * scale)),
        left_out_pct=_left_out_pct(settings, row),
        error=error,
    )


def _left_out_pct(settings: Settings, row: ImageRow) -> int:
    if row.recipe.mask is None:
        return 0
    try:
        return round(100 * share_left_out(turned_mask(blob_path(settings, row.recipe.mask, "png"), row.recipe, 256)))
    except UNREADABLE:
        return 0
