"""What the training loop eats: each step's latents, conditioning and noise, with unreadable pictures left out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from app.contract.buckets import Fit
from app.contract.events import EventLog, PhaseChanged, Warned
from app.contract.rundir import DatasetRow
from app.contract.spec import Prompt
from worker.cache import Conditioning, Latents, UnreadablePicture
from worker.data import Order, Visit
from worker.errors import EmptyDataset
from worker.memory import Machine
from worker.objectives import draw, seed_of, step_generator

UNREADABLE_SHARE = 0.05
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Batch:
    """One forward pass: latents and noise [B, C, h, w] and timesteps [B] on the device, texts and places in order."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    texts: tuple[str, ...]
    places: tuple[Fit, ...]

    def __len__(self) -> int:
        return len(self.texts)


class Pictures:
    """The dataset's latents; pictures that cannot be read are named once, left out, and too many end the run."""

    def __init__(self, latents: Latents, rows: Sequence[DatasetRow], log: EventLog) -> None:
        self._latents = latents
        self._rows = rows
        self._log = log
        self._lost: dict[str, str] = {}

    def get(self, row: DatasetRow) -> Tensor | None:
        """Return a picture's latent, or None for a picture that is left out. Raises EmptyDataset past the limit."""
        if row.sha256 in self._lost:
            return None
        try:
            return self._latents.get(row)
        except UnreadablePicture as error:
            self._lose(row, str(error))
            return None

    def fill(self) -> Iterator[str]:
        """Encode every picture that is not yet cached, yielding its name when that is done."""
        with self._latents.ready():
            for row in self._rows:
                self.get(row)
                yield row.name

    def alive(self) -> list[DatasetRow]:
        """The pictures that are not left out, in the dataset's order."""
        return [row for row in self._rows if row.sha256 not in self._lost]

    def _lose(self, row: DatasetRow, reason: str) -> None:
        self._lost[row.sha256] = row.name
        self._log.append(
            Warned(
                message=f"The picture {row.name} is left out: {reason}.",
                hint="Add it to the project again and train again, if it matters.",
            )
        )
        # One bad picture never ends a run, however small the dataset.
        if not self.alive() or len(self._lost) > max(1, UNREADABLE_SHARE * len(self._rows)):
            names = list(self._lost.values())
            shown = ", ".join(names[:NAMES_SHOWN]) + (" and others" if len(names) > NAMES_SHOWN else "")
            raise EmptyDataset(
                f"{len(names)} of {len(self._rows)} pictures cannot be read: {shown}.",
                "Add these pictures to the project again, then start a new run.",
            )


class Feed:
    """Batches of a run, the same for the same step however often it is asked."""

    def __init__(self, order: Order, pictures: Pictures, machine: Machine, timesteps: int, seed: int) -> None:
        self._order = order
        self._pictures = pictures
        self._machine = machine
        self._timesteps = timesteps
        self._seed = seed

    def fill(
        self,
        log: EventLog,
        conditioning: Conditioning,
        texts: Sequence[str],
        prompts: Sequence[Prompt],
        check: Callable[[], None],
    ) -> None:
        """Encode all pictures and, where conditioning is cached, all texts and prompts, telling how far it is."""
        wanted = list(dict.fromkeys([*texts, *(text for prompt in prompts for text in (prompt.text, prompt.negative))]))
        total = len(self._order.rows) + (len(wanted) if conditioning.is_cached else 0)
        log.append(PhaseChanged(phase="caching", done=0, total=total))
        work = chain(self._pictures.fill(), conditioning.fill(wanted))
        for done, _ in enumerate(work, start=1):
            check()
            if done == total or done % max(1, total // 50) == 0:
                log.append(PhaseChanged(phase="caching", done=done, total=total))

    def names_of(self, step: int) -> list[str]:
        """Name the pictures that the update after `step` finished steps sees."""
        return list(dict.fromkeys(visit.row.name for visits in self._order.of_step(step) for visit in visits))

    def of_step(self, step: int) -> list[Batch]:
        """Return the batches that the update after `step` finished steps gathers.

        Timesteps and noise are drawn for each batch as planned, so a picture left out shifts nothing for the others.
        """
        generator = step_generator(self._seed, step)
        batches = []
        for number, visits in enumerate(self._order.of_step(step)):
            read = [(place, visit, self._pictures.get(visit.row)) for place, visit in enumerate(visits)]
            alive = [(place, visit, latent) for place, visit, latent in read if latent is not None]
            if not alive:
                alive = [self._stand_in(step, number)]
            shape = (len(visits), *alive[0][2].shape)
            timesteps, noise = draw(generator, self._timesteps, shape)
            batches.append(self._batch(alive, timesteps, noise))
        return batches

    def _stand_in(self, step: int, number: int) -> tuple[int, Visit, Tensor]:
        """When a whole batch cannot be read, a picture that can takes its place: a step always trains on something."""
        while rows := self._pictures.alive():
            row = rows[seed_of(self._seed, step, number) % len(rows)]
            latent = self._pictures.get(row)
            if latent is not None:
                return 0, Visit(row, row.text), latent
        raise EmptyDataset("None of the pictures can be read.", "Add them to the project again.")

    def _batch(self, alive: Sequence[tuple[int, Visit, Tensor]], timesteps: Tensor, noise: Tensor) -> Batch:
        kept = torch.tensor([place for place, _, _ in alive])
        device = self._machine.device
        return Batch(
            latents=torch.stack([latent for _, _, latent in alive]).to(device, non_blocking=True),
            noise=noise[kept].to(device, non_blocking=True),
            timesteps=timesteps[kept].to(device, non_blocking=True),
            texts=tuple(visit.text for _, visit, _ in alive),
            places=tuple(visit.place for _, visit, _ in alive),
        )
