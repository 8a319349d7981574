"""Events of a run: typed facts, appended to one file, whose line number is the SSE id.

Writers take turns (app: queued; supervisor: claimed; child: the work; supervisor: ended), so no lock is held while
appending. A half-written last line is not yet an event; the next writer cuts it off. A whole line that is damaged
reads as a warning in its place, so that the rest of the run stays in sight.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Phase = Literal["loading", "caching", "sampling", "training", "saving"]
Outcome = Literal["completed", "stopped", "failed"]


class EventBase(BaseModel):
    """What every event carries; `seq`, `at` and `attempt` are stamped by the log."""

    # A loss that is not a number is a fact too; as `null` it would make the whole log unreadable.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    seq: int = 0
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    attempt: int = 0


class Queued(EventBase):
    """The run waits for a worker (again after an interruption)."""

    type: Literal["queued"] = "queued"
    reason: str = ""


class Claimed(EventBase):
    """A worker took the run."""

    type: Literal["claimed"] = "claimed"
    worker: str
    pid: int


class PhaseChanged(EventBase):
    """The child began, or moved on in, a phase; `total` 0 means the length is unknown."""

    type: Literal["phase"] = "phase"
    phase: Phase
    done: int = 0
    total: int = 0


class Progress(EventBase):
    """Training advanced to `step`; `losses` are those of the last `len(losses)` steps, in order."""

    type: Literal["progress"] = "progress"
    step: int
    steps: int
    losses: tuple[float, ...]
    learning_rate: float
    images_per_s: float
    eta_s: float


class SampleDrawn(EventBase):
    """A sample image was published; `path` is relative to the run folder."""

    type: Literal["sample"] = "sample"
    step: int
    prompt_index: int
    prompt: str
    seed: int
    strength: float = 1.0
    path: str


class CheckpointSaved(EventBase):
    """A checkpoint was published; `path` is its LoRA file, relative to the run folder."""

    type: Literal["checkpoint"] = "checkpoint"
    step: int
    path: str
    size_bytes: int
    sha256: str


class Metric(EventBase):
    """One named number at a step."""

    type: Literal["metric"] = "metric"
    step: int
    name: str
    value: float


class Warned(EventBase):
    """Something a person should know; the run goes on."""

    type: Literal["warning"] = "warning"
    message: str
    hint: str = ""


class Failed(EventBase):
    """Why the attempt cannot go on; `ended` or `queued` follows."""

    type: Literal["error"] = "error"
    message: str
    hint: str = ""


class Resumed(EventBase):
    """A new attempt continues from a checkpoint; what was reported after `from_step` no longer holds."""

    type: Literal["resumed"] = "resumed"
    from_step: int


class Ended(EventBase):
    """The last event of a run, written by its supervisor alone."""

    type: Literal["ended"] = "ended"
    outcome: Outcome
    reason: str = ""
    hint: str = ""


Event = Annotated[
    Queued
    | Claimed
    | PhaseChanged
    | Progress
    | SampleDrawn
    | CheckpointSaved
    | Metric
    | Warned
    | Failed
    | Resumed
    | Ended,
    Field(discriminator="type"),
]
AnyEvent = (
    Queued
    | Claimed
    | PhaseChanged
    | Progress
    | SampleDrawn
    | CheckpointSaved
    | Metric
    | Warned
    | Failed
    | Resumed
    | Ended
)
EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Event)
EVENT_TYPES = tuple(kind.model_fields["type"].default for kind in AnyEvent.__args__)


class EventLog:
    """Appends events for one writer's turn."""

    def __init__(self, path: Path, attempt: int) -> None:
        """Open the log, cut a torn last line off and find the next line number."""
        self._path = path
        self._attempt = attempt
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes() if path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        self._seq = data.count(b"\n")

    def append(self, event: AnyEvent) -> int:
        """Stamp the event, append it as one line and return its seq."""
        self._seq += 1
        stamped = event.model_copy(update={"seq": self._seq, "at": datetime.now(UTC), "attempt": self._attempt})
        line = stamped.model_dump_json() + "\n"
        with self._path.open("ab") as file:
            file.write(line.encode())
        return self._seq


class EventReader:
    """Reads a growing log forward, remembering where it stands."""

    def __init__(self, path: Path, after: int = 0) -> None:
        """Start behind line `after`."""
        self._path = path
        self._offset = 0
        self._seq = 0
        self._after = after

    def poll(self) -> list[AnyEvent]:
        """Return the events that became whole since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return []
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        return list(self._parse(data[:whole]))

    def _parse(self, data: bytes) -> Iterator[AnyEvent]:
        for line in data.splitlines():
            self._seq += 1
            if self._seq > self._after:
                yield _read_line(self._seq, line)


def _read_line(seq: int, line: bytes) -> AnyEvent:
    try:
        return EVENT.validate_json(line)
    except ValidationError:
        message = f"Line {seq} of events.jsonl is damaged, or a newer studio wrote it; it was passed over."
        return Warned(seq=seq, message=message, hint="What this line told of the run is missing here.")


def read_events(path: Path, after: int = 0) -> list[AnyEvent]:
    """Return the whole events behind line `after`; an absent file has none."""
    return EventReader(path, after).poll()
