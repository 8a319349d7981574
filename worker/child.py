"""The process that does a run's work: it dies with its parent, says why it fails, and leaves with an exit code."""

import ctypes
import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from app.contract.events import EventLog, Failed
from app.contract.lean import read_run_spec
from app.contract.rundir import RunDir
from app.contract.spec import AnySpec, RunKind
from worker.closing import Closing, has_held_input, watch_input
from worker.context import RunContext
from worker.errors import (
    BUSY,
    COMPLETED,
    DISK_FULL,
    BadSpec,
    CudaBroken,
    Interrupted,
    OutOfMemory,
    Stopped,
    WorkerError,
    first_line,
    is_out_of_memory,
)

Work = Callable[[RunContext], None]

PREDECESSOR_S = 30.0
PR_SET_PDEATHSIG = 1
LESS_MEMORY = (
    "Choose a lower resolution or batch, switch gradient checkpointing on, or close other programs that use the GPU."
)
CUDA_WORDS = ("cuda error", "cublas_status", "cudnn_status", "cuda driver error")


def work_of(kind: RunKind) -> Work:
    """Return the function that carries out a kind of run; only now is torch loaded, which takes seconds."""
    if kind == "train":
        from worker.train import train  # noqa: PLC0415 - see above

        return train
    if kind in ("tag", "mask"):
        from worker.tagging import tag  # noqa: PLC0415 - see above

        return tag
    from worker.render import render  # noqa: PLC0415 - see above

    return render


def main(folder: Path, attempt: int, choose: Callable[[RunKind], Work] = work_of) -> int:
    """Carry out one attempt at the run in a folder and return the exit code, one of worker.errors."""
    closing = Closing()
    closing.listen()
    _dump_stacks_when_told_to_end()
    _die_with_parent()
    run_dir = RunDir(folder)
    lock = FileLock(run_dir.lock)
    try:
        # A predecessor whose own parent was killed needs a moment to die.
        lock.acquire(timeout=PREDECESSOR_S)
    except Timeout:
        print(f"Another process still works in {folder}. End it, or wait for its end.", file=sys.stderr)
        return BUSY
    with Telling(EventLog(run_dir.events, attempt)) as telling:
        spec = _read_spec(run_dir)
        context = RunContext(run_dir, spec, telling.log, attempt, run_dir.stop.exists, closing)
        choose(spec.kind)(context)
    lock.release()
    return telling.exit_code


def _read_spec(run_dir: RunDir) -> AnySpec:
    try:
        return read_run_spec(run_dir)
    except (OSError, ValueError) as error:
        raise BadSpec(f"The run's settings cannot be read: {error}", f"Look at {run_dir.spec}.") from error


def _dump_stacks_when_told_to_end() -> None:
    """Write every thread's stack to the log at SIGTERM, before our own handler.

    This works inside native code too, where Python's handlers wait: a hung child shows where it hangs.
    """
    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGTERM, all_threads=True, chain=True)


def _die_with_parent() -> None:
    """Die at once when the parent does, by kill -9 too: the system sees to it on Linux, the end of our input anywhere.

    The parent must have started us from its main thread, since Linux means the thread, not the process.
    """
    if not has_held_input():
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    watch_input(lambda: os._exit(1))


class Telling:
    """Turns what the work raises into an `error` event, a traceback in the log and an exit code."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.exit_code = COMPLETED

    def __enter__(self) -> "Telling":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Tell an error, and let only what is none (SystemExit) pass."""
        if not isinstance(error, Exception):
            return error is None
        told = in_words(error)
        self.exit_code = told.exit_code
        if not isinstance(told, Stopped | Interrupted):
            traceback.print_exception(error)
            self.log.append(Failed(message=told.message, hint=told.hint))
        return True


def in_words(error: Exception) -> WorkerError:
    """Return an error that names the thing, the reason and the way out.

    The library's own classes are told by their names, so that torch need not be loaded to fail.
    """
    if isinstance(error, WorkerError):
        return error
    names = {each.__name__ for each in type(error).__mro__}
    said, lower = first_line(error), str(error).lower()
    if is_out_of_memory(error):
        return OutOfMemory(f"Memory ran out: {said}", LESS_MEMORY)
    if "AcceleratorError" in names or any(words in lower for words in CUDA_WORDS):
        return CudaBroken(f"The GPU failed: {said}", "If it comes back, check its driver and its heat.")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return WorkerError("The disk is full.", "Make room on the disk of the data folder, then start the run again.")
    return WorkerError(
        f"{type(error).__name__}: {said}", "The log shows where it happened; other settings may avoid it."
    )
