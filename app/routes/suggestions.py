"""Suggestions of a project: ask a model, see what it said, and settle where captions and models disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.files import full_path
from app.config import Settings
from app.contract.endpoint import EndpointError, read_endpoint
from app.errors import AppError, Invalid
from app.label import taggers
from app.label.taggers import OFFERS, FoundTagger, Offer
from app.launch.tag_draft import TagDraft, draft
from app.launch.tag_start import Trial, start_tagging, try_on
from app.polish.addresses import thumb_url
from app.render import is_htmx, page, partial
from app.store import images, projects, runs, suggestions
from app.store import settings as choices
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Project, Run
from app.store.projects import ProjectCounts
from app.wiring import OwnSettings, Store

router = APIRouter()

FOLDER_KEY = "tagger-folder"
KEPT = ("address", "endpoint_model", "prompt")
SHOWN_RUNS = 10
TRIED_FROM = 40


@dataclass(frozen=True)
class TagRun:
    """A tag run as the page lists it; `count` is how many suggestions it left."""

    run: Run
    count: int


@dataclass(frozen=True)
class IndexPage:
    """The whole page, of which partials show parts.

    `home` is our own folder of models; `is_busy`: a tag run waits or works.
    """

    project: Project
    counts: ProjectCounts
    caption_url: str
    found: Sequence[FoundTagger]
    home: str
    folder: str
    folder_error: str
    draft: TagDraft
    models: Sequence[str]
    samples: Sequence[ImageRow]
    sample_id: int
    tag_runs: Sequence[TagRun]
    is_busy: bool
    offers: Sequence[Offer]
    section: str = "captions"


@dataclass(frozen=True)
class TrialShown:
    """A model's answer to one image, beside it."""

    trial: Trial
    row: ImageRow
    thumb: str
    model: str


async def read_form(request: Request) -> dict[str, str]:
    """The texts of a form that may be anything."""
    return {key: value for key, value in (await request.form()).items() if isinstance(value, str)}


Texts = Annotated[dict[str, str], Depends(read_form)]


@router.get("/projects/{project_id}/suggestions")
def index(request: Request, project_id: int, store: Store, settings: OwnSettings, image: int = 0) -> Response:
    """Show which models can be asked, what they said, and where captions and models disagree."""
    with read(store) as session:
        return page(request, "suggestions/index", _unasked(_read(session, settings, project_id, {}, image)))


@router.get("/projects/{project_id}/suggestions/form")
def form(
    request: Request,
    project_id: int,
    store: Store,
    settings: OwnSettings,
    model: str = "",
    image: int = 0,
) -> Response:
    """Draw the form anew for another model."""
    with read(store) as session:
        shown = _unasked(_read(session, settings, project_id, {"model": model}, image))
        return partial(request, "suggestions/form", shown)


@router.get("/projects/{project_id}/suggestions/runs")
def listing(request: Request, project_id: int, store: Store, settings: OwnSettings) -> Response:
    """Draw the list of tag runs; polled while one works."""
    with read(store) as session:
        return partial(request, "suggestions/runs", _read(session, settings, project_id, {}))


@router.post("/projects/{project_id}/suggestions/models")
def models(request: Request, project_id: int, store: Store, settings: OwnSettings, texts: Texts) -> Response:
    """Ask the typed address which models it serves."""
    told: list[str] = []
    error = ""
    try:
        told = read_endpoint(texts.get("address", "")).models()
        if not told:
            error = "It answers, but lists no model. Load one there first."
    except EndpointError as refusal:
        error = f"{refusal.message} {refusal.hint}"
    with read(store) as session:
        shown = _read(session, settings, project_id, texts)
    # What was not asked about yet is no mistake yet.
    values = dict(shown.draft.values)
    if told and values["endpoint_model"] not in told:
        values["endpoint_model"] = told[0]
    asked = replace(shown.draft, values=values, errors={"address": error} if error else {})
    return _form(request, replace(shown, draft=asked, models=told), 422 if error else 200)


@router.post("/projects/{project_id}/suggestions/try")
def attempt(request: Request, project_id: int, store: Store, settings: OwnSettings, texts: Texts) -> Response:
    """Show one image to the model, by the same path as a whole run."""
    with read(store) as session:
        shown = _read(session, settings, project_id, texts, _number(texts.get("image", "")))
        row = images.get(session, shown.sample_id) if shown.sample_id else None
    if shown.draft.spec is None:
        return _form(request, shown, 422)
    if row is None or row.project_id != project_id:
        raise Invalid("There is no image to try it on.", "Add images first.")
    _keep(store, shown.draft)
    trial = try_on(settings, row, shown.draft.spec)
    return partial(request, "suggestions/trial", TrialShown(trial, row, thumb_url(row), shown.draft.spec.model))


@router.post("/projects/{project_id}/suggestions")
def create(request: Request, project_id: int, store: Store, settings: OwnSettings, texts: Texts) -> Response:
    """Queue a tag run and show it."""
    with read(store) as session:
        shown = _read(session, settings, project_id, texts)
    if shown.draft.spec is None:
        return _form(request, shown, 422)
    _keep(store, shown.draft)
    try:
        run = start_tagging(settings, store, project_id, shown.draft.spec, shown.draft.scope)
    except Invalid as error:
        refused = replace(shown.draft, errors={error.field or "scope": f"{error.message} {error.hint}"})
        return _form(request, replace(shown, draft=refused), 422)
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": f"/runs/{run.id}"})
    return RedirectResponse(f"/runs/{run.id}", 303)


@router.post("/projects/{project_id}/suggestions/folder")
def look(
    request: Request, project_id: int, store: Store, settings: OwnSettings, folder: Annotated[str, Form()] = ""
) -> Response:
    """Remember a folder with models, and look there."""
    error = ""
    typed = folder.strip().strip("\"'")
    path = full_path(typed)
    if not typed or not path.is_absolute():
        error = "Give the folder's full path, from its root on."
    elif not path.is_dir():
        error = f"{typed} is not a folder on the computer that runs LoRA Studio. Give the full path of one that is."
    if not error:
        with write(store) as session:
            choices.put(session, FOLDER_KEY, str(path))
        return RedirectResponse(f"/projects/{project_id}/suggestions#models", 303)
    with read(store) as session:
        shown = replace(_unasked(_read(session, settings, project_id, {})), folder=typed, folder_error=error)
    return page(request, "suggestions/index", shown, 422)


def _form(request: Request, shown: IndexPage, status: int) -> Response:
    if is_htmx(request):
        # A refused try or start answers with the form, wherever its own answer would have gone.
        answer = partial(request, "suggestions/form", shown, status)
        answer.headers.update({"HX-Retarget": "#ask", "HX-Reswap": "outerMorph"})
        return answer
    return page(request, "suggestions/index", shown, status)


def _read(
    session: Session, settings: Settings, project_id: int, texts: Mapping[str, str], image_id: int = 0
) -> IndexPage:
    project = projects.get(session, project_id)
    folder = choices.get(session, FOLDER_KEY, "")
    home = settings.data / "taggers"
    found = taggers.find([home, *([Path(folder)] if folder else [])])
    kept = {key: text for key in KEPT if (text := choices.get(session, f"tagger-{key}", ""))}
    left = suggestions.of_runs(session, project_id)
    tag_runs = [run for run in runs.listed(session, project_id) if run.kind == "tag"][:SHOWN_RUNS]
    samples = images.page(session, project_id, 0, TRIED_FROM)
    if image_id and all(row.id != image_id for row in samples):
        samples = [row for row in _one(session, image_id) if row.project_id == project_id] + samples
    return IndexPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/label",
        found=found,
        home=str(home),
        folder=folder,
        folder_error="",
        draft=draft(project.name, project.trigger_word, found, texts, kept),
        models=(),
        samples=samples,
        sample_id=image_id if any(row.id == image_id for row in samples) else samples[0].id if samples else 0,
        tag_runs=[TagRun(run, left.get(run.id, 0)) for run in tag_runs],
        is_busy=any(run.status in ("queued", "running") for run in tag_runs),
        offers=OFFERS,
    )


def _unasked(shown: IndexPage) -> IndexPage:
    """What nobody has filled in yet is no mistake yet."""
    return replace(shown, draft=replace(shown.draft, errors={}))


def _one(session: Session, image_id: int) -> list[ImageRow]:
    try:
        return [images.get(session, image_id)]
    except AppError:
        return []


def _keep(store: Engine, used: TagDraft) -> None:
    """Remember what was typed for the next time."""
    keys = KEPT if used.is_endpoint else ("prompt",) if used.follows_prompt else ()
    with write(store) as session:
        for key in keys:
            choices.put(session, f"tagger-{key}", used.values[key])


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
