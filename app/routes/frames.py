"""Frames of animations: which of them come in as images of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.collect.films import Choice, checked, frames_source, looked_at
from app.errors import Invalid
from app.person import Person
from app.render import page, partial
from app.store import animations, images, projects
from app.store.animations import Animation
from app.store.db import read
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Imports, Store

router = APIRouter()

# More than any project holds.
MAX_SELECTED = 200_000
SHOWN = 60
NUMBERS_SHOWN = 4
USUAL_MOST = 100


class FramesForm(BaseModel):
    """The form as texts; without an image it means every animation of the project."""

    image: list[int] = []
    every: str = "1"
    most: str = str(USUAL_MOST)
    skips_alike: str = ""
    takes_caption: str = ""


@dataclass(frozen=True)
class Outlook:
    """What would be looked at: how many of how many frames; the first and the last of them where it is one animation.

    `to_reach_end` is the step by which the last frame of the longest animation would be reached, 0 where it is.
    """

    looked_at: int
    frames: int
    animations: int
    numbers: Sequence[int] = ()
    last: int = 0
    to_reach_end: int = 0


@dataclass(frozen=True)
class ChoosePage:
    """The page to choose frames; `clips` are the first of the animations, `chosen` the ids that stand in the form."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    form: FramesForm
    clips: Sequence[Animation]
    chosen: Sequence[int]
    outlook: Outlook | None
    has_captions: bool
    errors: dict[str, str] = field(default_factory=dict)
    section: str = "images"


@router.get("/projects/{project_id}/frames")
def choose(
    request: Request, project_id: int, store: Store, image: Annotated[list[int] | None, Query()] = None
) -> HTMLResponse:
    """Show which frames of the images named, or of all animations, would come in."""
    with read(store) as session:
        found = _found(session, project_id, image or [])
        longest = max((each.frames for each in found), default=1)
        # So that the frames that are looked at reach the end.
        every = -(-longest // USUAL_MOST)
        form = FramesForm(image=image or [], every=str(every), skips_alike="1")
        return page(request, "frames/choose", _page(session, project_id, form))


@router.get("/images/{image_id}/frames")
def of_image(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show which frames of one image would come in."""
    with read(store) as session:
        project_id = images.get(session, image_id).project_id
    return choose(request, project_id, store, [image_id])


@router.get("/projects/{project_id}/frames/outlook")
def outlook(request: Request, project_id: int, store: Store, form: Annotated[FramesForm, Query()]) -> HTMLResponse:
    """Show what the numbers of the form mean, while they are typed."""
    with read(store) as session:
        return partial(request, "frames/outlook", {"outlook": _page(session, project_id, form).outlook})


@router.post("/projects/{project_id}/frames", form_limits={"max_fields": MAX_SELECTED})
def extract(
    request: Request,
    project_id: int,
    store: Store,
    imports: Imports,
    person: Person,
    form: Annotated[FramesForm, Form()],
) -> Response:
    """Begin the import of the frames. Raises Conflict while another import is under way."""
    try:
        choice = checked(_choice(form))
        with read(store) as session:
            ids = [each.image_id for each in _found(session, project_id, form.image)]
            source = frames_source(session, project_id, ids, choice)
    except Invalid as refusal:
        errors = {refusal.field or "image": f"{refusal.message} {refusal.hint}"}
        with read(store) as session:
            return page(request, "frames/choose", _page(session, project_id, form, errors), 422)
    return RedirectResponse(f"/imports/{imports.start_source(project_id, source, person)}", 303)


def _found(session: Session, project_id: int, image_ids: Sequence[int]) -> list[Animation]:
    if not image_ids:
        return animations.animations(session, project_id)
    return [each for each in animations.by_id(session, image_ids) if each.project_id == project_id]


def _choice(form: FramesForm) -> Choice:
    return Choice(
        every=_number(form.every, "every"),
        most=_number(form.most, "most"),
        skips_alike=bool(form.skips_alike),
        takes_caption=bool(form.takes_caption),
    )


def _number(text: str, name: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit() and len(text.strip()) < 10):
        raise Invalid(f"{text.strip()[:20] or 'Nothing'} is no whole number.", "Give 1 or more.", name)
    return int(text)


def _page(session: Session, project_id: int, form: FramesForm, errors: dict[str, str] | None = None) -> ChoosePage:
    found = _found(session, project_id, form.image)
    return ChoosePage(
        project=projects.get(session, project_id),
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/captions",
        form=form,
        clips=found[:SHOWN],
        chosen=[each.image_id for each in found] if form.image else [],
        outlook=_outlook(found, form),
        has_captions=any(each.caption is not None for each in found),
        errors=errors or {},
    )


def _outlook(found: Sequence[Animation], form: FramesForm) -> Outlook | None:
    """What the form means, or None while its numbers mean nothing."""
    try:
        choice = checked(_choice(form))
    except Invalid:
        return None
    seen = [looked_at(each.frames, choice) for each in found]
    longest = max((each.frames for each in found), default=1)
    cut = any(numbers and numbers[-1] + choice.every <= each.frames for numbers, each in zip(seen, found, strict=True))
    return Outlook(
        looked_at=sum(map(len, seen)),
        frames=sum(each.frames for each in found),
        animations=len(found),
        numbers=tuple(seen[0][:NUMBERS_SHOWN]) if len(found) == 1 else (),
        last=seen[0][-1] if len(found) == 1 and len(seen[0]) > NUMBERS_SHOWN else 0,
        to_reach_end=-(-longest // choice.most) if cut else 0,
    )
