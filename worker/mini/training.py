"""What both trainings of the recipe share: where they run, one step, and how a result is kept."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep(thing: object, path: Path) -> None:
    """Save whole or not at all."""
    beside = path.with_suffix(".part")
    torch.save(thing, beside)
    os.replace(beside, path)


def update(optimizer: torch.optim.Optimizer, loss: Tensor, weights: Sequence[Tensor]) -> None:
    """One clipped step."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
