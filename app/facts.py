"""What the command line and the JSON interface say of each noun: one shape for both."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.config import Settings
from app.contract.captions import compose
from app.contract.events import Outcome
from app.contract.state import RunState, read_state
from app.launch.start import run_dir
from app.store import bases, projects, runs
from app.store.images import ImageRow
from app.store.models import Base, Project, Run


class ProjectFacts(BaseModel):
    """A project and how far it is."""

    id: int
    name: str
    purpose: str
    trigger_word: str
    base: str | None
    images: int
    captioned: int
    runs: int


class ImageFacts(BaseModel):
    """An image of a project."""

    id: int
    name: str
    sha256: str
    width_px: int
    height_px: int
    repeats: int
    caption: str | None
    training_text: str


class BaseFacts(BaseModel):
    """A base model; `sha256` is None until it has been hashed."""

    id: int
    name: str
    family: str
    layout: str
    size_bytes: int
    resolution_px: int
    sha256: str | None
    is_bundled: bool
    is_missing: bool


class CheckpointFacts(BaseModel):
    """A saved LoRA of a run."""

    step: int
    size_bytes: int
    sha256: str


class RunFacts(BaseModel):
    """A run and its state; `loss` is the mean of the last 20 steps, `folder` is relative to the data folder."""

    id: int
    project_id: int
    name: str
    kind: str
    status: Literal["queued", "running", "completed", "stopped", "failed"]
    folder: str
    attempt: int
    phase: str
    step: int
    steps: int
    loss: float | None
    eta_s: float | None
    outcome: Outcome | None
    reason: str
    hint: str
    queued_at: datetime
    checkpoints: list[CheckpointFacts]
    samples: int


def project_facts(session: Session, project: Project) -> ProjectFacts:
    """Facts of a project."""
    counts = projects.counts(session, project.id)
    base = bases.get(session, project.base_id) if project.base_id else None
    return ProjectFacts(
        id=project.id,
        name=project.name,
        purpose=project.purpose,
        trigger_word=project.trigger_word,
        base=base.name if base else None,
        images=counts.images,
        captioned=counts.captioned,
        runs=counts.runs,
    )


def image_facts(row: ImageRow, trigger_word: str) -> ImageFacts:
    """Facts of an image, with the text the trainer will read."""
    return ImageFacts(
        id=row.id,
        name=row.name,
        sha256=row.sha256,
        width_px=row.width_px,
        height_px=row.height_px,
        repeats=row.repeats,
        caption=row.caption,
        training_text=compose(row.caption or "", trigger_word),
    )


def base_facts(row: Base) -> BaseFacts:
    """Facts of a base model; its path stays with us."""
    return BaseFacts(
        id=row.id,
        name=row.name,
        family=row.family,
        layout=row.layout,
        size_bytes=row.size_bytes,
        resolution_px=row.resolution_px,
        sha256=row.sha256,
        is_bundled=row.is_bundled,
        is_missing=row.is_missing,
    )


def run_facts(settings: Settings, run: Run) -> RunFacts:
    """Facts of a run: the row's intent, the folder's events."""
    folder = run_dir(settings, run)
    state = read_state(folder.events)
    return RunFacts(
        id=run.id,
        project_id=run.project_id,
        name=run.name,
        kind=run.kind,
        status=run.status,
        folder=f"{settings.runs.name}/{run.dir}",
        attempt=run.attempt,
        phase=state.phase,
        step=state.step,
        steps=state.steps,
        loss=recent_loss(state),
        eta_s=state.eta_s,
        outcome=state.outcome,
        reason=state.reason,
        hint=state.hint,
        queued_at=datetime.fromtimestamp(run.created_us / 1e6, UTC),
        checkpoints=[
            CheckpointFacts(step=saved.step, size_bytes=saved.size_bytes, sha256=saved.sha256)
            for saved in state.checkpoints
        ],
        samples=len(state.samples),
    )


def recent_loss(state: RunState, steps: int = 20) -> float | None:
    """Mean loss of the last steps; None before the first."""
    recent = [loss for _, loss in state.losses[-steps:]]
    return sum(recent) / len(recent) if recent else None


def newest_run(session: Session, project_id: int, kind: str = "train") -> Run | None:
    """The project's newest run of a kind."""
    found = [run for run in runs.listed(session, project_id) if run.kind == kind]
    return max(found, key=lambda run: run.id, default=None)
