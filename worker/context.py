"""What a run's work is given: its folder, its settings, its log, and when to leave."""

from collections.abc import Callable
from dataclasses import dataclass

from app.contract.events import EventLog
from app.contract.rundir import RunDir
from app.contract.spec import AnySpec


@dataclass(frozen=True)
class RunContext:
    """One attempt at a run, as `train` and `render` see it.

    `wants_stop` turns true when a person asked for the end: save, then raise Stopped. `wants_interrupt` turns true
    when the worker is closing: save, then raise Interrupted. Both are cheap enough to ask at every step.
    """

    run_dir: RunDir
    spec: AnySpec
    log: EventLog
    attempt: int
    wants_stop: Callable[[], bool]
    wants_interrupt: Callable[[], bool]
