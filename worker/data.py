"""The data order: which pictures, with which texts, every batch holds; a pure function of seed and position."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from app.contract.buckets import Fit, Size, fit
from app.contract.captions import vary
from app.contract.rundir import DatasetRow
from app.contract.spec import Data, TrainSpec

EPOCHS_REMEMBERED = 2
VISITS_LOOKED_AT = 200_000
"""A longer run's texts are not listed ahead: listing them would take longer than it saves."""


@dataclass(frozen=True)
class Visit:
    """One picture in a batch with the text it is shown with this time."""

    row: DatasetRow
    text: str

    @property
    def place(self) -> Fit:
        """How the picture lies in its bucket."""
        return fit(self.row.size, (self.row.bucket,))


class Order:
    """Batches of one bucket each; an epoch visits every picture as often as it repeats, none is dropped.

    A batch is found by its position since the start of training, so a resumed run needs nothing but its step.
    """

    def __init__(self, rows: Sequence[DatasetRow], spec: TrainSpec) -> None:
        self.rows = rows
        self._data: Data = spec.data
        self._batch = spec.optimization.batch
        self._accumulation = spec.optimization.accumulation
        self._seed = spec.optimization.seed
        self._epoch = lru_cache(maxsize=EPOCHS_REMEMBERED)(self._shuffled)
        self.batches_per_epoch = len(self._epoch(0))

    def of_step(self, step: int) -> list[list[Visit]]:
        """Return the batches that the update after `step` finished steps gathers."""
        first = step * self._accumulation
        return [self.batch(position) for position in range(first, first + self._accumulation)]

    def batch(self, position: int) -> list[Visit]:
        """Return the batch at a position."""
        epoch, place = divmod(position, self.batches_per_epoch)
        return [Visit(row, self.text(row, epoch)) for row in self._epoch(epoch)[place]]

    def text(self, row: DatasetRow, epoch: int) -> str:
        """Return a picture's training text in an epoch."""
        return vary(
            row.text,
            Random(f"{self._seed}/{epoch}/{row.sha256}"),
            shuffles=self._data.shuffles_tags,
            keep=self._data.keep_tags,
            dropout=self._data.caption_dropout,
        )

    def texts(self, steps: int, most: int) -> list[str] | None:
        """Return the different texts of a whole run in their order, or None when there are more than `most`."""
        found = {row.text: None for row in self.rows}
        if self._data.caption_dropout:
            found[""] = None
        if self._data.shuffles_tags:
            epochs = steps * self._accumulation // self.batches_per_epoch + 1
            if epochs * len(self.rows) > VISITS_LOOKED_AT:
                return None
            for epoch in range(epochs):
                found |= {self.text(row, epoch): None for row in self.rows}
        return list(found) if len(found) <= most else None

    def _shuffled(self, epoch: int) -> list[list[DatasetRow]]:
        random = Random(f"{self._seed}/{epoch}")
        buckets: dict[Size, list[DatasetRow]] = {}
        for row in self.rows:
            buckets.setdefault(row.bucket, []).extend([row] * row.repeats)
        batches = []
        for _, rows in sorted(buckets.items()):
            random.shuffle(rows)
            batches += [rows[start : start + self._batch] for start in range(0, len(rows), self._batch)]
        random.shuffle(batches)
        return batches
