"""Projects: the list, the form for a new one, the overview of one and its settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.collect import demo as demos
from app.contract.families import FAMILIES
from app.contract.purposes import PURPOSES, Purpose, PurposeKey
from app.errors import AppError, Invalid
from app.label.trigger import doubt_trigger, read_trigger, suggest_trigger
from app.next_step import NextStep, next_step, standing
from app.person import Person
from app.render import is_htmx, page, partial, size_text
from app.store import bases, images, projects, runs
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Base, Project, Run
from app.store.projects import ProjectCard, ProjectCounts
from app.wiring import OwnSettings, Store

router = APIRouter()

RECENT_RUNS = 5
COVERS = 12
# So many digits the store can no longer hold.
ID_DIGITS = 19
CHOOSE_LATER = ("", "Choose later")


class NewProject(BaseModel):
    """The form of a new project as texts."""

    name: str = ""
    purpose: str = ""
    trigger_word: str = ""
    base_id: str = ""


class Settings(BaseModel):
    """The form of a project's settings as texts."""

    name: str = ""
    trigger_word: str = ""
    base_id: str = ""


@dataclass(frozen=True)
class Listed:
    """A project in the list and what to do in it."""

    card: ProjectCard
    step: NextStep

    @property
    def cover_urls(self) -> list[str]:
        """Addresses of its first thumbnails."""
        return [f"/media/thumbs/{sha256}.webp" for sha256 in self.card.covers]


@dataclass(frozen=True)
class IndexPage:
    """The list of projects."""

    listed: Sequence[Listed]
    demos: Sequence[demos.Demo]


@dataclass(frozen=True)
class TriggerField:
    """The trigger word as typed, what speaks against it, and a made-up word to take instead."""

    trigger_word: str
    doubt: str
    suggestion: str
    trigger_error: str = ""


@dataclass(frozen=True)
class NewPage:
    """The form of a new project; trigger fields stand beside it since its partial is refreshed alone."""

    form: NewProject
    errors: dict[str, str]
    purposes: Sequence[Purpose]
    base_options: Sequence[tuple[str, str]]
    trigger_word: str
    doubt: str
    suggestion: str
    trigger_error: str


@dataclass(frozen=True)
class ShowPage:
    """The overview of a project."""

    project: Project
    purpose: Purpose
    counts: ProjectCounts
    step: NextStep
    covers: Sequence[ImageRow]
    runs: Sequence[Run]
    base: Base | None
    family_label: str
    form: Settings
    base_options: Sequence[tuple[str, str]]
    caption_url: str
    doubt: str
    attribution: str
    is_saved: bool = False
    section: str = ""
    errors: dict[str, str] = field(default_factory=dict)


@router.get("/")
def index(request: Request, store: Store) -> HTMLResponse:
    """List the projects, each with its one next step."""
    with read(store) as session:
        listed = [Listed(card, next_step(standing(session, card.id))) for card in projects.cards(session)]
        offered = [each for each in demos.DEMOS if not demos.project_of(session, each)]
    return page(request, "projects/index", IndexPage(listed, offered))


@router.post("/projects/demo")
def demo(settings: OwnSettings, store: Store, key: Annotated[str, Form()] = "") -> RedirectResponse:
    """Make a demo project, unless it is there, and lead to it."""
    project_id = demos.make(settings, store, demos.demo_of(key))
    return RedirectResponse(f"/projects/{project_id}", 303)


@router.get("/projects/new")
def new(request: Request, store: Store) -> HTMLResponse:
    """Show the form of a new project."""
    with read(store) as session:
        listed = bases.listed(session)
    first = next((row for row in listed if not row.is_bundled and not row.is_missing), None)
    form = NewProject(base_id=str(first.id) if first else "")
    return page(request, "projects/new", _new_page(form, listed, {}))


@router.get("/projects/trigger")
def trigger(request: Request, name: str = "", trigger_word: str = "") -> HTMLResponse:
    """Show the trigger word's field: with a made-up word to take, or what speaks against the word typed."""
    return partial(request, "projects/trigger", _trigger_field(name, trigger_word))


@router.post("/projects")
def create(request: Request, store: Store, form: Annotated[NewProject, Form()]) -> Response:
    """Make a project and go to its images; a form that cannot be used comes back with its messages."""
    errors: dict[str, str] = {}
    purpose = next((key for key in PURPOSES if key == form.purpose), None)
    if purpose is None:
        errors["purpose"] = "Choose what the LoRA is to learn."
    try:
        made = _create(store, form, purpose) if purpose else None
    except AppError as error:
        errors[error.field or "name"] = f"{error.message} {error.hint}".strip()
    else:
        if made:
            return _go(request, f"/projects/{made.id}/images")
    if not form.name.strip():
        errors.setdefault("name", "The project has no name. Give it one.")
    with read(store) as session:
        shown = _new_page(form, bases.listed(session), errors)
    return page(request, "projects/new", shown, status=422)


def _create(store: Store, form: NewProject, purpose: PurposeKey) -> Project:
    word = read_trigger(form.trigger_word)
    with write(store) as session:
        return projects.create(session, form.name, purpose, word, read_base_id(form.base_id))


@router.get("/projects/{project_id}")
def show(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show the overview: next step, counts, settings, recent runs."""
    with read(store) as session:
        project = projects.get(session, project_id)
        return page(request, "projects/show", _show_page(session, project, _settings_of(project), {}))


@router.post("/projects/{project_id}")
def update(
    request: Request, project_id: int, store: Store, person: Person, form: Annotated[Settings, Form()]
) -> Response:
    """Keep the settings; the form alone comes back to htmx, the overview to a plain form."""
    errors: dict[str, str] = {}
    try:
        with write(store) as session:
            old_name = projects.get(session, project_id).name
            changed = projects.update(
                session,
                project_id,
                person,
                name=form.name,
                trigger_word=read_trigger(form.trigger_word),
                base_id=read_base_id(form.base_id),
            )
    except Invalid as error:
        errors[error.field or "name"] = f"{error.message} {error.hint}".strip()
    except AppError as error:
        if error.field is None:
            raise
        errors[error.field] = f"{error.message} {error.hint}".strip()
    else:
        # The name stands in the page around the form too.
        if not is_htmx(request) or changed.name != old_name:
            return _go(request, f"/projects/{project_id}")
        form = _settings_of(changed)
    with read(store) as session:
        shown = _show_page(session, projects.get(session, project_id), form, errors, is_saved=not errors)
    status = 422 if errors else 200
    if is_htmx(request):
        return partial(request, "projects/settings", shown, status)
    return page(request, "projects/show", shown, status)


def read_base_id(text: str) -> int | None:
    """Turn a select's value into an id; '' is none. Raises Invalid for what is no id."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < ID_DIGITS):
        raise Invalid("This is no base model.", "Choose one from the list.", "base_id")
    return int(text)


def _go(request: Request, url: str) -> Response:
    """Lead to a page, from a plain form as from htmx."""
    return Response(status_code=204, headers={"HX-Redirect": url}) if is_htmx(request) else RedirectResponse(url, 303)


def _settings_of(project: Project) -> Settings:
    return Settings(name=project.name, trigger_word=project.trigger_word, base_id=str(project.base_id or ""))


def _trigger_field(name: str, trigger_word: str, error: str = "") -> TriggerField:
    word = trigger_word.strip()
    suggestion = suggest_trigger(name or word)
    return TriggerField(word, doubt_trigger(word), suggestion if suggestion != word else "", error)


def _new_page(form: NewProject, listed: Sequence[Base], errors: dict[str, str]) -> NewPage:
    shown = _trigger_field(form.name, form.trigger_word, errors.get("trigger_word", ""))
    return NewPage(
        form=form,
        errors=errors,
        purposes=tuple(PURPOSES.values()),
        base_options=base_options(listed, form.base_id),
        trigger_word=shown.trigger_word,
        doubt=shown.doubt,
        suggestion=shown.suggestion,
        trigger_error=shown.trigger_error,
    )


def _show_page(
    session: Session, project: Project, form: Settings, errors: dict[str, str], *, is_saved: bool = False
) -> ShowPage:
    counts = projects.counts(session, project.id)
    base = bases.get(session, project.base_id) if project.base_id else None
    return ShowPage(
        project=project,
        purpose=PURPOSES[project.purpose],
        counts=counts,
        step=next_step(standing(session, project.id)),
        covers=images.page(session, project.id, limit=COVERS),
        runs=runs.listed(session, project.id)[:RECENT_RUNS],
        base=base,
        family_label=FAMILIES[base.family].label if base else "",
        form=form,
        base_options=base_options(bases.listed(session), form.base_id),
        caption_url=f"/projects/{project.id}/captions",
        doubt=doubt_trigger(form.trigger_word.strip()),
        attribution=" ".join(each.attribution for each in demos.DEMOS if demos.stands_in(session, project.id, each)),
        is_saved=is_saved,
        errors=errors,
    )


def base_options(listed: Sequence[Base], chosen: str) -> list[tuple[str, str]]:
    """Value and words of each base that can be chosen; one that is gone stays while it is the chosen one."""
    shown = [row for row in listed if not row.is_missing or str(row.id) == chosen]
    return [CHOOSE_LATER, *((str(row.id), _base_words(row)) for row in shown)]


def _base_words(row: Base) -> str:
    facts = f"{FAMILIES[row.family].label}, {row.resolution_px} px, {size_text(row.size_bytes)}"
    return f"{row.name} · {'no longer there' if row.is_missing else facts}"
