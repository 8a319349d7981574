"""Runs: the lists, and the page of one run, whose every region is a partial with an address of its own."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy import Engine

from app.config import Settings
from app.contract.spec import AnySpec, MaskSpec, RunKind, TagSpec, TrainSpec
from app.contract.state import RunState, read_state
from app.errors import AppError, NotFound
from app.facts import recent_loss
from app.launch import start
from app.launch.again import Offer, go_on, offer
from app.launch.gpu import gpu_bytes
from app.launch.start import read_settings, run_dir, slug
from app.render import page, partial
from app.review.grid import Grid, build, sweep
from app.store import projects, runs
from app.store.db import read
from app.store.models import Project, Run
from app.store.projects import ProjectCounts
from app.store.workers import live_workers
from app.watch import (
    ACTIVE,
    ListedRun,
    Point,
    Queue,
    answer_count,
    extent,
    log_tail,
    newest_first,
    picture_count,
    queue_of,
    settings_of,
    status_word,
    thin,
    took_s,
)
from app.wiring import OwnSettings, Store

router = APIRouter()

PAGE_ROWS = 50
CHART_POINTS = 2000
SAMPLE_COLUMNS = 12
ROOMS: dict[RunKind, str] = {"tag": "suggestions", "mask": "subjects"}
SECTIONS: dict[RunKind, str] = {"train": "runs", "render": "review", "tag": "captions", "mask": "images"}


@dataclass(frozen=True)
class RunList:
    """The runs of one project or all, newest first; `older` is the id to go on behind, if there are more."""

    project: Project | None
    counts: ProjectCounts | None
    section: str
    area: str
    rows: tuple[ListedRun, ...]
    before: int | None
    older: int | None
    caption_url: str | None


@dataclass(frozen=True)
class RunPage:
    """One run: its row, its settings, and its state folded from the events so far; `answers` are a tag run's."""

    run: Run
    project: Project
    counts: ProjectCounts
    section: str
    parent: Run | None
    spec: AnySpec
    settings: dict[str, str]
    state: RunState
    status: str
    queue: Queue
    is_stopping: bool
    done: int
    total: int
    loss: float | None
    took_s: float | None
    grid: Grid
    hidden_columns: int
    pictures: int
    log_text: str
    answers: int
    caption_url: str
    room: str
    offer: Offer | None


class LossCurve(BaseModel):
    """Loss by step behind the step that was asked for, and the steps of the checkpoints."""

    points: list[Point]
    checkpoints: list[int]


def read_page(run_id: int, store: Store, settings: OwnSettings) -> RunPage:
    """Read all that the page of a run shows. Raises NotFound, also when the run's folder is gone."""
    with read(store) as session:
        run = runs.get(session, run_id)
        project = projects.get(session, run.project_id)
        counts = projects.counts(session, run.project_id)
        parent = runs.get(session, run.parent_id) if run.parent_id else None
        listed = runs.listed(session)
    folder = run_dir(settings, run)
    spec = read_settings(folder, run.name)
    state = read_state(folder.events)
    grid, hidden = sweep(run.id, state, {}), 0
    if isinstance(spec, TrainSpec):
        grid, hidden = newest_first(build(run.id, state, {}), SAMPLE_COLUMNS)
    done, total = extent(state, spec)
    return RunPage(
        run=run,
        project=project,
        counts=counts,
        section=SECTIONS[run.kind],
        parent=parent,
        spec=spec,
        settings=settings_of(spec),
        state=state,
        status=status_word(state),
        queue=queue_of(run, listed, live_workers(settings.data)),
        is_stopping=folder.stop.exists() and not state.is_over,
        done=done,
        total=total,
        loss=recent_loss(state),
        took_s=took_s(run),
        grid=grid,
        hidden_columns=hidden,
        pictures=picture_count(folder),
        log_text=log_tail(folder),
        answers=answer_count(folder) if run.kind in ("tag", "mask") and state.is_over else 0,
        caption_url=f"/projects/{project.id}/captions",
        room=ROOMS.get(run.kind, ""),
        offer=offer(folder, spec, state, gpu_bytes()),
    )


Read = Annotated[RunPage, Depends(read_page)]


@router.get("/runs")
def index(request: Request, store: Store, settings: OwnSettings, before: int | None = None) -> Response:
    """List the runs of all projects."""
    return page(request, "runs/index", _list(store, settings, None, before))


@router.get("/projects/{project_id}/runs")
def project_index(
    request: Request, project_id: int, store: Store, settings: OwnSettings, before: int | None = None
) -> Response:
    """List the runs of one project."""
    return page(request, "runs/project_index", _list(store, settings, project_id, before))


@router.get("/runs/list")
def listing(
    request: Request, store: Store, settings: OwnSettings, project: int | None = None, before: int | None = None
) -> Response:
    """Draw the list again."""
    return partial(request, "runs/listing", _list(store, settings, project, before))


@router.get("/runs/{run_id}")
def show(request: Request, this: Read) -> Response:
    """Show a run as it stands; its stream goes on from there."""
    return page(request, "runs/show", this)


@router.get("/runs/{run_id}/progress")
def progress(request: Request, this: Read) -> Response:
    """Draw the state, the figures and what to do."""
    return partial(request, "runs/progress", this)


@router.get("/runs/{run_id}/chart")
def chart(request: Request, this: Read) -> Response:
    """Draw the frame of the loss chart, which reads `losses`. Raises NotFound for a run that learns nothing."""
    if not isinstance(this.spec, TrainSpec):
        raise NotFound(f"{this.run.name} learns nothing, so it has no loss.", "See its own page.")
    return partial(request, "runs/chart", this)


@router.get("/runs/{run_id}/samples")
def samples(request: Request, this: Read) -> Response:
    """Draw the sample images. Raises NotFound for a run that draws none."""
    if isinstance(this.spec, TagSpec | MaskSpec):
        raise NotFound(f"{this.run.name} draws no images.", "See the project's suggestions.")
    return partial(request, "runs/samples", this)


@router.get("/runs/{run_id}/answers")
def answers(request: Request, this: Read) -> Response:
    """Draw what a model said. Raises NotFound for a run that asks none."""
    if not isinstance(this.spec, TagSpec | MaskSpec):
        raise NotFound(f"{this.run.name} asks no model what it sees.", "See its own page.")
    return partial(request, "runs/answers", this)


@router.get("/runs/{run_id}/checkpoints")
def checkpoints(request: Request, this: Read) -> Response:
    """Draw the list of checkpoints. Raises NotFound for a run that saves none."""
    if not isinstance(this.spec, TrainSpec):
        raise NotFound(f"{this.run.name} draws images and saves no checkpoints.", "See its training run.")
    return partial(request, "runs/checkpoints", this)


@router.get("/runs/{run_id}/log")
def log(request: Request, this: Read) -> Response:
    """Draw the end of what the run printed."""
    return partial(request, "runs/log", this)


@router.get("/runs/{run_id}/losses")
def losses(run_id: int, store: Store, settings: OwnSettings, after: Annotated[int, Query(ge=0)] = 0) -> LossCurve:
    """Give the loss curve behind a step, thinned to at most two thousand points."""
    with read(store) as session:
        run = runs.get(session, run_id)
    state = read_state(run_dir(settings, run).events)
    points = [(step, loss) for step, loss in state.losses if step > after]
    return LossCurve(points=thin(points, CHART_POINTS), checkpoints=[saved.step for saved in state.checkpoints])


@router.post("/runs/{run_id}/stop")
def stop(request: Request, run_id: int, store: Store, settings: OwnSettings) -> Response:
    """Ask the run to save and stop."""
    start.stop(settings, store, run_id)
    return partial(request, "runs/progress", read_page(run_id, store, settings))


@router.post("/runs/{run_id}/again")
def again(run_id: int, store: Store, settings: OwnSettings, lean: Annotated[bool, Form()] = False) -> Response:
    """Let a run that failed or was stopped go on from its last checkpoint, on request with less memory."""
    go_on(settings, store, run_id, is_lean=lean, gpu_bytes=gpu_bytes())
    return RedirectResponse(f"/runs/{run_id}", 303)


@router.get("/runs/{run_id}/checkpoints/{step}/lora.safetensors")
def lora(run_id: int, step: int, store: Store, settings: OwnSettings) -> FileResponse:
    """Hand a checkpoint's LoRA over, under a name that says which it is."""
    with read(store) as session:
        run = runs.get(session, run_id)
    folder = run_dir(settings, run)
    saved = [saved for saved in read_state(folder.events).checkpoints if saved.step == step]
    path = folder.inside(saved[0].path) if saved else None
    if path is None:
        raise NotFound(f"{run.name} has no checkpoint at step {step}.", "See the run's page for those it has.")
    name = f"{slug(run.name)}-step-{step:06d}.safetensors"
    return FileResponse(path, media_type="application/octet-stream", filename=name)


def _list(store: Engine, settings: Settings, project_id: int | None, before: int | None) -> RunList:
    with read(store) as session:
        project = projects.get(session, project_id) if project_id is not None else None
        counts = projects.counts(session, project_id) if project_id is not None else None
        found = [run for run in runs.listed(session, project_id) if before is None or run.id < before]
        names = {run.project_id: projects.get(session, run.project_id).name for run in found[:PAGE_ROWS]}
    shown = found[:PAGE_ROWS]
    return RunList(
        project=project,
        counts=counts,
        section="runs",
        area="projects" if project else "runs",
        rows=tuple(_row(settings, run, names[run.project_id]) for run in shown),
        before=before,
        older=shown[-1].id if len(found) > PAGE_ROWS else None,
        caption_url=f"/projects/{project.id}/captions" if project else None,
    )


def _row(settings: Settings, run: Run, project_name: str) -> ListedRun:
    folder = run_dir(settings, run)
    saved = sum(path.name.startswith("step-") for path in folder.checkpoints.glob("*"))
    try:
        spec = read_settings(folder, run.name) if run.status in ACTIVE else None
    except AppError:
        # Its own page says what is wrong with it; the list goes on.
        spec = None
    if spec is None:
        return ListedRun(run, project_name, run.status, 0, 0, took_s(run), saved)
    state = read_state(folder.events)
    done, total = extent(state, spec)
    return ListedRun(run, project_name, status_word(state), done, total, took_s(run), len(state.checkpoints))
