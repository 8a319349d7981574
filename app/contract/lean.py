"""How a run that ran out of memory may go on: settings that take less and leave what it has learnt as it is."""

from app.contract.memory import peak
from app.contract.rundir import RunDir
from app.contract.spec import AnySpec, Frozen, Optimizer, Storage, TrainSpec, read_spec
from app.contract.step_down import KEEPING, step_down


class Lean(Frozen):
    """Settings that stand in for those of a run's spec from its next attempt on; None leaves one as it is."""

    batch: int | None = None
    accumulation: int | None = None
    gradient_checkpointing: bool | None = None
    base_storage: Storage | None = None
    offloads_blocks: bool | None = None

    def applied(self, spec: TrainSpec) -> TrainSpec:
        """Return the settings that the run goes on with."""
        changes = self.model_dump(exclude_none=True)
        return spec.model_copy(update={"optimization": spec.optimization.model_copy(update=changes)})


def read_lean(folder: RunDir) -> Lean:
    """The settings that stand in for those of a run's spec already. Raises OSError or ValueError for damaged ones."""
    if not folder.lean.is_file():
        return Lean()
    return Lean.model_validate_json(folder.lean.read_text(encoding="utf-8"))


def read_run_spec(folder: RunDir) -> AnySpec:
    """Read the settings that a run's next attempt works with. Raises OSError or ValueError."""
    spec = read_spec(folder.spec.read_text(encoding="utf-8"))
    return read_lean(folder).applied(spec) if isinstance(spec, TrainSpec) else spec


def lean_for(spec: TrainSpec, card: float) -> tuple[Lean, str] | None:
    """Return the cheapest change by which a run fits, and its words; None where none helps.

    For a run that ran out although the planner thought that it fits, it is the cheapest change there is.
    """
    optimizers: tuple[Optimizer, ...] = (spec.optimization.optimizer,)
    found = step_down(spec, card, optimizers, KEEPING) or step_down(spec, peak(spec, card) - 1, optimizers, KEEPING)
    if found is None or found.spec == spec:
        return None
    before, after = spec.optimization.model_dump(), found.spec.optimization.model_dump()
    return Lean.model_validate({key: after[key] for key in Lean.model_fields if after[key] != before[key]}), found.words
