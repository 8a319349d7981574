"""Polishing an image: turns, straightening, crop, colour; every step is saved and drawn by the code that trains."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import STRAIGHTEN_MOST_DEG, AlphaUse, Crop, Recipe, turned
from app.errors import Conflict, Invalid
from app.frame import Frame, frame_of
from app.person import person_of
from app.place import target_of
from app.polish import steps
from app.polish.addresses import picture_url
from app.polish.bars import Trim, trim_of
from app.polish.subjects import Found, found_in
from app.render import is_htmx, page, partial
from app.store import animations, images, measures, projects, recipes
from app.store.db import read, write
from app.store.images import ImageRow
from app.wiring import Imports, Store

router = APIRouter()

Step = Literal["rotate", "mirror", "flip", "straighten", "colour", "trim", "uncrop", "unmask", "measure", "reset"]
Taking = Literal["subject-mask", "subject-crop"]
TAKING = get_args(Taking)


class StepForm(BaseModel):
    """One step, on the image as it stood at a revision."""

    step: Step | Taking
    revision: int
    degrees: str = ""
    background: str = ""
    alpha: AlphaUse = "flatten"


@dataclass(frozen=True, kw_only=True)
class ShowPage(Frame):
    """The polish page; `before` and `after` are addresses of the picture as it came and as it trains."""

    before: str
    after: str
    found: Found | None
    trim: Trim
    turned: Size
    frames: int = 1
    most_deg: float = STRAIGHTEN_MOST_DEG
    error: str = ""
    section: str = "images"


@router.get("/images/{image_id}/polish")
def show(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show an image as it trains, its bucket over it, and the steps."""
    with read(store) as session:
        return page(request, "polish/show", _show(session, images.get(session, image_id)))


@router.post("/images/{image_id}/polish/step")
def step(
    request: Request, image_id: int, store: Store, imports: Imports, form: Annotated[StepForm, Form()]
) -> Response:
    """Do one step, save it, and show the image after it; `measure` looks at the original anew and changes nothing."""
    with read(store) as session:
        row = images.get(session, image_id)
        project = projects.get(session, row.project_id)
        found = found_in(session, row, target_of(session, project).buckets)
        trim = trim_of(measures.facts_of(session, row.sha256), row.recipe, row.upright)
    try:
        if form.step == "measure":
            imports.measure(row.project_id, row.id)
            wanted = row.recipe
        else:
            wanted = _stepped(form, row, trim, found)
    except Invalid as refusal:
        return _refused(request, store, row, f"{refusal.message} {refusal.hint}")
    with write(store) as session:
        row = recipes.set_recipe(session, image_id, wanted, form.revision, person_of(request))
        shown = _show(session, row)
    if is_htmx(request):
        return partial(request, "polish/studio", shown)
    return RedirectResponse(f"/images/{image_id}/polish", 303)


def _stepped(form: StepForm, row: ImageRow, trim: Trim, found: Found | None) -> Recipe:
    recipe, upright = row.recipe, row.upright
    if form.step in TAKING:
        return _taken(recipe, found, is_mask=form.step == "subject-mask")
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
            return steps.cropped(recipe, upright, _untrimmed(trim))
        case "uncrop":
            return recipe.model_copy(update={"crop": None})
        case "unmask":
            return steps.masked(recipe, None)
        case _:
            # What transparency means is the project's decision, and no step of this image.
            return Recipe(background=recipe.background, alpha=recipe.alpha)


def _untrimmed(trim: Trim) -> Crop:
    if trim.crop is None:
        raise Conflict("There are no even bars at its sides to trim.", "Reload the page, or crop it by hand.")
    return trim.crop


def _taken(recipe: Recipe, found: Found | None, *, is_mask: bool) -> Recipe:
    if found and is_mask:
        return steps.masked(recipe, found.seen.mask_sha256)
    if found and found.crop:
        return recipe.model_copy(update={"crop": found.crop.crop})
    raise Conflict("What the model found here is there no more.", "Reload the page.")


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


def _show(session: Session, row: ImageRow, error: str = "") -> ShowPage:
    frame = frame_of(session, row)
    return ShowPage(
        **vars(frame),
        found=found_in(session, row, target_of(session, frame.project).buckets),
        trim=trim_of(measures.facts_of(session, row.sha256), row.recipe, row.upright),
        turned=turned(row.recipe, row.upright),
        before=f"/media/pictures/{row.sha256}.webp",
        after=picture_url(row),
        frames=animations.frame_counts(session, [row.id]).get(row.id, 1),
        error=error,
    )


def _refused(request: Request, store: Store, row: ImageRow, error: str) -> Response:
    with read(store) as session:
        shown = _show(session, row, error)
        render, name = (partial, "polish/studio") if is_htmx(request) else (page, "polish/show")
        return render(request, name, shown, 422)
