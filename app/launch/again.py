"""A run that failed or was stopped goes on: as it was, or with settings that take less memory."""

from dataclasses import dataclass

from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import EventLog, Queued, Warned
from app.contract.lean import lean_for, read_lean
from app.contract.memory import card_bytes
from app.contract.rundir import RunDir, publish
from app.contract.spec import AnySpec, TrainSpec
from app.contract.state import RunState, read_state
from app.errors import Conflict
from app.launch.start import read_settings, run_dir
from app.store import runs
from app.store.db import read, write
from app.store.models import Run

GOES_ON = ("failed", "stopped")
BATCH_HINT = "Images, noise and learning rates go on where they were."


@dataclass(frozen=True)
class Offer:
    """How a run can go on: from which step, and the words of the change by which it takes less memory, if one helps."""

    step: int
    lean_words: str


def offer(folder: RunDir, spec: AnySpec, state: RunState, gpu_bytes: int | None) -> Offer | None:
    """Say how a run can go on; None for one that is not over, is complete, or does not train."""
    if not isinstance(spec, TrainSpec) or state.status not in GOES_ON:
        return None
    found = lean_for(read_lean(folder).applied(spec), card_bytes(spec, gpu_bytes))
    return Offer(_step(folder, state), found[1] if found else "")


def go_on(settings: Settings, engine: Engine, run_id: int, *, is_lean: bool, gpu_bytes: int | None) -> Run:
    """Queue a run again, from its last checkpoint. Raises NotFound, and Conflict for one that cannot go on."""
    with read(engine) as session:
        run = runs.get(session, run_id)
    folder = run_dir(settings, run)
    spec, state = read_settings(folder, run.name), read_state(folder.events)
    found = offer(folder, spec, state, gpu_bytes)
    if found is None or not isinstance(spec, TrainSpec):
        raise Conflict(f"{run.name} cannot go on: it is {state.status}.", "Start a new run.")
    if is_lean and not found.lean_words:
        raise Conflict("No setting makes it smaller that could be changed now.", "Start a new run with other settings.")
    log = EventLog(folder.events, state.attempt)
    with write(engine) as session:
        # First the row, in a transaction that ends last: no worker takes the run before its folder is ready.
        runs.reopen(session, run_id)
        if is_lean:
            _make_lean(folder, spec, gpu_bytes, log)
        folder.stop.unlink(missing_ok=True)
        log.append(Queued(reason=f"It goes on from step {found.step:,}." if found.step else "It starts again."))
        return runs.get(session, run_id)


def _make_lean(folder: RunDir, spec: TrainSpec, gpu_bytes: int | None, log: EventLog) -> None:
    before = read_lean(folder)
    found = lean_for(before.applied(spec), card_bytes(spec, gpu_bytes))
    assert found is not None
    change, words = found
    publish(folder.lean, before.model_copy(update=change.model_dump(exclude_none=True)).model_dump_json().encode())
    log.append(Warned(message=f"To take less memory it goes on with another setting: {words}.", hint=BATCH_HINT))


def _step(folder: RunDir, state: RunState) -> int:
    steps = [saved.step for saved in state.checkpoints if (folder.checkpoint(saved.step) / "state").is_dir()]
    return max(steps, default=0)
