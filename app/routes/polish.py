"""Polishing an image: turns, straightening, crop, colour; every step is saved and drawn by the code that trains."""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Json, ValidationError
from sqlalchemy.orm import Session

from app.collect.facts import PictureFacts
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
from app.polish.trimming import barred
from app.render import is_htmx, page, partial
from app.store import alpha, animations, images, measures, projects, recipes, undo
from app.store.db import read, write
from app.store.images import ImageRow
from app.wiring import Imports, Store

router = APIRouter()

Step = Literal["rotate", "mirror", "flip", "straighten", "colour", "trim", "uncrop", "unmask", "measure", "reset"]
Taking = Literal["subject-mask", "subject-crop"]
Travel = Literal["undo", "redo"]
TAKING = get_args(Taking)


class StepForm(BaseModel):
    """One step, on the image as it stood at a revision, with the recipe that was `seen` then."""

    step: Step | Taking | Travel
    revision: int
    seen: Json[Recipe] | None = None
    degrees: str = ""
    background: str = ""
    alpha: AlphaUse = "flatten"


@dataclass(frozen=True, kw_only=True)
class ShowPage(Frame):
    """The polish page; `before` and `after` are addresses of the picture as it came and as it trains.

    `resets_to` is the recipe of an image that nothing was done to; `barred` is how many images of the project have bars
    that can be trimmed, where this one has. `undo_words` and `redo_words` are '' where there is no step.
    """

    before: str
    after: str
    uses_alpha: bool
    resets_to: Recipe
    barred: int
    undo_words: str
    redo_words: str
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
    if form.step in ("undo", "redo"):
        return _travel(request, store, image_id, form, form.step)
    with read(store) as session:
        row = images.get(session, image_id)
        drawn = row if form.seen is None else replace(row, recipe=form.seen)
        project = projects.get(session, row.project_id)
        found = found_in(session, drawn, target_of(session, project).buckets)
        facts = measures.facts_of(session, row.sha256)
        trim = trim_of(facts, drawn.recipe, row.upright)
        plain = alpha.untouched(project, uses_alpha=_uses_alpha(facts))
    try:
        if form.step == "measure":
            imports.measure(row.project_id, row.id)
            wanted = drawn.recipe
        elif form.step == "reset":
            wanted = plain
        elif form.step == "colour":
            wanted = _coloured(form, drawn, facts)
        else:
            wanted = _stepped(form, drawn, trim, found)
        with write(store) as session:
            row = recipes.set_recipe(session, image_id, wanted, form.revision, person_of(request), seen=form.seen)
            shown = _show(session, row)
    except Invalid as refusal:
        return _refused(request, store, image_id, f"{refusal.message} {refusal.hint}")
    except Conflict as clash:
        return _refused(request, store, image_id, f"{clash.message} The page shows it as it is now.", clash.status)
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
        case "trim":
            return steps.cropped(recipe, upright, _untrimmed(trim))
        case "uncrop":
            return recipe.model_copy(update={"crop": None})
        case _:
            return steps.masked(recipe, None)


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


def _coloured(form: StepForm, row: ImageRow, facts: str | None) -> Recipe:
    if not _uses_alpha(facts):
        raise Invalid(f"{row.name} has no transparent parts.", "Reload the page.")
    change = {"background": form.background.lower(), "alpha": form.alpha}
    try:
        return Recipe.model_validate({**row.recipe.model_dump(), **change})
    except ValidationError as error:
        raise Invalid(f"{form.background[:20] or 'Nothing'} is no colour.", "Give one like #808080.") from error


def _uses_alpha(facts: str | None) -> bool:
    return facts is not None and PictureFacts.model_validate_json(facts).uses_alpha


def _travel(request: Request, store: Store, image_id: int, form: StepForm, verb: Travel) -> Response:
    """Undo or redo the latest step of the image's recipe, as long as it is the one that was seen."""
    with read(store) as session:
        row = images.get(session, image_id)
    was_seen = form.revision == row.revision if form.seen is None else form.seen == row.recipe
    try:
        if not was_seen:
            raise Conflict(f"{row.name} was changed in the meantime.")
        done = undo.travel(store, row.project_id, person_of(request), verb, image_id, "recipe")
    except Conflict as clash:
        return _refused(request, store, image_id, f"{clash.message} The page shows it as it is now.", clash.status)
    if not is_htmx(request):
        return RedirectResponse(f"/images/{image_id}/polish", 303)
    with read(store) as session:
        answer = partial(request, "polish/studio", _show(session, images.get(session, image_id)))
    said = done.said if done else f"There is nothing to {verb}."
    answer.headers["HX-Trigger"] = json.dumps({"toast": {"text": said, "tone": "ok"}})
    return answer


def _show(session: Session, row: ImageRow, error: str = "") -> ShowPage:
    frame = frame_of(session, row)
    facts = measures.facts_of(session, row.sha256)
    trim, uses_alpha = trim_of(facts, row.recipe, row.upright), _uses_alpha(facts)
    back, forth = undo.offers(session, row.project_id, row.id, kind="recipe")
    return ShowPage(
        **vars(frame),
        found=found_in(session, row, target_of(session, frame.project).buckets),
        trim=trim,
        uses_alpha=uses_alpha,
        resets_to=alpha.untouched(frame.project, uses_alpha=uses_alpha),
        barred=_barred(session, row) if trim.crop and not row.recipe.crop else 0,
        undo_words=back.words if back else "",
        redo_words=forth.words if forth else "",
        turned=turned(row.recipe, row.upright),
        before=f"/media/pictures/{row.sha256}.webp",
        after=picture_url(row),
        frames=animations.frame_counts(session, [row.id]).get(row.id, 1),
        error=error,
    )


def _barred(session: Session, row: ImageRow) -> int:
    return sum(each.crop is not None for each in barred(session, row.project_id))


def _refused(request: Request, store: Store, image_id: int, error: str, status: int = Invalid.status) -> Response:
    with read(store) as session:
        shown = _show(session, images.get(session, image_id), error)
        render, name = (partial, "polish/studio") if is_htmx(request) else (page, "polish/show")
        return render(request, name, shown, status)
