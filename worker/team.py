"""The processes that train one run together; alone, everything here is free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

from app.contract.events import AnyEvent, EventLog
from worker.context import RunContext
from worker.errors import BadSpec, Interrupted, Stopped
from worker.leaving import checker


@dataclass(frozen=True)
class Team:
    """This process's place among those that share a run's updates; `control` carries flags between their CPUs."""

    rank: int = 0
    size: int = 1
    control: "dist.ProcessGroup | None" = None

    @property
    def is_leader(self) -> bool:
        """Whether this process writes events, samples and checkpoints."""
        return self.rank == 0

    @property
    def own_seed(self) -> tuple[int, ...]:
        """What tells this process's random numbers from the leader's."""
        return (self.rank,) if self.rank else ()

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; every process must ask."""
        if self.size == 1:
            return flag
        raised = torch.tensor(int(flag))
        dist.all_reduce(raised, dist.ReduceOp.MAX, group=self.control)
        return bool(raised)

    def total(self, count: int) -> int:
        """Return the sum of every process's count; every process must ask."""
        if self.size == 1:
            return count
        counted = torch.tensor(count)
        dist.all_reduce(counted, group=self.control)
        return int(counted)

    def add_up(self, weights: Sequence[Parameter], loss: Tensor) -> None:
        """Add every process's gradients and loss together, in place; every process ends with the same."""
        if self.size == 1:
            return
        parts = [loss, *(weight.grad for weight in weights if weight.grad is not None)]
        whole = torch.cat([part.detach().reshape(-1).float() for part in parts])
        dist.all_reduce(whole)
        for part, summed in zip(parts, whole.split([part.numel() for part in parts]), strict=True):
            part.copy_(summed.view_as(part))

    def checkers(self, context: RunContext) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return what to call often, and what to call once a step, to leave when the run should.

        Alone both look for themselves. Together only the second does, so that all leave at the same step.
        """
        if self.size == 1:
            return checker(context), lambda: None

        def agree() -> None:
            if self.any(context.wants_stop()):
                raise Stopped("The run was stopped.", "")
            if self.any(context.wants_interrupt()):
                raise Interrupted("A process of the run was told to end.", "Launch the run again to go on.")

        return lambda: None, agree

    def check_share(self, accumulation: int) -> None:
        """Raise BadSpec unless the batches of an update can be shared out evenly."""
        if accumulation % self.size:
            raise BadSpec(
                f"An update gathers {accumulation} batches (accumulation), which {self.size} processes cannot share.",
                f"Set accumulation to a multiple of {self.size}, or launch fewer processes.",
            )


ALONE = Team()


class SilentLog(EventLog):
    """The log of a process that is not the leader: it keeps what it has to say to itself."""

    def __init__(self) -> None:
        """Open nothing."""

    def append(self, event: AnyEvent) -> int:
        """Drop the event."""
        return 0
