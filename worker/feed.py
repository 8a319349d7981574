"""What the training loop eats: each step's latents, conditioning and noise, with unreadable pictures left out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from app.contract.buckets import Fit
from app.contract.events import EventLog, PhaseChanged, Warned
from app.contract.rundir import DatasetRow
from app.contract.spec import Data, Prompt
from worker.cache import Conditioning, Latents, UnreadablePicture
from worker.data import Order, Visit
from worker.errors import EmptyDataset
from worker.memory import Machine
from worker.objectives import Noising, seed_of, step_generator
from worker.team import ALONE, Team

UNREADABLE_SHARE = 0.05
NAMES_SHOWN = 5


@dataclass(frozen=True)
class Batch:
    """One forward pass: latents and noise [B, C, h, w], timesteps and weights [B] on the device; texts and places.

    `areas` [B, 1, h, w] say how much each place counts; None where all count alike.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    weights: Tensor
    areas: Tensor | None
    texts: tuple[str, ...]
    places: tuple[Fit, ...]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Seen:
    """A picture of a batch as it is read: its place in the planned batch, its latent and what of it counts."""

    number: int
    visit: Visit
    latent: Tensor
    area: Tensor | None


class Pictures:
    """The dataset's latents; pictures that cannot be read are named once, left out, and too many end the run."""

    def __init__(self, latents: Latents, order: Order, data: Data, log: EventLog) -> None:
        self._latents = latents
        self._order = order
        self._rows = [*order.rows, *order.held_out]
        self._data = data
        self._log = log
        self._lost: dict[str, str] = {}

    def shape(self, row: DatasetRow) -> tuple[int, int, int]:
        """The shape of a picture's latent, whether or not it can be read."""
        return self._latents.shape(row)

    def get(self, row: DatasetRow, *, is_mirrored: bool = False) -> Tensor | None:
        """Return a picture's latent, or None for a picture that is left out. Raises EmptyDataset past the limit."""
        if row.sha256 in self._lost:
            return None
        try:
            return self._latents.get(row, is_mirrored=is_mirrored)
        except UnreadablePicture as error:
            self._lose(row, str(error))
            return None

    def see(self, number: int, visit: Visit) -> Seen | None:
        """Return a visit's picture with what of it counts, or None for one that is left out. Raises as `get`."""
        latent = self.get(visit.row, is_mirrored=visit.is_mirrored)
        if latent is None:
            return None
        try:
            return Seen(number, visit, latent, self._area(visit))
        except UnreadablePicture as error:
            self._lose(visit.row, str(error))
            return None

    def fill(self, team: Team = ALONE) -> Iterator[str]:
        """Encode this process's share of the pictures that are not yet cached, yielding each name when it is done."""
        with self._latents.ready():
            for row in self._rows[team.rank :: team.size]:
                sides = (False, True) if self._order.mirrors and row.split != "held-out" else (False,)
                for is_mirrored in sides:
                    self.see(0, Visit(row, "", is_mirrored))
                yield row.name

    def alive(self) -> list[DatasetRow]:
        """The training pictures that are not left out, in the dataset's order."""
        return [row for row in self._order.rows if row.sha256 not in self._lost]

    @property
    def count(self) -> int:
        """How many pictures there are, held-out ones too."""
        return len(self._rows)

    def _area(self, visit: Visit) -> Tensor | None:
        if not self._data.uses_masks:
            return None
        outside = self._data.unmasked_weight
        return outside + (1 - outside) * self._latents.area(visit.row, is_mirrored=visit.is_mirrored)

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

    def __init__(
        self, order: Order, pictures: Pictures, machine: Machine, noising: Noising, team: Team = ALONE
    ) -> None:
        self._order = order
        self._pictures = pictures
        self._machine = machine
        self._noising = noising
        self._seed = noising.settings.seed
        self._team = team

    def fill(
        self,
        log: EventLog,
        conditioning: Conditioning,
        texts: Sequence[str],
        prompts: Sequence[Prompt],
        check: Callable[[], None],
    ) -> None:
        """Encode all pictures and, where conditioning is cached, all texts and prompts, telling how far it is."""
        all_texts = [*texts, *(text for prompt in prompts for text in (prompt.text, prompt.negative))]
        wanted = list(dict.fromkeys(all_texts))[self._team.rank :: self._team.size]
        pictures = len(range(self._team.rank, self._pictures.count, self._team.size))
        total = pictures + (len(wanted) if conditioning.is_cached else 0)
        log.append(PhaseChanged(phase="caching", done=0, total=total))
        work = chain(self._pictures.fill(self._team), conditioning.fill(wanted))
        for done, _ in enumerate(work, start=1):
            check()
            if done == total or done % max(1, total // 50) == 0:
                log.append(PhaseChanged(phase="caching", done=done, total=total))
        if self._team.size > 1:
            self._team.wait()
            # From the cache now, so that every process knows every picture that is left out.
            for _ in self._pictures.fill():
                check()

    def names_of(self, step: int) -> list[str]:
        """Name the pictures that the update after `step` finished steps sees."""
        return list(dict.fromkeys(visit.row.name for visits in self._order.of_step(step) for visit in visits))

    def of_step(self, step: int) -> list[Batch]:
        """Return this process's share of the batches that the update after `step` finished steps gathers.

        Timesteps and noise are drawn for each batch as planned, so a picture left out shifts nothing for the others.
        """
        generator = step_generator(self._seed, step)
        batches = []
        for number, visits in enumerate(self._order.of_step(step)):
            timesteps, noise = self._noising.draw(generator, (len(visits), *self._pictures.shape(visits[0].row)))
            if number % self._team.size != self._team.rank:
                continue
            read = [self._pictures.see(place, visit) for place, visit in enumerate(visits)]
            alive = [seen for seen in read if seen is not None]
            if not alive:
                seen = self._stand_in(step, number)
                alive = [seen]
                own = torch.Generator().manual_seed(seed_of(self._seed, step, number, "stand-in"))
                timesteps, noise = self._noising.draw(own, (1, *seen.latent.shape))
            batches.append(self._batch(alive, timesteps, noise))
        return batches

    def _stand_in(self, step: int, number: int) -> Seen:
        """When a whole batch cannot be read, a picture that can takes its place: a step always trains on something."""
        while rows := self._pictures.alive():
            row = rows[seed_of(self._seed, step, number) % len(rows)]
            seen = self._pictures.see(0, self._order.plain_visit(row))
            if seen is not None:
                return seen
        raise EmptyDataset("None of the pictures can be read.", "Add them to the project again.")

    def _batch(self, alive: Sequence[Seen], timesteps: Tensor, noise: Tensor) -> Batch:
        kept = torch.tensor([seen.number for seen in alive])
        areas = [seen.area for seen in alive if seen.area is not None]
        return Batch(
            latents=self._sent(torch.stack([seen.latent for seen in alive])),
            noise=self._sent(noise[kept]),
            timesteps=self._sent(timesteps[kept]),
            weights=self._sent(torch.tensor([seen.visit.weight for seen in alive])),
            areas=self._sent(torch.stack(areas)) if areas else None,
            texts=tuple(seen.visit.text for seen in alive),
            places=tuple(seen.visit.place for seen in alive),
        )

    def _sent(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._machine.device, non_blocking=True)
