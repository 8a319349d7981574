"""Copying a recipe: which parts of it, and to which other images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.collect.pictures import THUMB_SIDE_PX
from app.contract.buckets import Size, make_buckets, nearest
from app.frame import Frame, frame_of
from app.label.filters import FilterError
from app.person import person_of
from app.place import target_of
from app.polish.addresses import thumb_url
from app.polish.steps import PARTS, Part, copied
from app.render import page
from app.store import images, projects, recipes, tiles
from app.store.db import read
from app.store.edits import new_step
from app.store.images import ImageRow
from app.store.parts import in_parts
from app.store.recipes import SizedImage
from app.table import find
from app.wiring import LabelDesk, Store

router = APIRouter()

Scope = Literal["size", "bucket", "all", "filter"]
SCOPES: tuple[tuple[Scope, str], ...] = (("size", "Same size"), ("bucket", "Same bucket"), ("all", "All images"))
PART_LABELS = {
    "turns": "Rotation, mirror and flip",
    "straighten": "Straightening",
    "crop": "Crop, at the same place",
    "colour": "Transparent parts",
}
SHOWN = 240
# More than any project holds.
MAX_SELECTED = 200_000


class CopyForm(BaseModel):
    """Which parts go to which images; `everyone` means all of the scope, whatever is checked."""

    scope: Scope = "size"
    filter: str = ""
    part: list[Part] = []
    image: list[int] = []
    everyone: bool = False


@dataclass(frozen=True)
class Tile:
    """An image that the recipe can be copied to."""

    id: int
    name: str
    thumb: str
    width_px: int
    height_px: int


@dataclass(frozen=True, kw_only=True)
class ChoosePage(Frame):
    """The page to choose parts and images; `tiles` are the first of the `found` images of the scope."""

    scope: Scope
    scopes: Sequence[tuple[Scope, str]]
    parts: Sequence[tuple[Part, str, bool]]
    tiles: Sequence[Tile]
    found: int
    filter_text: str
    filter_error: str = ""
    error: str = ""
    section: str = "images"


@router.get("/images/{image_id}/polish/copy")
def choose(
    request: Request, image_id: int, store: Store, desk: LabelDesk, scope: Scope = "size", filter: str = ""
) -> HTMLResponse:
    """Show the parts of the recipe and the images it can be copied to."""
    with read(store) as session:
        group = _group(session, desk, images.get(session, image_id), CopyForm(scope=scope, filter=filter))
        shown = _choose(session, group)
    return page(request, "copying/choose", shown, 422 if group.error else 200)


@router.post("/images/{image_id}/polish/copy", form_limits={"max_fields": MAX_SELECTED})
def apply(
    request: Request, image_id: int, store: Store, desk: LabelDesk, form: Annotated[CopyForm, Form()]
) -> Response:
    """Copy the parts to the images, as one step, and show how the images are now."""
    with read(store) as session:
        row = images.get(session, image_id)
        group = _group(session, desk, row, form)
        wanted = group.images if form.everyone else _chosen(session, row, form.image)
        if not form.part or not wanted:
            error = "Choose at least one image." if form.part else "Choose at least one part of the recipe."
            return page(request, "copying/choose", _choose(session, group, error), 422)
    parts = frozenset(form.part)
    step = new_step(row.project_id, person_of(request))

    def copy(session: Session, ids: Sequence[int]) -> int:
        # Read once more: what somebody did in the meantime is kept but for the parts that are copied.
        now = recipes.sizes(session, row.project_id, ids)
        made = {each.id: copied(each.recipe, each.upright, row.recipe, row.upright, parts) for each in now}
        return recipes.set_recipes(session, step, made)

    in_parts(store, [each.id for each in wanted], copy)
    query = urlencode({"scope": form.scope, **({"filter": form.filter} if form.scope == "filter" else {})})
    return RedirectResponse(f"/images/{image_id}/polish/copy?{query}", 303)


@dataclass(frozen=True)
class Group:
    """The images that a recipe may be copied to, and why a filter finds none."""

    row: ImageRow
    scope: Scope
    filter_text: str
    images: Sequence[SizedImage]
    error: str = ""


def _group(session: Session, desk: LabelDesk, row: ImageRow, form: CopyForm) -> Group:
    if form.scope != "filter":
        return Group(row, form.scope, form.filter, _in_scope(session, row, form.scope))
    try:
        found = find(session, desk, row.project_id, form.filter)
    except FilterError as refusal:
        return Group(row, form.scope, form.filter, (), f"{refusal.message} (at {refusal.column + 1})")
    return Group(row, form.scope, form.filter, _chosen(session, row, found))


def _chosen(session: Session, row: ImageRow, ids: Sequence[int]) -> list[SizedImage]:
    return [each for each in recipes.sizes(session, row.project_id, ids) if each.id != row.id]


def _in_scope(session: Session, row: ImageRow, scope: Scope) -> list[SizedImage]:
    others = [each for each in recipes.sizes(session, row.project_id) if each.id != row.id]
    if scope == "size":
        return [each for each in others if each.upright == row.upright]
    if scope == "all":
        return others
    target = target_of(session, projects.get(session, row.project_id))
    buckets = make_buckets(target.resolution_px, target.step_px)
    # Of the originals: a recipe that is copied already must not move an image out of the list.
    own = nearest(row.upright, buckets)
    return [each for each in others if nearest(each.upright, buckets) == own]


def _choose(session: Session, group: Group, error: str = "") -> ChoosePage:
    row, found = group.row, group.images
    sizes: dict[int, Size] = {each.id: each.size for each in found[:SHOWN]}
    rows = tiles.tile_rows(session, row.project_id, list(sizes))
    return ChoosePage(
        **vars(frame_of(session, row)),
        scope=group.scope,
        scopes=SCOPES,
        parts=[(part, PART_LABELS[part], part in _own_parts(row)) for part in PARTS],
        tiles=[_tile(each, sizes[each.id]) for each in rows],
        found=len(found),
        filter_text=group.filter_text,
        filter_error=group.error,
        error=error,
    )


def _own_parts(row: ImageRow) -> set[Part]:
    """The parts in which a recipe differs from an untouched picture."""
    recipe, found = row.recipe, set[Part]()
    if recipe.quarter_turns or recipe.mirrored or recipe.flipped:
        found.add("turns")
    if recipe.straighten_deg:
        found.add("straighten")
    if recipe.crop:
        found.add("crop")
    if recipe.background != "#ffffff" or recipe.alpha != "flatten":
        found.add("colour")
    return found


def _tile(row: tiles.TileRow, size: Size) -> Tile:
    scale = min(1.0, THUMB_SIDE_PX / max(size.width, size.height))
    return Tile(row.id, row.name, thumb_url(row), max(1, round(size.width * scale)), max(1, round(size.height * scale)))
