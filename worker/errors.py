"""What ends an attempt, as exceptions for the child and exit codes for its parent."""

import errno
from typing import ClassVar

COMPLETED = 0
STOPPED = 10
INTERRUPTED = 11
OUT_OF_MEMORY = 20
CUDA_BROKEN = 21
TOLD = 22
"""The last `error` event says why; trying again would end the same way."""

BUSY = 23
"""Another process still works in the run's folder; a later attempt may find it free."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""The numbers of system errors that mean a full disk."""

MEMORY_FAULTS = (RuntimeError, MemoryError, OSError)
"""Among these are all errors by which a library says that memory ran out; `is_out_of_memory` tells which."""

LINE_LENGTH = 300
MEMORY_NAMES = {"OutOfMemoryError", "MemoryError"}
MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
)


class WorkerError(Exception):
    """Names the thing and the reason; `hint` says the way out, `exit_code` tells the parent what to do."""

    exit_code: ClassVar[int] = TOLD

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Stopped(WorkerError):
    """A person asked the run to stop, and what it had is saved."""

    exit_code = STOPPED


class Interrupted(WorkerError):
    """The worker is closing, and what the run had is saved; another attempt goes on from there."""

    exit_code = INTERRUPTED


class OutOfMemory(WorkerError):
    """The device or the machine has too little memory for these settings."""

    exit_code = OUT_OF_MEMORY


class CudaBroken(WorkerError):
    """The device failed in a way that only a new process recovers from."""

    exit_code = CUDA_BROKEN


class ModelMissing(WorkerError):
    """A base model or LoRA file is not where the spec says, or not what it says."""


class NonFiniteLoss(WorkerError):
    """The loss became NaN or infinite."""


class EmptyDataset(WorkerError):
    """There is nothing to train on."""


class BadSpec(WorkerError):
    """The run's settings cannot be carried out."""


def first_line(error: BaseException) -> str:
    """The first line of what a library complains of, which is often a page long."""
    return (str(error).strip().splitlines() or ["no reason given"])[0][:LINE_LENGTH]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory of the GPU or of the computer ran out.

    The library's own classes are told by their names, so that torch need not be loaded to fail; its allocator on the
    CPU has no class of its own, only words.
    """
    if isinstance(error, WorkerError):
        return isinstance(error, OutOfMemory)
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    names, text = {each.__name__ for each in type(error).__mro__}, str(error).lower()
    return bool(names & MEMORY_NAMES) or any(words in text for words in MEMORY_WORDS)
