"""Deaths of a run's child: how they are counted, and what they were in words."""

import signal
from collections.abc import Iterable

from app.contract.events import AnyEvent, CheckpointSaved, Claimed, Ended, Failed, Queued, read_events
from app.contract.rundir import RunDir

CLOSED = "The worker was closed."
"""The reason of a `queued` event after an attempt that was ended in good order, which is no death."""

SIGNAL_WORDS = {
    "SIGKILL": "It was killed by the system (SIGKILL), probably because memory ran out.",
    "SIGSEGV": "It crashed inside native code (SIGSEGV), perhaps in a GPU driver.",
    "SIGBUS": "It crashed inside native code (SIGBUS), perhaps because the disk is full or gone.",
    "SIGABRT": "It gave up inside native code (SIGABRT).",
}
TAIL_BYTES = 4096


def deaths_in_a_row(run_dir: RunDir) -> int:
    """How many attempts, the one under way included, have passed since a checkpoint was new.

    Attempts are counted by their `claimed` events, so that a run that takes its worker along is counted too.
    """
    return count_deaths(read_events(run_dir.events))


def count_deaths(events: Iterable[AnyEvent]) -> int:
    """Count the attempts since the last checkpoint that went beyond all before it, less those closed in good order."""
    died, furthest = 0, -1
    for event in events:
        match event:
            case Claimed():
                died += 1
            case CheckpointSaved() if event.step > furthest:
                died, furthest = 0, event.step
            case Ended():
                died = 0
            case Queued(reason=reason) if reason == CLOSED:
                died = max(0, died - 1)
            case _:
                pass
    return died


def last_error(run_dir: RunDir, attempt: int) -> Failed:
    """Return the attempt's last `error` event, or one that points at the log when it left none."""
    told = [event for event in read_events(run_dir.events) if isinstance(event, Failed) and event.attempt == attempt]
    return told[-1] if told else Failed(message="It failed without saying why.", hint=f"See the log: {run_dir.log}")


def describe(run_dir: RunDir, code: int) -> str:
    """Say in words how a child ended that said nothing itself: by which signal, or what it printed last."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return SIGNAL_WORDS.get(name, f"It was ended by the system ({name}).")
    return f"Its process ended with exit code {code}. Its last words: {last_line(run_dir)}"


def last_line(run_dir: RunDir) -> str:
    """The last line of the log that says something."""
    try:
        with run_dir.log.open("rb") as file:
            file.seek(max(0, run_dir.log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
