"""Telling how training goes: losses stay on the device and are read together, twice a second at most."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from app.contract.events import EventLog, Progress
from worker.errors import NonFiniteLoss

CAPACITY = 1024
FLUSH_S = 0.5
NEWEST_SHARE = 0.3
WAY_OUT = (
    "Lower the learning rate (a half, then a tenth), or choose precision fp32; if it fails at the first steps "
    "whatever the rate, the base model itself is damaged. The last checkpoint is whole."
)


class Reporter:
    """Gathers one loss a step in a ring on the device and appends them as Progress events."""

    def __init__(self, log: EventLog, steps: int, device: torch.device, names_of: Callable[[int], list[str]]) -> None:
        """`names_of` tells which pictures the update after a number of finished steps saw."""
        self._log = log
        self._steps = steps
        self._names_of = names_of
        self._ring = torch.zeros(CAPACITY, dtype=torch.float32, device=device)
        self._count = 0
        self._pictures = 0
        self._step = 0
        self._learning_rate = 0.0
        self._rate = 0.0
        self._step_s = 0.0
        self.restart_clock()

    def restart_clock(self) -> None:
        """Begin a new stretch of training, so that saving and sampling do not count as slow steps."""
        self._since = time.monotonic()

    def record(self, step: int, loss: Tensor, pictures: int, learning_rate: float) -> None:
        """Keep a finished step's loss; only now and then does this wait for the device. Raises as `flush`."""
        self._ring[self._count] = loss
        self._count += 1
        self._pictures += pictures
        self._step, self._learning_rate = step, learning_rate
        if self._count == CAPACITY or time.monotonic() - self._since >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Read the losses so far and append them. Raises NonFiniteLoss naming step and pictures."""
        if not self._count:
            return
        losses = self._ring[: self._count].tolist()
        are_finite = torch.isfinite(self._ring[: self._count]).tolist()
        first = self._step - self._count
        good = losses if all(are_finite) else losses[: are_finite.index(False)]
        if good:
            self._append(first + len(good), good)
        if len(good) < len(losses):
            bad = first + len(good)
            names = ", ".join(self._names_of(bad))
            raise NonFiniteLoss(f"The loss of step {bad + 1} is not a number; its pictures: {names}.", WAY_OUT)
        self._count = self._pictures = 0
        self.restart_clock()

    def _append(self, step: int, losses: list[float]) -> None:
        passed = max(1e-6, time.monotonic() - self._since)
        self._rate = _smoothed(self._rate, self._pictures / passed)
        self._step_s = _smoothed(self._step_s, passed / self._count)
        self._log.append(
            Progress(
                step=step,
                steps=self._steps,
                losses=tuple(losses),
                learning_rate=self._learning_rate,
                images_per_s=self._rate,
                eta_s=self._step_s * (self._steps - step),
            )
        )


def _smoothed(before: float, now: float) -> float:
    return now if not before else before + NEWEST_SHARE * (now - before)
