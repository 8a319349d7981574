"""The history of a project's dataset: steps, named versions, what differs between two, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.errors import AppError, Conflict, Invalid, NotFound
from app.person import person_of
from app.render import page
from app.store import history, projects, recipe_words, undo, versions
from app.store.db import read, write
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.store.versions import Difference, PastStep
from app.wiring import Store

router = APIRouter()

SHOWN = 200
NOW = "now"
# In words for one image and for several.
VERBS = {
    "save": ("Caption changed", "Captions changed"),
    "bytes": ("Caption changed", "Captions changed"),
    "import": ("Caption imported", "Captions imported"),
    "add": ("Image added", "Images added"),
    "remove": ("Image removed", "Images removed"),
    "repeats": ("Repeats changed", "Repeats changed"),
    "weight": ("Weight changed", "Weights changed"),
    "split": ("Split changed", "Splits changed"),
    "recipe": ("Recipe changed", "Recipes changed"),
    "reviewed_by": ("Review mark changed", "Review marks changed"),
    "name": ("Name changed", "Names changed"),
    "provenance": ("Source or licence changed", "Sources and licences changed"),
}


@dataclass(frozen=True)
class Point:
    """A point that can be compared: a version, the dataset of a run, or now; `history_id` is where it stands."""

    key: str
    name: str
    note: str
    history_id: int
    at_s: float
    is_version: bool


@dataclass(frozen=True)
class StepLine:
    """One step of the history in words."""

    words: str
    images: int
    by: str
    at_s: float
    mark: str
    image_id: int
    name: str


@dataclass(frozen=True)
class VersionsPage:
    """The page of a project's history."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    points: Sequence[Point]
    steps: Sequence[StepLine]
    undo_words: str
    redo_words: str
    name: str
    errors: dict[str, str]
    section: str = "captions"


@dataclass(frozen=True)
class ComparePage:
    """What differs from one point to another."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    points: Sequence[Point]
    before: Point
    after: Point
    totals: dict[str, int]
    shown: Sequence[Difference]
    section: str = "captions"


@router.get("/projects/{project_id}/versions")
def index(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show the versions and the latest steps."""
    with read(store) as session:
        return page(request, "versions/index", _page(session, project_id))


@router.post("/projects/{project_id}/versions")
def save(request: Request, project_id: int, store: Store, name: Annotated[str, Form()] = "") -> Response:
    """Give the present dataset a name."""
    try:
        with write(store) as session:
            projects.get(session, project_id)
            versions.save(session, project_id, name, person_of(request))
    except (Invalid, Conflict) as refusal:
        return _refused(request, store, project_id, name, refusal)
    return RedirectResponse(f"/projects/{project_id}/versions", 303)


@router.get("/projects/{project_id}/versions/compare")
def compare(request: Request, project_id: int, store: Store, before: str = "", after: str = NOW) -> HTMLResponse:
    """Show what differs between two points; without a first one, the newest version. Raises NotFound."""
    with read(store) as session:
        points = _points(session, project_id)
        old = _point(points, before or next((each.key for each in points if each.key != NOW), NOW))
        new = _point(points, after)
        found = versions.differences(
            versions.state_at(session, project_id, old.history_id),
            versions.state_at(session, project_id, new.history_id),
        )
        shown = ComparePage(
            project=projects.get(session, project_id),
            counts=projects.counts(session, project_id),
            caption_url=f"/projects/{project_id}/captions",
            points=points,
            before=old,
            after=new,
            totals={
                kind: sum(1 for each in found if each.kind == kind) for kind in ("added", "removed", "caption", "field")
            },
            shown=found[:SHOWN],
        )
        return page(request, "versions/compare", shown)


@router.post("/projects/{project_id}/versions/restore")
def restore(request: Request, project_id: int, store: Store, point: Annotated[str, Form()] = "") -> Response:
    """Make the dataset what it was at a point, as one step that can be undone. Raises NotFound."""
    with read(store) as session:
        found = _point(_points(session, project_id), point)
    versions.restore(store, project_id, found.history_id, person_of(request))
    return RedirectResponse(f"/projects/{project_id}/versions", 303)


@router.post("/projects/{project_id}/versions/undo")
def step_back(request: Request, project_id: int, store: Store) -> Response:
    """Undo the latest step, from this page."""
    return _travel(request, store, project_id, is_redo=False)


@router.post("/projects/{project_id}/versions/redo")
def step_forth(request: Request, project_id: int, store: Store) -> Response:
    """Do again what was undone last, from this page."""
    return _travel(request, store, project_id, is_redo=True)


def _travel(request: Request, store: Store, project_id: int, *, is_redo: bool) -> Response:
    try:
        with read(store) as session:
            projects.get(session, project_id)
        undo.travel(store, project_id, person_of(request), "redo" if is_redo else "undo")
    except Conflict as refusal:
        refusal.field = "undo"
        return _refused(request, store, project_id, "", refusal)
    return RedirectResponse(f"/projects/{project_id}/versions", 303)


def _refused(request: Request, store: Store, project_id: int, name: str, refusal: AppError) -> HTMLResponse:
    errors = {refusal.field or "name": f"{refusal.message} {refusal.hint}"}
    with read(store) as session:
        return page(request, "versions/index", _page(session, project_id, name, errors), 422)


def _page(session: Session, project_id: int, name: str = "", errors: dict[str, str] | None = None) -> VersionsPage:
    project = projects.get(session, project_id)
    back, forth = undo.offers(session, project_id)
    steps = versions.past_steps(session, project_id)
    told = recipe_words.of_steps(session, project_id, [each.history_id for each in steps if each.verb == "recipe"])
    return VersionsPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/captions",
        points=_points(session, project_id),
        steps=[_line(each, told.get(each.history_id, "")) for each in steps],
        undo_words=back.words if back else "",
        redo_words=forth.words if forth else "",
        name=name,
        errors=errors or {},
    )


def _points(session: Session, project_id: int) -> list[Point]:
    projects.get(session, project_id)
    now = Point(NOW, "Now", "", history.newest(session, project_id), 0.0, False)
    named = [
        Point(f"v{each.id}", each.name, f"by {each.by}", each.history_id, each.at_us / 1e6, True)
        for each in versions.listed(session, project_id)
    ]
    trained = [
        Point(f"r{each.id}", f"Run {each.name}", "what it trained on", each.history_id, each.created_us / 1e6, False)
        for each in versions.runs_of(session, project_id)
    ]
    return [now, *sorted([*named, *trained], key=lambda each: -each.at_s)]


def _point(points: Sequence[Point], key: str) -> Point:
    found = next((each for each in points if each.key == key), None)
    if found is None:
        raise NotFound("There is no such version in this project.", "Choose one from the list.")
    return found


def _line(step: PastStep, told: str) -> StepLine:
    mark = "Undone" if step.is_undo else "Done again" if step.is_redo else ""
    words = VERBS.get(step.verb, (step.verb.capitalize(),) * 2)[step.images > 1]
    words = f"{told[0].upper()}{told[1:]}" if told else words
    name = step.name if step.images == 1 else ""
    return StepLine(words, step.images, step.by, step.at_us / 1e6, mark, step.image_id, name)
