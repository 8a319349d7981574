"""Runs as a worker leaves them: real folders, real events, real rows, and no torch."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from filelock import BaseFileLock
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import (
    CheckpointSaved,
    Claimed,
    Ended,
    EventLog,
    Outcome,
    PhaseChanged,
    Progress,
    Queued,
    SampleDrawn,
)
from app.contract.rundir import RunDir, publish
from app.contract.spec import RenderSpec, TrainSpec, read_spec
from app.launch.draft import draft
from app.launch.start import run_dir, start_sweep, start_training
from app.launch.subject import subject_of
from app.store import bases, projects, runs
from app.store.db import read, write
from app.store.models import Run
from app.store.workers import worker_lock
from tests.drawing import picture

WORKER = "0b0e7a52-7f6f-4a51-9c3c-2f0f6d3a8c11"
SETTINGS = {
    "optimization.steps": "40",
    "saving.every_steps": "20",
    "sampling.every_steps": "20",
    "prompts": "rdct, on a chair\nrdct, <b>outside</b>",
}


@dataclass
class Story:
    """One run and the pen that writes its events."""

    settings: Settings
    store: Engine
    run: Run
    attempt: int = 0
    log: EventLog = field(init=False)

    def __post_init__(self) -> None:
        """Take the pen."""
        self.log = EventLog(self.folder.events, self.attempt)

    @property
    def folder(self) -> RunDir:
        """The run's folder."""
        return run_dir(self.settings, self.run)

    @property
    def spec(self) -> TrainSpec | RenderSpec:
        """The run's settings."""
        return read_spec(self.folder.spec.read_text())

    def claim(self) -> None:
        """Let a worker take the run, which must be the next of the queue."""
        with write(self.store) as session:
            taken = runs.claim(session, WORKER)
        assert taken is not None
        assert taken.id == self.run.id
        self.log = EventLog(self.folder.events, taken.attempt)
        self.log.append(Claimed(worker=WORKER, pid=1))
        self.log.append(PhaseChanged(phase="loading"))

    def train(self, first: int, last: int) -> None:
        """Report every fifth step with the losses of five."""
        for step in range(first + 4, last + 1, 5):
            losses = tuple(1 / (at + 1) for at in range(step - 4, step + 1))
            report = Progress(step=step, steps=40, losses=losses, learning_rate=1e-4, images_per_s=2.5, eta_s=40 - step)
            self.log.append(report)

    def draw(self, step: int, strength: float = 1.0) -> None:
        """Draw every prompt."""
        for index, prompt in enumerate(self.spec.sampling.prompts):
            path = self.folder.sample(step, index, prompt.seed, strength)
            publish(path, picture(step + index, 32, 32))
            name = str(path.relative_to(self.folder.path))
            self.log.append(
                SampleDrawn(
                    step=step, prompt_index=index, prompt=prompt.text, seed=prompt.seed, strength=strength, path=name
                )
            )

    def save(self, step: int) -> bytes:
        """Save a checkpoint and return its bytes."""
        data = f"LoRA of step {step}".encode()
        path = self.folder.lora(step)
        publish(path, data)
        name = str(path.relative_to(self.folder.path))
        digest = hashlib.sha256(data).hexdigest()
        self.log.append(CheckpointSaved(step=step, path=name, size_bytes=len(data), sha256=digest))
        return data

    def requeue(self, reason: str) -> None:
        """Give the run back, as a worker does that is closed."""
        self.log.append(Queued(reason=reason))
        with write(self.store) as session:
            runs.requeue(session, self.run.id, WORKER, reason)

    def end(self, outcome: Outcome, reason: str = "", hint: str = "") -> None:
        """Write the last event and the row."""
        self.log.append(Ended(outcome=outcome, reason=reason, hint=hint))
        with write(self.store) as session:
            runs.end(session, self.run.id, WORKER, outcome, reason)


def train_story(settings: Settings, store: Engine, project_id: int, texts: Mapping[str, str] | None = None) -> Story:
    """Queue a training of 40 steps with two prompts."""
    with read(store) as session:
        base_id = projects.get(session, project_id).base_id
        assert base_id is not None
        subject = subject_of(session, project_id, bases.get(session, base_id))
    made = draft(subject, None, {"name": "Red cats", **SETTINGS, **(texts or {})})
    assert made.spec, made.errors
    return Story(settings, store, start_training(settings, store, project_id, made.spec))


def finished_story(settings: Settings, store: Engine, project_id: int) -> Story:
    """A training that ran to its end: baseline, checkpoints and samples at 20 and 40."""
    story = train_story(settings, store, project_id)
    story.claim()
    story.draw(0)
    for first in (1, 21):
        story.train(first, first + 19)
        story.save(first + 19)
        story.draw(first + 19)
    story.end("completed")
    return story


def sweep_story(parent: Story, strengths: tuple[float, ...] = (0.0, 0.5, 1.0)) -> Story:
    """Queue a sweep of the parent's last checkpoint."""
    run = start_sweep(parent.settings, parent.store, parent.run.id, 40, strengths)
    return Story(parent.settings, parent.store, run)


def living_worker(settings: Settings) -> BaseFileLock:
    """Hold the lock of the worker that these stories tell of; to be used with `with`."""
    return worker_lock(settings.data, WORKER)
