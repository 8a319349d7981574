"""Counting deaths, and saying what they were."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.contract.events import AnyEvent, CheckpointSaved, Claimed, Progress, Queued
from app.contract.rundir import RunDir
from worker.child import in_words
from worker.deaths import CLOSED, count_deaths, describe, last_error, last_line
from worker.errors import CUDA_BROKEN, OUT_OF_MEMORY, TOLD, Stopped

CLAIMED = Claimed(worker="one", pid=1)
AGAIN = Queued(reason="It starts again.")
CLOSED_WELL = Queued(reason=CLOSED)
STEP = Progress(step=1, steps=9, losses=(1.0,), learning_rate=1, images_per_s=1, eta_s=1)


def saved(step: int) -> CheckpointSaved:
    """A checkpoint's event."""
    return CheckpointSaved(step=step, path="x", size_bytes=1, sha256="0")


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ([Queued()], 0),
        ([CLAIMED, STEP], 1),
        ([CLAIMED, AGAIN, CLAIMED, AGAIN, CLAIMED], 3),
        ([CLAIMED, AGAIN, CLAIMED, saved(5)], 0),
        ([CLAIMED, saved(5), AGAIN, CLAIMED, AGAIN, CLAIMED], 2),
        # The same checkpoint over and over is no progress.
        ([CLAIMED, saved(5), AGAIN, CLAIMED, saved(5), AGAIN, CLAIMED, saved(5)], 2),
        ([CLAIMED, CLOSED_WELL, CLAIMED, CLOSED_WELL, CLAIMED, CLOSED_WELL, CLAIMED], 1),
        ([CLAIMED, AGAIN, CLAIMED, saved(5), CLOSED_WELL, CLAIMED], 1),
    ],
)
def test_deaths_are_attempts_without_a_new_checkpoint(events: Sequence[AnyEvent], count: int) -> None:
    assert count_deaths(events) == count


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGKILL, "memory ran out"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (-signal.SIGPIPE, "SIGPIPE"),
        (-200, "signal 200"),
        (7, "exit code 7. Its last words: the end"),
    ],
)
def test_every_death_has_words(tmp_path: Path, code: int, words: str) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.log.write_text("x" * 10_000 + "\nthe end\n\n  \n")
    assert words in describe(run_dir, code)


def test_a_run_without_log_or_error_has_words_too(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    assert last_line(run_dir) == ""
    assert str(run_dir.log) in last_error(run_dir, 1).hint


class OutOfMemoryError(RuntimeError):
    """Named as torch's, which is too heavy to load here."""


class AcceleratorError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
            OUT_OF_MEMORY,
            "Tried to allocate 2 GiB",
        ),
        (MemoryError(), OUT_OF_MEMORY, "no reason given"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), OUT_OF_MEMORY, "can't allocate"),
        (AcceleratorError("CUDA error: out of memory"), OUT_OF_MEMORY, "out of memory"),
        (AcceleratorError("CUDA error: device-side assert triggered"), CUDA_BROKEN, "device-side assert"),
        (RuntimeError("cuBLAS_STATUS_EXECUTION_FAILED"), CUDA_BROKEN, "EXECUTION_FAILED"),
        (OSError(28, "No space left on device"), TOLD, "disk is full"),
        (KeyError("unet"), TOLD, "KeyError: 'unet'"),
    ],
)
def test_every_error_has_words_and_a_way_out(error: Exception, exit_code: int, words: str) -> None:
    told = in_words(error)
    assert (told.exit_code, "\n" in told.message) == (exit_code, False)
    assert words in told.message
    assert told.hint


def test_our_own_errors_are_passed_on() -> None:
    error = Stopped()
    assert in_words(error) is error
