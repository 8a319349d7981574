"""How long a training takes here, told by one that ran through."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.config import Settings
from app.contract.spec import TrainSpec
from app.errors import NotFound, Unavailable
from app.launch.start import read_settings, run_dir
from app.store.models import Run

# Older ones say little of the computer as it is now.
LOOKED_AT = 5
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Pace:
    """A training that ran through at once: how long it took with its samples, and what for."""

    name: str
    took_s: float
    steps: int
    batch: int
    resolution_px: int


def latest_pace(settings: Settings, listed: Sequence[Run], base_path: str) -> Pace | None:
    """Find the newest training on a base that ran through in one attempt, among the newest few of `listed`."""
    through = [run for run in listed if run.kind == "train" and run.status == "completed" and run.attempt == 1]
    for run in through[:LOOKED_AT]:
        if run.claimed_us is None or run.ended_us is None:
            continue
        try:
            spec = read_settings(run_dir(settings, run), run.name)
        except (NotFound, Unavailable):
            continue
        if isinstance(spec, TrainSpec) and spec.base.path == base_path:
            took_s = (run.ended_us - run.claimed_us) / MICROSECONDS
            asked = spec.optimization
            return Pace(run.name, took_s, asked.steps, asked.batch, spec.data.resolution_px)
    return None
