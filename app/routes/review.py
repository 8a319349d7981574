"""The review: every prompt at every checkpoint beside the baseline, verdicts on samples, and strength sweeps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.config import Settings
from app.contract.spec import AnySpec, RenderSpec, TrainSpec
from app.contract.state import RunState, read_state
from app.errors import Invalid, NotFound
from app.launch.start import STRENGTHS, read_settings, run_dir, start_sweep
from app.render import page, partial
from app.review.grid import Cell, Column, Grid, build
from app.review.grid import sweep as sweep_grid
from app.store import images, projects, runs, verdicts
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Choice, Project, Run
from app.store.projects import ProjectCounts
from app.store.verdicts import VerdictKey
from app.store.workers import live_workers
from app.watch import Queue, extent, queue_of, status_word
from app.wiring import OwnSettings, Store

router = APIRouter()

# Images of the project that stand beside the samples, to see whether one is copied.
TAUGHT = 24
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)


@dataclass(frozen=True)
class Sheet:
    """A run laid out for review: its grid with the verdicts, and how far it is."""

    run: Run
    spec: AnySpec
    state: RunState
    status: str
    queue: Queue
    grid: Grid
    done: int
    total: int

    @property
    def best(self) -> Cell | None:
        """The one sample marked best."""
        return next((cell for row in self.grid.rows for cell in row.cells if cell.choice == "best"), None)

    @property
    def prompts(self) -> tuple[str, ...]:
        """What it draws."""
        spec = self.spec
        return tuple(each.text for each in spec.sampling.prompts) if isinstance(spec, (TrainSpec, RenderSpec)) else ()

    @property
    def saved_steps(self) -> tuple[int, ...]:
        """The steps that have a LoRA file."""
        return tuple(saved.step for saved in self.state.checkpoints)


@dataclass(frozen=True)
class SweepForm:
    """The form of a strength sweep as texts, and what is wrong with a field of it."""

    step: int | None
    strengths: str
    prompts: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReviewPage:
    """The review of one training run; `sheet` is None while the project has none."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    trainings: Sequence[Run]
    sheet: Sheet | None
    sweeps: Sequence[Run]
    sweep: Sheet | None
    form: SweepForm
    taught: Sequence[ImageRow]
    section: str = "review"


@dataclass(frozen=True)
class Judged:
    """What a verdict changed: the cell, the cell that was best before, and the heads of their columns."""

    sheet: Sheet
    cell: Cell
    column: Column
    baseline: Cell | None
    others: Sequence[tuple[Cell, Column, Cell | None]]


class SampleForm(BaseModel):
    """Names a sample of a run."""

    step: int
    prompt_index: int
    seed: int
    strength_pct: int

    def key(self, run_id: int) -> VerdictKey:
        """The sample's natural key."""
        return VerdictKey(run_id, self.step, self.prompt_index, self.seed, self.strength_pct)


class VerdictForm(SampleForm):
    """A verdict on a sample: no choice takes it back, no note leaves the note as it is."""

    choice: Literal["keep", "reject", "best", ""]
    note: Annotated[str | None, Field(max_length=verdicts.MAX_NOTE)] = None


async def sent_verdict(request: Request) -> VerdictForm:
    """Read a verdict as sent: here an empty text is a choice, not an absent field."""
    try:
        return VerdictForm.model_validate(dict(await request.form()))
    except ValidationError as refused:
        raise RequestValidationError(refused.errors()) from None


@router.get("/projects/{project_id}/review")
def show(
    request: Request,
    project_id: int,
    store: Store,
    settings: OwnSettings,
    run: int | None = None,
    sweep: int | None = None,
) -> Response:
    """Show the review of a training run, the newest with samples unless one is named."""
    return page(request, "review/show", _read_page(store, settings, project_id, run, sweep))


@router.get("/runs/{run_id}/grid")
def grid(request: Request, run_id: int, store: Store, settings: OwnSettings) -> Response:
    """Draw the grid of a training run again."""
    sheet = _read_sheet(store, settings, run_id)
    if not isinstance(sheet.spec, TrainSpec):
        raise NotFound(f"{sheet.run.name} is a strength sweep, not a training run.", "See it under its training run.")
    return partial(request, "review/grid", {"sheet": sheet})


@router.get("/runs/{run_id}/strengths")
def strengths(request: Request, run_id: int, store: Store, settings: OwnSettings) -> Response:
    """Draw a strength sweep again."""
    sheet = _read_sheet(store, settings, run_id)
    if not isinstance(sheet.spec, RenderSpec):
        raise NotFound(f"{sheet.run.name} is no strength sweep.", "Start one from its review.")
    return partial(request, "review/strengths", {"sheet": sheet})


@router.get("/runs/{run_id}/cell")
def cell(
    request: Request, run_id: int, store: Store, settings: OwnSettings, sample: Annotated[SampleForm, Query()]
) -> Response:
    """Draw one sample with its verdict."""
    sheet = _read_sheet(store, settings, run_id)
    found, column, baseline = _find(sheet, sample.key(run_id))
    return partial(request, "review/cell", {"sheet": sheet, "cell": found, "column": column, "baseline": baseline})


@router.post("/runs/{run_id}/verdicts")
def verdict(
    request: Request,
    run_id: int,
    store: Store,
    settings: OwnSettings,
    form: Annotated[VerdictForm, Depends(sent_verdict)],
) -> Response:
    """Keep what a person says of a sample; a run has one best, so an earlier best becomes a keep."""
    before = _read_sheet(store, settings, run_id)
    key = form.key(run_id)
    judged, _, _ = _find(before, key)
    if judged.path is None or judged.is_baseline:
        raise NotFound("There is no sample of the LoRA here to judge.", "Reload the review.")
    with write(store) as session:
        judge(session, key, form.choice or None, judged.note if form.note is None else form.note)
    after = _read_sheet(store, settings, run_id)
    found, column, baseline = _find(after, key)
    former = before.best
    is_other = former is not None and former != judged
    others = [_find(after, _key(former))] if former is not None and is_other else []
    return partial(request, "review/verdict", Judged(after, found, column, baseline, others))


@router.post("/runs/{run_id}/sweep")
def sweep(
    request: Request,
    run_id: int,
    store: Store,
    settings: OwnSettings,
    step: Annotated[int, Form()],
    strengths: Annotated[str, Form()] = "",
    prompts: Annotated[str, Form()] = "",
) -> Response:
    """Queue a sweep of a checkpoint and go to its place in the review."""
    with read(store) as session:
        project_id = runs.get(session, run_id).project_id
    try:
        made = start_sweep(settings, store, run_id, step, read_strengths(strengths), read_prompts(prompts))
    except Invalid as refusal:
        shown = _read_page(store, settings, project_id, run_id, None)
        told = {refusal.field or "strengths": f"{refusal.message} {refusal.hint}"}
        form = SweepForm(step, strengths, prompts, told)
        return page(request, "review/show", replace(shown, form=form), 422)
    return RedirectResponse(f"/projects/{project_id}/review?run={run_id}&sweep={made.id}#strengths", 303)


def judge(session: Session, key: VerdictKey, choice: Choice | None, note: str) -> None:
    """Set or take back a verdict; the run's earlier best becomes a keep when another is marked best."""
    if choice == "best":
        for other, given in verdicts.for_runs(session, [key.run_id]).items():
            if given.choice == "best" and other != key:
                verdicts.put(session, other, "keep", given.note)
    verdicts.put(session, key, choice, note)


def read_strengths(text: str) -> list[float]:
    """Read numbers parted by commas or spaces. Raises Invalid naming what is none."""
    words = [word for word in re.split(r"[\s,;]+", text) if word]
    wrong = [word for word in words if not NUMBER.fullmatch(word)]
    if wrong or not words:
        what = f"{wrong[0][:40]!r} is not a number." if wrong else "No strengths were given."
        raise Invalid(what, "Give numbers from -2 to 2, such as 0, 0.6, 0.8, 1.", "strengths")
    return [float(word) for word in words]


def read_prompts(text: str) -> list[str]:
    """Read prompts, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _key(cell: Cell) -> VerdictKey:
    return VerdictKey(cell.run_id, cell.step, cell.prompt_index, cell.seed, cell.strength_pct)


def _find(sheet: Sheet, key: VerdictKey) -> tuple[Cell, Column, Cell | None]:
    for row in sheet.grid.rows:
        for found, column in zip(row.cells, sheet.grid.columns, strict=True):
            if _key(found) == key:
                return found, column, next((each for each in row.cells if each.is_baseline), None)
    raise NotFound(f"{sheet.run.name} has no such sample.", "Reload the review; the run may have gone on.")


def _read_sheet(store: Engine, settings: Settings, run_id: int) -> Sheet:
    with read(store) as session:
        run = runs.get(session, run_id)
        given = verdicts.for_runs(session, [run_id])
        listed = runs.listed(session)
    folder = run_dir(settings, run)
    spec = read_settings(folder, run.name)
    state = read_state(folder.events)
    done, total = extent(state, spec)
    return Sheet(
        run=run,
        spec=spec,
        state=state,
        status=status_word(state),
        queue=queue_of(run, listed, live_workers(settings.data)),
        grid=build(run_id, state, given) if isinstance(spec, TrainSpec) else sweep_grid(run_id, state, given),
        done=done,
        total=total,
    )


def _read_page(
    store: Engine, settings: Settings, project_id: int, run_id: int | None, sweep_id: int | None
) -> ReviewPage:
    with read(store) as session:
        project = projects.get(session, project_id)
        counts = projects.counts(session, project_id)
        listed = runs.listed(session, project_id)
        taught = [row for row in images.page(session, project_id, limit=2 * TAUGHT) if row.split == "train"][:TAUGHT]
    trainings = [run for run in listed if run.kind == "train"]
    chosen = _chosen(trainings, run_id)
    sheet = _read_sheet(store, settings, chosen.id) if chosen else None
    sweeps = [run for run in listed if chosen and run.parent_id == chosen.id]
    swept = next((run for run in sweeps if sweep_id in (None, run.id)), None)
    shown = _read_sheet(store, settings, swept.id) if swept else None
    return ReviewPage(
        project=project,
        counts=counts,
        caption_url=f"/projects/{project_id}/captions",
        trainings=trainings,
        sheet=sheet,
        sweeps=sweeps,
        sweep=shown,
        form=_sweep_form(sheet, shown),
        taught=taught,
    )


def _chosen(trainings: Sequence[Run], run_id: int | None) -> Run | None:
    """The training that was named, else the newest that has ended or begun. Raises NotFound for a stranger."""
    if run_id is None:
        begun = [run for run in trainings if run.status != "queued"]
        return next(iter(begun or trainings), None)
    found = next((run for run in trainings if run.id == run_id), None)
    if found is None:
        raise NotFound(f"This project has no training run {run_id}.", "Choose one from the list in Review.")
    return found


def _sweep_form(sheet: Sheet | None, shown: Sheet | None) -> SweepForm:
    """The form as it stands at first; the person's own prompts of the sweep that is shown stay, to be changed."""
    text = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    if sheet is None or not sheet.saved_steps:
        return SweepForm(None, text)
    best, own = sheet.best, shown.prompts if shown and shown.prompts != sheet.prompts else ()
    step = best.step if best and best.step in sheet.saved_steps else sheet.saved_steps[-1]
    return SweepForm(step, text, "\n".join(own))
