"""JSON for the same nouns as the pages, and the page that documents it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from app.errors import Invalid
from app.facts import (
    BaseFacts,
    ImageFacts,
    ProjectFacts,
    RunFacts,
    base_facts,
    image_facts,
    project_facts,
    run_facts,
)
from app.launch import start
from app.launch.again import go_on
from app.launch.draft import draft, refused
from app.launch.gpu import gpu_bytes
from app.launch.subject import subject_of
from app.render import page
from app.store import bases, captions, images, projects, runs
from app.store.db import read, write
from app.wiring import OwnSettings, Store

router = APIRouter(tags=["api"])

METHODS = ("get", "post", "put", "delete")


class ProjectInput(BaseModel):
    """A project to make."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    purpose: Literal["style", "character", "concept"]
    trigger_word: str = ""
    base_id: int | None = None


class CaptionInput(BaseModel):
    """A caption to keep."""

    text: Annotated[str, Field(max_length=100_000)]


class RunInput(BaseModel):
    """A training run to queue: preset, base and settings by dotted key, as texts."""

    preset: str | None = None
    base_id: int | None = None
    settings: dict[str, str] = {}


@router.get("/api/projects")
def list_projects(store: Store) -> list[ProjectFacts]:
    """List all projects."""
    with read(store) as session:
        return [project_facts(session, projects.get(session, card.id)) for card in projects.cards(session)]


@router.post("/api/projects", status_code=201)
def create_project(store: Store, new: ProjectInput) -> ProjectFacts:
    """Make a project."""
    with write(store) as session:
        made = projects.create(session, new.name, new.purpose, new.trigger_word, new.base_id)
        return project_facts(session, made)


@router.get("/api/projects/{project_id}")
def get_project(store: Store, project_id: int) -> ProjectFacts:
    """Get one project."""
    with read(store) as session:
        return project_facts(session, projects.get(session, project_id))


@router.get("/api/projects/{project_id}/images")
def list_images(
    store: Store, project_id: int, after_id: int = 0, limit: Annotated[int, Field(ge=1, le=1000)] = 200
) -> list[ImageFacts]:
    """List images in order, those behind the image after_id."""
    with read(store) as session:
        trigger_word = projects.get(session, project_id).trigger_word
        return [image_facts(row, trigger_word) for row in images.page(session, project_id, after_id, limit)]


@router.put("/api/images/{image_id}/caption")
def put_caption(store: Store, image_id: int, new: CaptionInput) -> ImageFacts:
    """Set the caption of an image."""
    with write(store) as session:
        captions.save(session, image_id, new.text, "api")
        row = images.get(session, image_id)
        return image_facts(row, projects.get(session, row.project_id).trigger_word)


@router.get("/api/bases")
def list_bases(store: Store) -> list[BaseFacts]:
    """List base models."""
    with read(store) as session:
        return [base_facts(row) for row in bases.listed(session)]


@router.get("/api/runs")
def list_runs(store: Store, settings: OwnSettings, project_id: int | None = None) -> list[RunFacts]:
    """List runs, of one project or all."""
    with read(store) as session:
        listed = list(runs.listed(session, project_id))
    return [run_facts(settings, run) for run in listed]


@router.get("/api/runs/{run_id}")
def get_run(store: Store, settings: OwnSettings, run_id: int) -> RunFacts:
    """Get one run with its state."""
    with read(store) as session:
        run = runs.get(session, run_id)
    return run_facts(settings, run)


@router.post("/api/projects/{project_id}/runs", status_code=201)
def create_run(store: Store, settings: OwnSettings, project_id: int, new: RunInput) -> RunFacts:
    """Queue a training run."""
    with read(store) as session:
        base_id = new.base_id or projects.get(session, project_id).base_id
        if base_id is None:
            raise Invalid("The project has no base model.", "Give base_id.", field="base_id")
        subject = subject_of(session, project_id, bases.get(session, base_id))
    made = draft(subject, new.preset, new.settings)
    if made.spec is None:
        raise refused(made)
    return run_facts(settings, start.start_training(settings, store, project_id, made.spec))


@router.post("/api/runs/{run_id}/stop", status_code=202)
def stop_run(store: Store, settings: OwnSettings, run_id: int) -> RunFacts:
    """Ask a run to stop; it saves first."""
    start.stop(settings, store, run_id)
    return get_run(store, settings, run_id)


@router.post("/api/runs/{run_id}/again", status_code=202)
def run_again(store: Store, settings: OwnSettings, run_id: int, lean: bool = False) -> RunFacts:
    """Let a run that failed or was stopped go on from its last checkpoint, on request with less memory."""
    go_on(settings, store, run_id, is_lean=lean, gpu_bytes=gpu_bytes())
    return get_run(store, settings, run_id)


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The JSON interface in words, drawn from its own OpenAPI description."""
    description: dict[str, Any] = request.app.openapi()
    operations = [
        {"path": path, "method": method.upper(), **entry[method]}
        for path, entry in description["paths"].items()
        if path.startswith("/api/")
        for method in METHODS
        if method in entry
    ]
    schemas = description.get("components", {}).get("schemas", {})
    return page(request, "api/docs", {"operations": operations, "schemas": schemas})
