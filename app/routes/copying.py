"""Copying a recipe, or none: which parts of it, and to which other images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.pictures import THUMB_SIDE_PX
from app.contract.buckets import Size
from app.contract.recipe import Recipe
from app.done import STEP, DoneStep, StepName, done_step
from app.frame import Frame, frame_of
from app.label.filters import FilterError
from app.person import person_of
from app.place import target_of
from app.polish.addresses import thumb_url
from app.polish.steps import PARTS, Part, copied
from app.render import page
from app.store import alpha, images, projects, recipes, tiles, undo
from app.store.db import read
from app.store.edits import Step, new_step
from app.store.images import ImageRow
from app.store.parts import in_parts
from app.store.recipes import SizedImage
from app.table import find
from app.wiring import LabelDesk, Store

router = APIRouter()

Act = Literal["copy", "reset"]
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
    """Which parts go to which images; `everyone` means all of the scope, whatever is checked.

    To reset is to take all steps away, whatever parts are chosen.
    """

    act: Act = "copy"
    scope: Scope = "size"
    filter: str = ""
    part: list[Part] = []
    image: list[int] = []
    everyone: bool = False


class UndoForm(BaseModel):
    """The step to undo, and the group that is shown."""

    step: str = Field(pattern=STEP)
    scope: Scope = "size"
    filter: str = ""


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
    """The page to choose parts and images; `tiles` are the first of the `found` images of the scope.

    `done` is the step that was just done from here.
    """

    act: Act
    scope: Scope
    scopes: Sequence[tuple[Scope, str]]
    parts: Sequence[tuple[Part, str, bool]]
    tiles: Sequence[Tile]
    found: int
    filter_text: str
    filter_error: str = ""
    error: str = ""
    done: DoneStep | None = None
    section: str = "images"


@router.get("/images/{image_id}/polish/copy")
def choose(
    request: Request,
    image_id: int,
    store: Store,
    desk: LabelDesk,
    scope: Scope = "size",
    filter: str = "",
    step: StepName = "",
) -> HTMLResponse:
    """Show the parts of the recipe and the images it can be copied to, and what the step of a name has just done."""
    with read(store) as session:
        row = images.get(session, image_id)
        group = _group(session, desk, row, CopyForm(scope=scope, filter=filter))
        shown = replace(_choose(session, group), done=done_step(session, row.project_id, step))
    return page(request, "copying/choose", shown, 422 if group.error else 200)


@router.post("/images/{image_id}/polish/copy", form_limits={"max_fields": MAX_SELECTED})
def apply(
    request: Request, image_id: int, store: Store, desk: LabelDesk, form: Annotated[CopyForm, Form()]
) -> Response:
    """Copy the parts to the images, or reset them, as one step, and show how the images are now."""
    with read(store) as session:
        row = images.get(session, image_id)
        group = _group(session, desk, row, form)
        wanted = group.images if form.everyone else _chosen(session, row, form.image)
        has_parts = form.part or form.act == "reset"
        if not has_parts or not wanted:
            error = "Choose at least one image." if has_parts else "Choose at least one part of the recipe."
            return page(request, "copying/choose", replace(_choose(session, group, error), act=form.act), 422)
        parts = frozenset(form.part).difference(() if _uses_alpha(session, row) else ("colour",))
    step = new_step(row.project_id, person_of(request))
    ids = [each.id for each in wanted]
    if form.act == "reset":
        _reset(store, step, ids)
    else:
        _copy(store, step, ids, row, parts)
    return _back(image_id, form.scope, form.filter, step.batch)


@router.post("/images/{image_id}/polish/copy/undo")
def take_back(request: Request, image_id: int, store: Store, form: Annotated[UndoForm, Form()]) -> Response:
    """Undo a step that was done from here, and show the images after it. Raises Conflict, Unfinished."""
    with read(store) as session:
        row = images.get(session, image_id)
    undo.take_back(store, row.project_id, person_of(request), form.step)
    return _back(image_id, form.scope, form.filter, form.step)


def _back(image_id: int, scope: Scope, text: str, step: str) -> Response:
    query = urlencode({"scope": scope, **({"filter": text} if scope == "filter" else {}), "step": step})
    return RedirectResponse(f"/images/{image_id}/polish/copy?{query}", 303)


def _copy(store: Engine, step: Step, ids: Sequence[int], row: ImageRow, parts: frozenset[Part]) -> None:
    def some(session: Session, part: Sequence[int]) -> int:
        # Read once more: what somebody did in the meantime is kept but for the parts that are copied.
        now = recipes.sizes(session, step.project_id, part)
        clear = alpha.transparent(session, step.project_id, part)
        made = {
            each.id: copied(
                each.recipe, each.upright, row.recipe, row.upright, parts if each.id in clear else parts - {"colour"}
            )
            for each in now
        }
        return recipes.set_recipes(session, step, made)

    in_parts(store, ids, some)


def _reset(store: Engine, step: Step, ids: Sequence[int]) -> None:
    def some(session: Session, part: Sequence[int]) -> int:
        project = projects.get(session, step.project_id)
        clear = alpha.transparent(session, step.project_id, part)
        plain: dict[int, Recipe] = {each: alpha.untouched(project, uses_alpha=each in clear) for each in part}
        return recipes.set_recipes(session, step, plain)

    in_parts(store, ids, some)


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
    layout = target_of(session, projects.get(session, row.project_id)).layout
    # Of the originals: a recipe that is copied already must not move an image out of the list.
    own = layout.fit(row.upright).bucket
    uprights = {(each.upright.width, each.upright.height): each.upright for each in others}
    places = dict(zip(uprights, layout.fits(uprights.values()), strict=True))
    return [each for each in others if places[each.upright.width, each.upright.height].bucket == own]


def _choose(session: Session, group: Group, error: str = "") -> ChoosePage:
    row, found = group.row, group.images
    sizes: dict[int, Size] = {each.id: each.size for each in found[:SHOWN]}
    rows = tiles.tile_rows(session, row.project_id, list(sizes))
    uses_alpha, frame = _uses_alpha(session, row), frame_of(session, row)
    plain = alpha.untouched(frame.project, uses_alpha=uses_alpha)
    own = _own_parts(row.recipe, plain)
    return ChoosePage(
        **vars(frame),
        act="reset" if row.recipe == plain else "copy",
        scope=group.scope,
        scopes=SCOPES,
        parts=[(part, PART_LABELS[part], part in own) for part in PARTS if part != "colour" or uses_alpha],
        tiles=[_tile(each, sizes[each.id]) for each in rows],
        found=len(found),
        filter_text=group.filter_text,
        filter_error=group.error,
        error=error,
    )


def _uses_alpha(session: Session, row: ImageRow) -> bool:
    return bool(alpha.transparent(session, row.project_id, [row.id]))


def _own_parts(recipe: Recipe, plain: Recipe) -> set[Part]:
    """The parts in which a recipe differs from that of an image that nothing was done to."""
    found = set[Part]()
    if recipe.quarter_turns or recipe.mirrored or recipe.flipped:
        found.add("turns")
    if recipe.straighten_deg:
        found.add("straighten")
    if recipe.crop:
        found.add("crop")
    if (recipe.background, recipe.alpha) != (plain.background, plain.alpha):
        found.add("colour")
    return found


def _tile(row: tiles.TileRow, size: Size) -> Tile:
    scale = min(1.0, THUMB_SIDE_PX / max(size.width, size.height))
    return Tile(row.id, row.name, thumb_url(row), max(1, round(size.width * scale)), max(1, round(size.height * scale)))
