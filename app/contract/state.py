"""The state of a run: one pure fold over its events, from which every page and list is drawn."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from app.contract.events import (
    AnyEvent,
    CheckpointSaved,
    Claimed,
    Ended,
    Failed,
    Metric,
    Outcome,
    PhaseChanged,
    Progress,
    Queued,
    Resumed,
    SampleDrawn,
    Warned,
    read_events,
)

SampleKey = tuple[int, int, int, float]


@dataclass(frozen=True)
class RunState:
    """What is known of a run after its events so far."""

    seq: int = 0
    attempt: int = 0
    status: str = "queued"
    phase: str = ""
    phase_done: int = 0
    phase_total: int = 0
    step: int = 0
    steps: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    learning_rate: float = 0.0
    images_per_s: float = 0.0
    eta_s: float | None = None
    samples: tuple[SampleDrawn, ...] = ()
    checkpoints: tuple[CheckpointSaved, ...] = ()
    metrics: tuple[Metric, ...] = ()
    warnings: tuple[Warned, ...] = ()
    error: Failed | None = None
    outcome: Outcome | None = None
    reason: str = ""
    hint: str = ""
    queued_at: datetime | None = None
    claimed_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """True once the run has ended for good."""
        return self.outcome is not None


def fold(events: Iterable[AnyEvent]) -> RunState:
    """Return the state after the events; a repeated sample or checkpoint replaces its earlier self."""
    state = RunState()
    losses: dict[int, float] = {}
    samples: dict[SampleKey, SampleDrawn] = {}
    checkpoints: dict[int, CheckpointSaved] = {}
    for event in events:
        match event:
            case Progress():
                first = event.step - len(event.losses) + 1
                losses.update(zip(range(first, event.step + 1), event.losses, strict=True))
            case SampleDrawn():
                samples[event.step, event.prompt_index, event.seed, event.strength] = event
            case CheckpointSaved():
                checkpoints[event.step] = event
            case Resumed():
                losses = {step: loss for step, loss in losses.items() if step <= event.from_step}
                samples = {key: sample for key, sample in samples.items() if key[0] <= event.from_step}
                checkpoints = {step: saved for step, saved in checkpoints.items() if step <= event.from_step}
            case _:
                pass
        state = _stamped(_after(state, event), event)
    return replace(
        state,
        losses=tuple(sorted(losses.items())),
        samples=tuple(samples[key] for key in sorted(samples)),
        checkpoints=tuple(checkpoints[step] for step in sorted(checkpoints)),
    )


def _stamped(state: RunState, event: AnyEvent) -> RunState:
    """Note where and when the event stands; a damaged line has lost its time and attempt."""
    if event.attempt < state.attempt:
        return replace(state, seq=event.seq)
    return replace(state, seq=event.seq, attempt=event.attempt, last_at=event.at)


def _after(state: RunState, event: AnyEvent) -> RunState:
    match event:
        case Queued():
            # A run that was over goes on when it stands in the queue again.
            waits = replace(state, outcome=None, reason="", hint="", phase="", eta_s=None)
            return replace(waits, status="queued", queued_at=state.queued_at or event.at)
        case Claimed():
            claimed_at = state.claimed_at or event.at
            return replace(state, status="running", claimed_at=claimed_at, error=None, phase="loading")
        case PhaseChanged():
            return replace(state, phase=event.phase, phase_done=event.done, phase_total=event.total)
        case Progress():
            return replace(
                state,
                phase="training",
                step=event.step,
                steps=event.steps,
                learning_rate=event.learning_rate,
                images_per_s=event.images_per_s,
                eta_s=event.eta_s,
            )
        case Resumed():
            metrics = tuple(metric for metric in state.metrics if metric.step <= event.from_step)
            return replace(state, step=event.from_step, metrics=metrics, eta_s=None)
        case Metric():
            return replace(state, metrics=(*state.metrics, event))
        case Warned():
            return replace(state, warnings=(*state.warnings, event))
        case Failed():
            return replace(state, error=event)
        case Ended():
            return replace(
                state,
                status=event.outcome,
                outcome=event.outcome,
                reason=event.reason,
                hint=event.hint,
                phase="",
                eta_s=None,
            )
        case _:
            return state


def read_state(path: Path) -> RunState:
    """Fold an event file; the last few files are remembered by their length, which only grows."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0
    return _folded(path, size)


@lru_cache(maxsize=32)
def _folded(path: Path, size: int) -> RunState:
    return fold(read_events(path))
