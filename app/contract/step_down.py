"""The change by which a run fits a GPU: tried from the cheapest to the dearest, by the planner's reckoning."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import get_args

from app.contract.memory import peak
from app.contract.spec import Optimizer, TrainSpec

Change = Callable[[TrainSpec], TrainSpec]
Step = tuple[str, Change]
ALL: tuple[Optimizer, ...] = get_args(Optimizer)


@dataclass(frozen=True)
class StepDown:
    """Changes by which a run fits, in words, and the peak it then has; `fits` is False when nothing is enough."""

    words: str
    peak: int
    fits: bool
    spec: TrainSpec


def _with(**changes: object) -> Change:
    def change(spec: TrainSpec) -> TrainSpec:
        return spec.model_copy(update={"optimization": spec.optimization.model_copy(update=changes)})

    return change


def _halved(spec: TrainSpec) -> TrainSpec:
    settings = spec.optimization
    batch = max(1, settings.batch // 2)
    return _with(batch=batch, accumulation=max(1, settings.accumulation * settings.batch // batch))(spec)


def _smaller(spec: TrainSpec) -> TrainSpec:
    side = {"sd15": 512, "sdxl": 768}[spec.base.family]
    data = spec.data.model_copy(update={"resolution_px": min(side, spec.data.resolution_px)})
    return spec.model_copy(update={"data": data})


_CHECKPOINTS = _with(gradient_checkpointing=True)
_AS_INT8, _AS_NF4, _OFFLOADS = _with(base_storage="int8"), _with(base_storage="nf4"), _with(offloads_blocks=True)

STEPS_DOWN: tuple[Step, ...] = (
    ("turn on gradient checkpointing", _CHECKPOINTS),
    ("choose the optimizer adamw-8bit", _with(optimizer="adamw-8bit")),
    ("halve the batch and double the accumulation", _halved),
    ("set text encoder learning rates to 0", _with(text_encoder_learning_rate=0.0, text_encoder_2_learning_rate=0.0)),
    ("store the base as int8", _AS_INT8),
    ("store the base as nf4", _AS_NF4),
    ("train at a smaller resolution", _smaller),
    ("offload blocks", _OFFLOADS),
)
"""From the cheapest to the dearest in time and quality."""


KEEPING = tuple(step for step in STEPS_DOWN if step[1] in (_CHECKPOINTS, _halved, _AS_INT8, _AS_NF4, _OFFLOADS))
"""Those that leave the LoRA, its optimizer and its frozen dataset as they are, so that a run can go on with them."""


def step_down(
    spec: TrainSpec, card: float, optimizers: Collection[Optimizer] = ALL, changes: Sequence[Step] = STEPS_DOWN
) -> StepDown | None:
    """Find the cheapest change by which the run fits, or the shortest row of changes; None when it fits as it is.

    Only the optimizers that are given are advised.
    """
    before = peak(spec, card)
    if before <= card:
        return None
    steps = [(words, change) for words, change in changes if _is_possible(change(spec), spec, optimizers)]
    singles = [(words, change(spec)) for words, change in steps]
    helping = [(words, changed) for words, changed in singles if peak(changed, card) < before]
    for words, changed in helping:
        if peak(changed, card) <= card:
            return StepDown(words, peak(changed, card), True, changed)
    said: list[str] = []
    for words, change in steps:
        changed = change(spec)
        if peak(changed, card) < peak(spec, card):
            spec = changed
            said.append(words)
        if peak(spec, card) <= card:
            break
    found = peak(spec, card)
    return StepDown(", ".join(said) or "nothing helps", found, found <= card, spec)


def _is_possible(changed: TrainSpec, spec: TrainSpec, optimizers: Collection[Optimizer]) -> bool:
    return changed.optimization.optimizer in (*optimizers, spec.optimization.optimizer)
