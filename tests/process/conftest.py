"""A studio's data folder with toy runs in it, and real worker processes on it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config import ROOT, Settings
from app.contract.events import AnyEvent, CheckpointSaved, Claimed, Ended, EventLog, Queued, read_events
from app.contract.rundir import RunDir, publish
from app.contract.spec import BaseModelRef, Optimization, Saving, TrainSpec
from app.contract.state import RunState, read_state
from app.store import projects, runs
from app.store.db import migrate, open_engine, read, write
from app.store.models import Run
from tests.process.toy_trainer import PID, STAGING, Toy, weights_after

DEADLINE_S = 30.0
POLL_S = 0.03


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition; fail with its name when the time is up."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s} s for: {what}")
        time.sleep(POLL_S)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@dataclass(frozen=True)
class ToyRun:
    """A run and what the tests ask of it."""

    run_dir: RunDir
    steps: int
    run_id: int = 0

    @property
    def events(self) -> list[AnyEvent]:
        """Whole events so far."""
        return read_events(self.run_dir.events)

    @property
    def state(self) -> RunState:
        """Their fold."""
        return read_state(self.run_dir.events)

    @property
    def child_pid(self) -> int:
        """The process id of the latest child."""
        return int((self.run_dir.path / PID).read_text())

    def reaches(self, step: int, deadline_s: float = DEADLINE_S) -> None:
        """Wait until a step is reported."""
        until(lambda: self.state.step >= step, f"step {step}", deadline_s)

    def checks_out(self) -> None:
        """The run is over, its events are sound and its weights are those of an unbroken run."""
        events = self.events
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert isinstance(events[-1], Ended)
        assert sum(isinstance(event, Ended) for event in events) == 1
        attempts = [event.attempt for event in events]
        assert attempts == sorted(attempts)
        for saved in (event for event in events if isinstance(event, CheckpointSaved)):
            assert (self.run_dir.path / saved.path).read_text() == weights_after(saved.step)

    def completes(self) -> None:
        """It checks out and went all the way."""
        self.checks_out()
        assert self.state.outcome == "completed"
        assert self.run_dir.lora(self.steps).read_text() == weights_after(self.steps)
        assert [step for step, _ in self.state.losses] == list(range(1, self.steps + 1))


def make_folder(folder: Path, steps: int, every: int, toy: Toy) -> ToyRun:
    """Write the folder of a toy run."""
    spec = TrainSpec(
        name=folder.name,
        project="Ink",
        purpose="style",
        trigger_word="inkstyle",
        base=BaseModelRef(name="toy", path="/nowhere", family="sd15", sha256="0" * 64),
        optimization=Optimization(steps=steps),
        saving=Saving(every_steps=every),
    )
    run_dir = RunDir(folder)
    publish(run_dir.spec, spec.model_dump_json().encode())
    publish(run_dir.dataset, b"")
    publish(folder / "toy.json", json.dumps(asdict(toy)).encode())
    EventLog(run_dir.events, attempt=0).append(Queued())
    return ToyRun(run_dir, steps)


@dataclass
class Studio:
    """A data folder, its store, and the processes that a test started on it."""

    settings: Settings
    engine: Engine
    project_id: int
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def queue(self, steps: int = 10, every: int = 4, toy: Toy | None = None) -> ToyRun:
        """Queue a toy run."""
        with write(self.engine) as session:
            name = f"{runs.next_number(session):04d}-toy"
            made = make_folder(self.settings.runs / name, steps, every, toy or Toy())
            row = runs.create(session, self.project_id, "train", name, name)
        return ToyRun(made.run_dir, steps, row.id)

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a process of ours whose input we hold."""
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.processes.append(process)
        return process

    def start_worker(self, *child: str) -> "subprocess.Popen[bytes]":
        """Start a worker whose children are toys."""
        return self.start("tests.process.toy_worker", "supervise", str(self.settings.data), *child)

    def row(self, run: ToyRun) -> Run:
        """The run's row as it is now."""
        with read(self.engine) as session:
            return runs.get(session, run.run_id)

    def ends(self, run: ToyRun) -> Run:
        """Wait until the row says that the run is over."""
        until(lambda: self.row(run).status not in ("queued", "running"), f"{run.run_dir.path.name} to end")
        return self.row(run)

    def close(self) -> None:
        """End what is still running."""
        for process in self.processes:
            process.kill()
            process.communicate()
        self.engine.dispose()


def make_studio(data: Path) -> Studio:
    """Make an empty studio with one project."""
    settings = Settings(data=data, starts_worker=False)
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "inkstyle", None).id
    return Studio(settings, engine, project_id)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """An empty studio of the test's own."""
    made = make_studio(tmp_path / "studio")
    yield made
    made.close()


@pytest.fixture(scope="session")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio whose worker takes whatever the tests queue."""
    made = make_studio(tmp_path_factory.mktemp("working"))
    worker = made.start_worker()
    yield made
    is_well = worker.poll() is None
    made.close()
    assert is_well, "the worker did not survive its runs"


@dataclass(frozen=True)
class Moment:
    """When a run is struck, and the step that the next attempt must go on from (saves are at 4, 8 and 10)."""

    label: str
    step: int
    goes_on_from: tuple[int, ...]
    fault: str = "hang"

    def reach(self, studio: Studio) -> ToyRun:
        """Queue a run and wait until its first attempt holds still at the moment."""
        run = studio.queue(toy=Toy(fault=self.fault, fault_step=self.step, fault_attempts=1))
        run.reaches(self.step)
        if self.fault == "hang-saving":
            until((run.run_dir.checkpoints / STAGING / "lora.safetensors").exists, "a save to begin")
        return run


MOMENTS = (
    Moment("before a checkpoint", 2, ()),
    Moment("between checkpoints", 6, (4,)),
    Moment("inside a save", 8, (4,), "hang-saving"),
)


def claims(run: ToyRun) -> list[Claimed]:
    """Who took the run, each time."""
    return [event for event in run.events if isinstance(event, Claimed)]


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
