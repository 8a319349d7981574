"""One update of the LoRA: gradients scaled where the precision asks, added up over processes, clipped, applied."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from app.contract.spec import Optimization
from worker.checkpoint import State
from worker.ema import Mean
from worker.errors import BadSpec
from worker.lora import Lora
from worker.memory import Machine
from worker.optim import make_optimizer
from worker.team import Team


@dataclass(frozen=True)
class Updates:
    """What turns the losses of a step's batches into new weights."""

    state: State
    machine: Machine
    settings: Optimization
    team: Team

    def autocast(self) -> AbstractContextManager[object]:
        """Run the forward pass in the base's precision."""
        if self.machine.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.machine.device.type, self.machine.dtype)

    def backward(self, part: Tensor) -> None:
        """Add the gradients of a part of the step's loss."""
        (part if self.state.scaler is None else self.state.scaler.scale(part)).backward()

    def finish(self, step: int, loss: Tensor) -> Tensor:
        """Apply the step's gradients and forget them; return their norm before clipping.

        `loss` becomes that of all processes. `step` counts the finished steps, this one too.
        """
        optimizer, scaler = self.state.optimizer, self.state.scaler
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.team.add_up(weights, loss)
        if scaler is not None:
            scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(weights, self.settings.max_grad_norm)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()
        if self.state.mean is not None:
            self.state.mean.follow(step)
        return norm


def make_updates(lora: Lora, machine: Machine, settings: Optimization, team: Team) -> Updates:
    """Make the optimizer and what belongs to it. Raises BadSpec for what cannot be carried out."""
    optimizer = make_optimizer(lora, settings)
    if settings.ema_decay and hasattr(optimizer, "eval"):
        raise BadSpec(
            f"The optimizer {settings.optimizer} keeps a mean of the weights itself; EMA would be a mean of something "
            "that is never used.",
            "Set EMA decay to 0, or choose another optimizer.",
        )
    scaler = torch.amp.GradScaler(machine.device.type) if machine.dtype == torch.float16 else None
    mean = Mean(lora.named(), settings.ema_decay) if settings.ema_decay else None
    return Updates(State(lora.named(), optimizer, scaler, mean), machine, settings, team)
