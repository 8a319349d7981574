"""One run, attempt by attempt: a child process each, watched until it is gone, and what became of it written down."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from app.contract.events import Claimed, Ended, EventLog, Outcome, Queued, Warned
from app.contract.rundir import RunDir
from app.contract.state import read_state
from worker.closing import Closing
from worker.deaths import CLOSED, deaths_in_a_row, describe, last_error
from worker.errors import COMPLETED, CUDA_BROKEN, INTERRUPTED, OUT_OF_MEMORY, STOPPED, TOLD

ROOT = Path(__file__).resolve().parent.parent
CHILD_COMMAND = (sys.executable, "-m", "worker", "child")
PARENT_LOCK = ".parent.lock"
PREDECESSOR_S = 10.0
MOST_DEATHS = 3
EXIT_CODES: dict[Outcome | None, int] = {"completed": COMPLETED, "stopped": STOPPED, "failed": 1, None: INTERRUPTED}
EXIT_NO_RUN = 2
EXIT_BUSY = 3
# The child reads no network: models are where the spec says, or the run fails in words.
CHILD_ENV = {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

Cause = Literal["stop", "interrupt", "silence"]


class Busy(Exception):
    """Another process has the run; the message says so to a person."""


@dataclass(frozen=True)
class Patience:
    """How long the parent waits, in seconds, before it uses force.

    `stop_s`: from a person's stop until SIGTERM. `interrupt_s`: from our own closing until SIGKILL; less than the
    server waits for us. `kill_s`: from any other SIGTERM until SIGKILL. `silence_s`: without a new event or a new
    line in the log until the child counts as hung; its SIGTERM makes it dump its stacks into the log.
    """

    stop_s: float = 120.0
    interrupt_s: float = 15.0
    kill_s: float = 30.0
    silence_s: float = 1800.0
    poll_s: float = 0.25


@dataclass(frozen=True)
class AttemptResult:
    """What became of an attempt; `outcome` None means that the run goes on, in the queue."""

    outcome: Outcome | None
    reason: str = ""
    hint: str = ""
    is_death: bool = False


@contextmanager
def held(run_dir: RunDir) -> Iterator[None]:
    """Keep other parents off the run, and wait until a dead parent's child has left. Raises Busy.

    Only a parent that holds the run writes events, and only while it has no child: so writers take turns.
    """
    parent = FileLock(run_dir.path / PARENT_LOCK)
    try:
        parent.acquire(timeout=0)
    except Timeout as error:
        raise Busy(f"Another worker is at work in {run_dir.path}.") from error
    try:
        _wait_for_predecessor(run_dir)
        yield
    finally:
        parent.release()


def _wait_for_predecessor(run_dir: RunDir) -> None:
    try:
        with FileLock(run_dir.lock, timeout=PREDECESSOR_S):
            pass
    except Timeout as error:
        raise Busy(f"A process of an earlier attempt is still at work in {run_dir.path}.") from error


@dataclass(frozen=True)
class Attendant:
    """The parent of a run's children; call from the main thread only (see worker.child)."""

    worker: str
    should_interrupt: Callable[[], bool]
    child_command: Sequence[str] = CHILD_COMMAND
    patience: Patience = field(default_factory=Patience)

    def attempt(self, run_dir: RunDir, number: int) -> AttemptResult:
        """Make one attempt at a held run: `claimed`, a child, then `ended` or `queued`; a run that is over stays so."""
        state = read_state(run_dir.events)
        if state.is_over:
            return AttemptResult(state.outcome, state.reason, state.hint)
        EventLog(run_dir.events, number).append(Claimed(worker=self.worker, pid=os.getpid()))
        return conclude(run_dir, number, self._attend(run_dir, number))

    def _attend(self, run_dir: RunDir, number: int) -> AttemptResult:
        if self.should_interrupt():
            return AttemptResult(None, CLOSED)
        if run_dir.stop.exists():
            return AttemptResult("stopped", "It was asked to stop before it went on.")
        child = _spawn(self.child_command, run_dir, number)
        try:
            cause = Watch(child, run_dir, self.patience).until_gone(self.should_interrupt)
        finally:
            child.kill()
            child.communicate()
        return judge(run_dir, number, child.returncode, cause)


def _spawn(command: Sequence[str], run_dir: RunDir, number: int) -> "subprocess.Popen[bytes]":
    with run_dir.log.open("ab") as log:
        log.write(f"\n--- attempt {number}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC ---\n".encode())
        log.flush()
        return subprocess.Popen(
            [*command, str(run_dir.path), str(number)],
            cwd=ROOT,
            env={**os.environ, **CHILD_ENV},
            # Nothing is ever written to it: it ends when we do, and the child with it.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C in a terminal shall reach the child by way of us alone.
            start_new_session=os.name == "posix",
        )


class Watch:
    """Waits for a child, and ends it when it must not go on: gently at first, then by force."""

    def __init__(self, child: "subprocess.Popen[bytes]", run_dir: RunDir, patience: Patience) -> None:
        self._child = child
        self._run_dir = run_dir
        self._patience = patience
        self._cause: Cause | None = None
        self._force_at = float("inf")
        self._stop_seen: float | None = None
        self._sizes = (0, 0)
        self._grew_at = time.monotonic()

    def until_gone(self, should_interrupt: Callable[[], bool]) -> Cause | None:
        """Return when the child is gone: why we ended it, or None when it left by itself."""
        while True:
            try:
                self._child.wait(self._patience.poll_s)
            except subprocess.TimeoutExpired:
                self._look(time.monotonic(), should_interrupt())
            else:
                return self._cause

    def _look(self, now: float, is_interrupted: bool) -> None:
        if is_interrupted and self._cause != "interrupt":
            self._end("interrupt", now + self._patience.interrupt_s)
        elif self._cause is None and self._ignores_stop(now):
            self._end("stop", now + self._patience.kill_s)
        elif self._cause is None and self._is_silent(now):
            self._end("silence", now + self._patience.kill_s)
        if now > self._force_at:
            self._child.kill()

    def _end(self, cause: Cause, force_at: float) -> None:
        self._cause = cause
        self._force_at = min(force_at, self._force_at)
        self._child.terminate()

    def _ignores_stop(self, now: float) -> bool:
        if self._stop_seen is None and self._run_dir.stop.exists():
            self._stop_seen = now
        return self._stop_seen is not None and now - self._stop_seen > self._patience.stop_s

    def _is_silent(self, now: float) -> bool:
        sizes = _size(self._run_dir.events), _size(self._run_dir.log)
        if sizes != self._sizes:
            self._sizes, self._grew_at = sizes, now
        return now - self._grew_at > self._patience.silence_s


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def judge(run_dir: RunDir, number: int, code: int, cause: Cause | None) -> AttemptResult:
    """Say what an exit code means, given why the child was ended, if it was."""
    if code == COMPLETED:
        return AttemptResult("completed")
    if code == STOPPED or (code == INTERRUPTED and cause == "stop"):
        return AttemptResult("stopped", "It was asked to stop, and saved before it left.")
    told = last_error(run_dir, number)
    if code in (OUT_OF_MEMORY, TOLD):
        return AttemptResult("failed", told.message, told.hint)
    if cause == "stop":
        return AttemptResult("stopped", "It did not react to the stop in time and was ended; its last steps are lost.")
    if cause == "interrupt":
        return AttemptResult(None, CLOSED)
    if cause == "silence":
        return AttemptResult(None, "It showed no sign of life for long and was ended.", is_death=True)
    if code == INTERRUPTED:
        return AttemptResult(None, "Something outside the studio told it to end.", is_death=True)
    reason = told.message if code == CUDA_BROKEN else describe(run_dir, code)
    return AttemptResult(None, reason, told.hint if code == CUDA_BROKEN else "", is_death=True)


def conclude(run_dir: RunDir, number: int, result: AttemptResult) -> AttemptResult:
    """Write down what became of an attempt whose child is gone, and return what becomes of the run."""
    log = EventLog(run_dir.events, number)
    final = _final(run_dir, result)
    if final.outcome is not None:
        log.append(Ended(outcome=final.outcome, reason=final.reason, hint=final.hint))
    elif final.is_death:
        log.append(Warned(message=f"{final.reason} It starts again from its last checkpoint.", hint=final.hint))
        log.append(Queued(reason="It starts again."))
    else:
        log.append(Queued(reason=final.reason))
    return final


def _final(run_dir: RunDir, result: AttemptResult) -> AttemptResult:
    if not result.is_death:
        return result
    if run_dir.stop.exists():
        return AttemptResult("stopped", f"It was asked to stop. {result.reason}", result.hint)
    died = deaths_in_a_row(run_dir)
    if died < MOST_DEATHS:
        return result
    return AttemptResult(
        "failed",
        f"It died {died} times in a row without a new checkpoint. The last time: {result.reason}",
        f"{result.hint} The log says more: {run_dir.log}".strip(),
    )


def run_alone(folder: Path, child_command: Sequence[str] = CHILD_COMMAND, patience: Patience | None = None) -> int:
    """Carry a run out to its end with no store and no server; Ctrl-C saves and leaves. Returns an exit code.

    0 completed, 1 failed, 10 stopped, 11 interrupted (run it again to go on), 2 no run there, 3 another has it.
    """
    run_dir = RunDir(folder.absolute())
    if not run_dir.spec.is_file():
        print(f"{folder} is no run: it has no {run_dir.spec.name}.", file=sys.stderr)
        return EXIT_NO_RUN
    closing = Closing()
    closing.listen()
    attendant = Attendant(f"alone-{os.getpid()}", closing, child_command, patience or Patience())
    print(f"Running {run_dir.path.name}; the log is {run_dir.log}.", file=sys.stderr)
    try:
        with held(run_dir):
            result = attendant.attempt(run_dir, read_state(run_dir.events).attempt + 1)
            while result.outcome is None and not closing():
                result = attendant.attempt(run_dir, read_state(run_dir.events).attempt + 1)
    except Busy as busy:
        print(busy, file=sys.stderr)
        return EXIT_BUSY
    print(f"{result.outcome or 'interrupted'}. {result.reason} {result.hint}".strip(), file=sys.stderr)
    return EXIT_CODES[result.outcome]
