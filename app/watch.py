"""What the pages say of a run beyond its state: its place in the queue, its samples in order, the end of its log."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from app.contract.rundir import RunDir
from app.contract.spec import AnySpec, RenderSpec, TrainSpec
from app.contract.state import RunState
from app.contract.suggestions import DOUBT, read_book
from app.launch.draft import fields
from app.review.grid import Grid
from app.store.models import Run, now_us

ACTIVE = ("queued", "running")
LOG_TAIL_BYTES = 48_000
LOG_TAIL_LINES = 300
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

Point = tuple[int, float]


@dataclass(frozen=True)
class Queue:
    """What a waiting run depends on; `busy_with` is the run that a live worker has now."""

    ahead: int
    busy_with: Run | None
    has_worker: bool
    is_attended: bool


@dataclass(frozen=True)
class ListedRun:
    """A run as a row of a list; only a run that has not ended is read from its folder."""

    run: Run
    project_name: str
    status: str
    done: int
    total: int
    took_s: float | None
    checkpoints: int


def queue_of(run: Run, listed: Sequence[Run], live: AbstractSet[str]) -> Queue:
    """Return a run's place among all runs, given the names of the live workers."""
    ahead = [other for other in listed if other.status == "queued" and other.id < run.id]
    busy = [other for other in listed if other.status == "running" and other.worker in live and other.id != run.id]
    return Queue(
        ahead=len(ahead),
        busy_with=busy[0] if busy else None,
        has_worker=bool(live),
        is_attended=run.worker in live,
    )


def status_word(state: RunState) -> str:
    """Return the status, telling a later attempt that has not reached its work yet apart as `resuming`."""
    is_resuming = state.status == "running" and state.attempt > 1 and state.phase == "loading"
    return "resuming" if is_resuming else state.status


def extent(state: RunState, spec: AnySpec) -> tuple[int, int]:
    """Return how much is done, of how much: steps of a training, images of a render."""
    if isinstance(spec, TrainSpec):
        return state.step, state.steps or spec.optimization.steps
    if isinstance(spec, RenderSpec):
        return len(state.samples), len(spec.strengths) * len(spec.sampling.prompts)
    return state.phase_done, state.phase_total


def took_s(run: Run) -> float | None:
    """Seconds since a worker first had the run, or until it ended; None before."""
    if run.claimed_us is None:
        return None
    return max(0.0, ((run.ended_us or now_us()) - run.claimed_us) / 1e6)


def thin(points: list[Point], limit: int) -> list[Point]:
    """Return at most `limit` points: the mean of each group, at its last step."""
    every = max(1, -(-len(points) // limit))
    if every == 1:
        return points
    parts = [points[first : first + every] for first in range(0, len(points), every)]
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]


def newest_first(grid: Grid, limit: int) -> tuple[Grid, int]:
    """Return the columns with samples, the baseline and then the newest, and how many columns were left out."""
    drawn = [place for place in range(len(grid.columns)) if any(row.cells[place].path for row in grid.rows)]
    baseline = [place for place in drawn if grid.columns[place].is_baseline]
    others = [place for place in reversed(drawn) if not grid.columns[place].is_baseline]
    order = baseline + others[:limit]
    rows = tuple(replace(row, cells=tuple(row.cells[place] for place in order)) for row in grid.rows)
    return Grid(tuple(grid.columns[place] for place in order), rows), len(others[limit:])


def log_tail(folder: RunDir) -> str:
    """Return the end of a run's log as a terminal would show it: colours and overwritten lines gone."""
    try:
        with folder.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    if size > LOG_TAIL_BYTES:
        text = text.partition("\n")[2]
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in ANSI.sub("", text).split("\n")]
    return "\n".join(lines[-LOG_TAIL_LINES:]).strip("\n")


def answer_count(folder: RunDir) -> int:
    """Return how many suggestions a tag run has made, or in how many images a mask run has found a subject."""
    lines = read_book(folder)
    tags = sum(answer.category != DOUBT for line in lines for answer in line.answers)
    return tags + sum(line.subject is not None for line in lines)


def picture_count(folder: RunDir) -> int:
    """Return how many pictures a run froze; none for a run that trains nothing."""
    return folder.dataset.read_bytes().count(b"\n") if folder.dataset.exists() else 0


def settings_of(spec: AnySpec) -> dict[str, str]:
    """Return every setting of a run by its label, as a person reads it."""
    groups = spec.model_dump()
    named = ((field, field.key.split(".")) for field in fields())
    known = ((field, groups[group][name]) for field, (group, name) in named if group in groups)
    return {field.label: f"{_said(value)} {field.unit}".strip() for field, value in known}


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
