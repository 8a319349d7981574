"""Telling how training goes: losses stay on the device and are read together, twice a second at most."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from app.contract.events import EventLog, Metric, Progress
from app.contract.memory import GB
from worker.errors import NonFiniteLoss
from worker.memory import peak_bytes

CAPACITY = 1024
FLUSH_S = 0.5
MEASURE_S = 15.0
NEWEST_SHARE = 0.3


def way_out(learning_rate: float) -> str:
    """Say which settings to change when training turned to no numbers."""
    return (
        f"Lower the learning rate, now {learning_rate:g} (a half, then a tenth), or choose precision fp32; if it fails "
        "at the first steps whatever the rate, the base model itself is damaged. The last checkpoint is whole."
    )


class Reporter:
    """Gathers each step's loss and gradient norm in a ring on the device and appends them as events."""

    def __init__(
        self,
        log: EventLog,
        steps: int,
        device: torch.device,
        names_of: Callable[[int], list[str]],
        *,
        checks_gradients: bool = True,
    ) -> None:
        """`names_of` tells which pictures the update after a number of finished steps saw."""
        self._checks_gradients = checks_gradients
        self._log = log
        self._steps = steps
        self._device = device
        self._names_of = names_of
        self._ring = torch.zeros(CAPACITY, 2, dtype=torch.float32, device=device)
        self._count = 0
        self._pictures = 0
        self._step = 0
        self._learning_rate = 0.0
        self._rate = 0.0
        self._step_s = 0.0
        self._norm = 0.0
        self._measured_at = time.monotonic()
        self.restart_clock()

    @property
    def way_out(self) -> str:
        """What to change when training turned to no numbers, with the rate of the last step."""
        return way_out(self._learning_rate)

    def restart_clock(self) -> None:
        """Begin a new stretch of training, so that saving and sampling do not count as slow steps."""
        self._since = time.monotonic()

    def record(self, step: int, loss: Tensor, norm: Tensor, pictures: int, learning_rate: float) -> None:
        """Keep a finished step's loss and gradient norm; only now and then does this wait for the device.

        Raises as `flush`.
        """
        self._ring[self._count, 0] = loss
        self._ring[self._count, 1] = norm
        self._count += 1
        self._pictures += pictures
        self._step, self._learning_rate = step, learning_rate
        if self._count == CAPACITY or time.monotonic() - self._since >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Read the losses so far and append them. Raises NonFiniteLoss naming step, pictures and setting."""
        if not self._count:
            return
        losses, norms = self._ring[: self._count].t().tolist()
        are_finite = torch.isfinite(self._ring[: self._count]).t().tolist()
        first = self._step - self._count
        bad_loss, bad_norm = _first_false(are_finite[0]), _first_false(are_finite[1])
        # The gradient of a step comes after its loss. With fp16 it overflows now and then, and the step is skipped.
        is_gradient = self._checks_gradients and bad_norm < bad_loss
        good = losses[: bad_norm + 1 if is_gradient else bad_loss]
        self._norm = norms[-1]
        if good:
            self._append(first + len(good), good)
        if is_gradient:
            raise self._broken("gradient", first + bad_norm)
        if len(good) < len(losses):
            raise self._broken("loss", first + bad_loss)
        self._count = self._pictures = 0
        if time.monotonic() - self._measured_at >= MEASURE_S:
            self.measure()
        self.restart_clock()

    def measure(self) -> None:
        """Append how training goes besides its loss, each as a number of its own."""
        self._measured_at = time.monotonic()
        found = {"grad_norm": self._norm, "learning_rate": self._learning_rate, "images_per_s": self._rate}
        if self._device.type == "cuda":
            found["peak_memory_gb"] = peak_bytes(self._device) / GB
        for name, value in found.items():
            self._log.append(Metric(step=self._step, name=name, value=value))

    def _broken(self, what: str, step: int) -> NonFiniteLoss:
        names = ", ".join(self._names_of(step))
        return NonFiniteLoss(f"The {what} of step {step + 1} is not a number; its pictures: {names}.", self.way_out)

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


def _first_false(flags: list[bool]) -> int:
    """Return the place of the first flag that is down, or their number."""
    return flags.index(False) if False in flags else len(flags)


def _smoothed(before: float, now: float) -> float:
    return now if not before else before + NEWEST_SHARE * (now - before)
