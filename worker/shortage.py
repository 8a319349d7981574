"""Too little memory: what can be had with less of it, and in words what would fit where nothing can."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from app.contract import memory as plan
from app.contract.lean import lean_for
from app.contract.optimizers import available
from app.contract.rundir import RunDir
from app.contract.spec import TrainSpec
from app.contract.state import read_state
from app.contract.step_down import step_down
from worker.errors import MEMORY_FAULTS, OutOfMemory, first_line, is_out_of_memory
from worker.memory import card_bytes

Made = TypeVar("Made")
WHERE = {
    "loading": "while the base model was loaded",
    "caching": "while texts were encoded or the base model was moved to the device",
}


def tried(make: Callable[[], Made], device: torch.device) -> Made | None:
    """Make what may take more memory than there is; None, with all of it given back, when it did."""
    try:
        return make()
    except MEMORY_FAULTS as error:
        if not is_out_of_memory(error):
            raise
        print(f"Memory ran out: {first_line(error)}", file=sys.stderr)
    # Only here: as long as the error is at hand, it holds all that was made before it.
    give_back(device)
    return None


def give_back(device: torch.device) -> None:
    """Return to the GPU's pool what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def one_by_one(model: nn.Module, count: int) -> Iterator[None]:
    """Let a model that is asked for `count` answers at once give them one after the other: slower, in less memory."""
    whole, own = model.forward, model.__dict__.get("forward")

    def forward(*arguments: Any, **named: Any) -> tuple[Tensor, ...]:
        answers = [whole(*_row(arguments, at, count), **_row(named, at, count)) for at in range(count)]
        return tuple(torch.cat(parts) for parts in zip(*answers, strict=True))

    model.__dict__["forward"] = forward
    try:
        yield
    finally:
        if own is None:
            del model.__dict__["forward"]
        else:
            model.__dict__["forward"] = own


def _row(value: Any, at: int, count: int) -> Any:
    """One row of every tensor that has as many as there are answers."""
    if isinstance(value, Tensor):
        return value[at : at + 1] if value.dim() and value.shape[0] == count else value
    if isinstance(value, dict):
        return {key: _row(each, at, count) for key, each in value.items()}
    return tuple(_row(each, at, count) for each in value) if isinstance(value, tuple) else value


@contextmanager
def out_of_memory_in_words(spec: TrainSpec, device: torch.device, run_dir: RunDir) -> Iterator[None]:
    """Turn running out of memory into words with the change that would fit. Raises OutOfMemory."""
    try:
        yield
    except MEMORY_FAULTS as error:
        if not is_out_of_memory(error):
            raise
        where = WHERE.get(read_state(run_dir.events).phase, "in training")
        raise ran_out(spec, device, where) from error


def ran_out(spec: TrainSpec, device: torch.device, where: str) -> OutOfMemory:
    """Say where memory ran out, with which settings, and which change would fit."""
    settings = f"batch {spec.optimization.batch} at {spec.data.resolution_px:,} px"
    if device.type != "cuda":
        message = f"Memory ran out {where}: {settings} takes more main memory than this computer has free."
        return OutOfMemory(message, less_memory(spec, plan.card_bytes(spec)))
    card = card_bytes(device)
    what = "limit" if spec.optimization.memory_limit_gb else "memory of the GPU"
    message = f"Memory ran out {where}: {settings} takes more than the {what} of {plan.gb_text(card)}."
    return OutOfMemory(message, less_memory(spec, card))


def less_memory(spec: TrainSpec, card: float) -> str:
    """Say which change would fit, by the planner, first of all one that the run can go on with.

    Where the planner thought that the run fits, it is the cheapest change there is.
    """
    if lean := lean_for(spec, card):
        size = plan.peak(lean[0].applied(spec), card)
        if size <= card:
            return _in_words(lean[1], size)
    found = step_down(spec, card, available()) or step_down(spec, plan.peak(spec, card) - 1, available())
    if found is None or found.words == "nothing helps":
        return "No setting makes it small enough; train on a GPU with more memory."
    return _in_words(found.words, found.peak)


def _in_words(words: str, size: int) -> str:
    said = f"{words[:1].upper()}{words[1:]}: about {plan.gb_text(size)} by our reckoning."
    return f"{said} Close other programs that use the GPU, too."
