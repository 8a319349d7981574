"""The loss on held-out pictures, with noise and timesteps that never change, beside the same on training pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from app.contract.events import EventLog, Metric, Warned
from app.contract.rundir import DatasetRow
from app.contract.spec import Optimization, Validation
from app.contract.state import RunState
from worker.cache import Conditioning
from worker.data import Order, Visit
from worker.families.base import Family
from worker.feed import Pictures
from worker.memory import Machine, untouched
from worker.objectives import seed_of
from worker.shortage import tried

PLAIN = Optimization(loss="l2", weighting="none")
"""Measured without weights, so that runs of different settings can be compared."""

HELD_OUT, TWIN = "held_out_loss", "train_loss_fixed"
RATIOS = {HELD_OUT: "held_out_ratio", TWIN: "train_ratio_fixed"}
"""What a loss became of its own at step 0, before anything was learnt."""


@dataclass(frozen=True)
class Examiner:
    """Measures the LoRA as it is now, leaving no trace in training; `batch` bounds what is asked at once."""

    family: Family
    conditioning: Conditioning
    pictures: Pictures
    order: Order
    machine: Machine
    settings: Validation
    batch: int
    check: Callable[[], None]

    @property
    def is_on(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self.order.held_out) and self.settings.every_steps > 0

    def is_due(self, step: int, steps: int) -> bool:
        """Whether the step is one to measure at: each so many, the first and the last."""
        return self.is_on and (step % self.settings.every_steps == 0 or step == steps)

    def subjects(self) -> dict[str, list[DatasetRow]]:
        """Return what is looked at: held-out pictures, and as many of the training ones, spread over the dataset."""
        held_out = _spread(self.order.held_out, self.settings.most_images)
        training = [row for row in self.order.rows if row.split == "train"]
        return {HELD_OUT: held_out, TWIN: _spread(training, len(held_out))}

    def measure(self) -> dict[str, float]:
        """Return the mean loss of each kind of picture; of none that can't be read."""
        parts = self.family.parts
        found = {}
        with untouched([parts.denoiser, *parts.text_encoders]):
            for name, rows in self.subjects().items():
                losses = [loss for row in rows if (loss := self._loss(row)) is not None]
                if losses:
                    found[name] = float(torch.stack(losses).mean())
        return found

    def report(self, step: int, log: EventLog, before: RunState) -> None:
        """Append the losses, and each as a share of its own at step 0 where that is known."""
        found = self._measured_if_memory_allows()
        if found is None:
            log.append(
                Warned(
                    message=f"Held-out loss of step {step:,} left out: memory ran out, also one timestep at a time. "
                    "Training goes on.",
                    hint="Close other programs that use the GPU.",
                )
            )
            return
        starts = {metric.name: metric.value for metric in before.metrics if metric.step == 0}
        for name, value in found.items():
            log.append(Metric(step=step, name=name, value=value))
            start = value if step == 0 else starts.get(name)
            if start:
                log.append(Metric(step=step, name=RATIOS[name], value=value / start))

    def _measured_if_memory_allows(self) -> dict[str, float] | None:
        device = self.machine.device
        found = tried(self.measure, device)
        return tried(replace(self, batch=1).measure, device) if found is None else found

    def _loss(self, row: DatasetRow) -> "torch.Tensor | None":
        self.check()
        latent = self.pictures.get(row)
        if latent is None:
            return None
        objective, device = self.family.objective, self.machine.device
        count = self.settings.timesteps
        timesteps = torch.tensor([objective.timesteps * (place + 1) // (count + 1) for place in range(count)])
        generator = torch.Generator().manual_seed(seed_of("held-out", row.sha256))
        noise = torch.randn((count, *latent.shape), generator=generator)
        text, place = self.order.plain_text(row), Visit(row, "").place
        losses = []
        for start in range(0, count, self.batch):
            times = timesteps[start : start + self.batch].to(device)
            noises = noise[start : start + self.batch].to(device)
            latents = latent.to(device).expand_as(noises)
            texts = self.conditioning.of([text] * len(times))
            answer = self.family.predict(objective.noisy(latents, noises, times), times, texts, [place] * len(times))
            losses.append(objective.losses(answer, objective.target(latents, noises, times), times, PLAIN))
        return torch.cat(losses).mean()


def _spread(rows: Sequence[DatasetRow], most: int) -> list[DatasetRow]:
    count = min(most, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]
