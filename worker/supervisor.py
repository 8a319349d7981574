"""The worker: takes runs from the queue one after the other, and takes over what a dead worker left."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine

from app.config import Settings
from app.contract.rundir import RunDir
from app.contract.state import read_state
from app.errors import AppError
from app.store import runs, subjects, suggestions
from app.store.db import migrate, open_engine, read, write
from app.store.models import Run
from app.store.workers import live_workers, worker_lock
from worker.closing import Closing, watch_input
from worker.errors import DISK_FULL
from worker.run import CHILD_COMMAND, AttemptResult, Attendant, Busy, Patience, conclude, held

log = logging.getLogger("lora_studio.worker")

IDLE_S = 0.5


def main(data: Path | None) -> int:
    """Work for the data folder (default: that of the environment) until told to end. Returns an exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return supervise(Settings(data=data.expanduser().absolute()) if data else Settings.from_env())
    except AppError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1


def supervise(
    settings: Settings, child_command: Sequence[str] = CHILD_COMMAND, patience: Patience | None = None
) -> int:
    """Take runs until a signal, or the end of our input, says to leave; what is under way saves and is queued again.

    Raises AppError when the store cannot be used.
    """
    closing = Closing()
    closing.listen()
    watch_input(closing.ask)
    settings.make_folders()
    migrate(settings)
    worker = str(uuid4())
    lock = worker_lock(settings.data, worker)
    engine = open_engine(settings.store_path)
    try:
        with lock:
            attendant = Attendant(worker, closing, child_command, patience or Patience())
            Supervisor(settings, engine, attendant).work_until(closing)
    finally:
        engine.dispose()
        Path(lock.lock_file).unlink(missing_ok=True)
    return 0


@dataclass(frozen=True)
class Supervisor:
    """Moves runs between the queue and their folders.

    A run's folder is written first and its row last; so where the two differ, the folder is right, and whoever
    meets the run next brings the row up to date. Rows are fenced: only the worker that a row names can move it.
    """

    settings: Settings
    engine: Engine
    attendant: Attendant

    def work_until(self, is_over: Callable[[], bool]) -> None:
        """Take over orphans and take runs; look twice a second when there is nothing to do."""
        while not is_over():
            self._take_over_orphans()
            if not self._take_one():
                time.sleep(IDLE_S)

    def _take_one(self) -> bool:
        with read(self.engine) as session:
            if not runs.has_queued(session):
                return False
        with write(self.engine) as session:
            run = runs.claim(session, self.attendant.worker)
        if run is None:
            return False
        log.info("%s: attempt %d", run.dir, run.attempt)
        return self._carry_out(run)

    def _carry_out(self, run: Run) -> bool:
        busy = self._hold(run, lambda run_dir: self.attendant.attempt(run_dir, run.attempt))
        if busy is not None:
            self._settle(run, AttemptResult(None, str(busy)))
        return busy is None

    def _hold(self, run: Run, act: Callable[[RunDir], AttemptResult | None]) -> Busy | None:
        """Act on the run's folder while nobody else can, and settle the row; say so when somebody else has it."""
        run_dir = RunDir(self.settings.runs / run.dir)
        if not run_dir.spec.is_file():
            self._settle(run, AttemptResult("failed", f"Its folder {run_dir.path} is gone or has no settings."))
            return None
        try:
            with held(run_dir):
                if result := _result(run_dir, act):
                    self._settle(run, result)
        except Busy as busy:
            log.warning("%s", busy)
            return busy
        return None

    def _take_over_orphans(self) -> None:
        with read(self.engine) as session:
            running = runs.orphans(session, {self.attendant.worker})
        if not running:
            return
        living = live_workers(self.settings.data)
        for run in running:
            if run.worker not in living:
                self._take_over(run)

    def _take_over(self, run: Run) -> None:
        self._hold(run, lambda run_dir: _after_death(run_dir, run.attempt) if self._is_unchanged(run) else None)

    def _is_unchanged(self, run: Run) -> bool:
        """Whether nobody took the run over before we held its folder."""
        with read(self.engine) as session:
            now = runs.get(session, run.id)
        return (now.status, now.worker, now.attempt) == (run.status, run.worker, run.attempt)

    def _with_subjects(self, run: Run, result: AttemptResult) -> AttemptResult:
        """Take in what a mask run has found; masks that cannot be moved fail it."""
        try:
            subjects.take_book(self.engine, self.settings, run, RunDir(self.settings.runs / run.dir))
        except OSError as error:
            _raise_full(error)
            return AttemptResult("failed", f"Its masks cannot be moved into the store: {error}")
        return result

    def _settle(self, run: Run, result: AttemptResult) -> None:
        log.info("%s: %s %s", run.dir, result.outcome or "queued again", result.reason)
        if run.kind == "tag":
            # Before the row: a run that is over has its suggestions in the store, whoever dies in between.
            suggestions.take_book(self.engine, run, RunDir(self.settings.runs / run.dir))
        if run.kind == "mask":
            result = self._with_subjects(run, result)
        try:
            with write(self.engine) as session:
                if result.outcome is None:
                    runs.requeue(session, run.id, run.worker or "", result.reason)
                else:
                    runs.end(session, run.id, run.worker or "", result.outcome, result.reason)
        except runs.Lost as lost:
            log.warning("%s", lost.message)


def _raise_full(error: OSError | ValueError) -> None:
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        # The run is not at fault. Whoever starts us again takes it over, and it goes on once there is room.
        raise error


def _result(run_dir: RunDir, act: Callable[[RunDir], AttemptResult | None]) -> AttemptResult | None:
    """What the act returns; a folder that cannot be used fails its own run, and does not hold up the others."""
    try:
        return act(run_dir)
    except (OSError, ValueError) as error:
        _raise_full(error)
        return AttemptResult("failed", f"Its folder {run_dir.path} cannot be used: {str(error).splitlines()[0]}")


def _after_death(run_dir: RunDir, attempt: int) -> AttemptResult:
    state = read_state(run_dir.events)
    if state.is_over:
        return AttemptResult(state.outcome, state.reason, state.hint)
    died = AttemptResult(None, "The worker that ran it ended without warning.", is_death=True)
    return conclude(run_dir, attempt, died)
