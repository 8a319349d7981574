"""The data order: which pictures, with which texts, every batch holds; a pure function of seed and position."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from app.contract.buckets import Fit, Size
from app.contract.captions import compose, vary
from app.contract.rundir import DatasetRow
from app.contract.spec import Data, TrainSpec

EPOCHS_REMEMBERED = 2
VISITS_LOOKED_AT = 200_000
"""A longer run's texts are not listed ahead: listing them would take longer than it saves."""


@dataclass(frozen=True)
class Visit:
    """One picture in a batch with the text it is shown with this time, mirrored or as it is."""

    row: DatasetRow
    text: str
    is_mirrored: bool = False
    weight: float = 1.0

    @property
    def place(self) -> Fit:
        """How the picture lies in its bucket; a mirrored one was cropped from the other side."""
        place = self.row.place
        if not self.is_mirrored:
            return place
        return replace(place, left=place.scaled.width - place.bucket.width - place.left)


@dataclass(frozen=True)
class Turn:
    """A picture's place in an epoch: the how manieth of its repeats."""

    row: DatasetRow
    repeat: int


class Order:
    """Batches of one bucket each; an epoch visits every picture as often as it repeats, none is dropped.

    A batch is found by its position since the start of training, so a resumed run needs nothing but its step.
    Held-out pictures are in no batch.
    """

    def __init__(self, rows: Sequence[DatasetRow], spec: TrainSpec) -> None:
        self.rows = [row for row in rows if row.split != "held-out"]
        self.held_out = [row for row in rows if row.split == "held-out"]
        self._data: Data = spec.data
        self._batch = spec.optimization.batch
        self._accumulation = spec.optimization.accumulation
        self._seed = spec.optimization.seed
        self._epoch = lru_cache(maxsize=EPOCHS_REMEMBERED)(self._shuffled)
        self.batches_per_epoch = len(self._epoch(0))

    @property
    def mirrors(self) -> bool:
        """Whether pictures are also shown mirrored."""
        return self._data.mirrors

    def of_step(self, step: int) -> list[list[Visit]]:
        """Return the batches that the update after `step` finished steps gathers."""
        first = step * self._accumulation
        return [self.batch(position) for position in range(first, first + self._accumulation)]

    def batch(self, position: int) -> list[Visit]:
        """Return the batch at a position."""
        epoch, place = divmod(position, self.batches_per_epoch)
        return [self._visit(turn, epoch) for turn in self._epoch(epoch)[place]]

    def text(self, row: DatasetRow, epoch: int, repeat: int = 0) -> str:
        """Return a picture's training text at a visit: drawn afresh, or one of its variants."""
        name = f"{self._seed}/{epoch}/{row.sha256}" + (f"/{repeat}" if repeat else "")
        if not self._data.text_variants:
            return vary(self._source(row), Random(name), self._data)
        random = Random(name)
        if random.random() < self._data.caption_dropout:
            return ""
        return self._variant(row, random.randrange(self._data.text_variants))

    def plain_text(self, row: DatasetRow) -> str:
        """Return a picture's training text with nothing left out and in its own order."""
        plain = {"shuffles_tags": False, "tag_dropout": 0.0, "caption_dropout": 0.0, "lines": "first"}
        return vary(self._source(row), Random(row.sha256), self._data.model_copy(update=plain))

    def plain_visit(self, row: DatasetRow) -> Visit:
        """Return a visit of a picture as it is, with its plain text and the weight that all of its visits have."""
        return Visit(row, self.plain_text(row), weight=self._weight(row))

    def texts(self, steps: int, most: int) -> list[str] | None:
        """Return the different texts of a whole run in their order, or None when there are more than `most`."""
        found = {self.plain_text(row): None for row in (*self.rows, *self.held_out)}
        if self._data.caption_dropout:
            found[""] = None
        if self._data.text_variants:
            variants = range(self._data.text_variants)
            found |= {self._variant(row, number): None for row in self.rows for number in variants}
        elif self._varies:
            epochs = steps * self._accumulation // self.batches_per_epoch + 1
            if epochs * sum(row.repeats for row in self.rows) > VISITS_LOOKED_AT:
                return None
            found |= {text: None for epoch in range(epochs) for text in self._texts_of(epoch)}
        return list(found) if len(found) <= most else None

    @property
    def _varies(self) -> bool:
        data = self._data
        return data.shuffles_tags or data.tag_dropout > 0 or data.uses_wildcards or data.lines == "any"

    def _texts_of(self, epoch: int) -> Iterator[str]:
        for row in self.rows:
            for repeat in range(row.repeats):
                yield self.text(row, epoch, repeat)

    def _variant(self, row: DatasetRow, number: int) -> str:
        whole = self._data.model_copy(update={"caption_dropout": 0.0})
        return vary(self._source(row), Random(f"{self._seed}/variant {number}/{row.sha256}"), whole)

    def _source(self, row: DatasetRow) -> str:
        """Regularisation pictures show the class that the trigger word is told apart from."""
        return compose(row.caption, "") if row.split == "regularisation" else row.text

    def _visit(self, turn: Turn, epoch: int) -> Visit:
        row = turn.row
        # Counted over all visits, so that each picture is mirrored at every second one.
        visits = epoch * row.repeats + turn.repeat + int(row.sha256[:8], 16) + self._seed
        is_mirrored = self._data.mirrors and visits % 2 == 1
        return Visit(row, self.text(row, epoch, turn.repeat), is_mirrored, self._weight(row))

    def _weight(self, row: DatasetRow) -> float:
        return row.weight * (self._data.prior_weight if row.split == "regularisation" else 1.0)

    def _shuffled(self, epoch: int) -> list[list[Turn]]:
        random = Random(f"{self._seed}/{epoch}")
        buckets: dict[Size, list[Turn]] = {}
        for row in self.rows:
            buckets.setdefault(row.bucket, []).extend(Turn(row, repeat) for repeat in range(row.repeats))
        batches = []
        for _, turns in sorted(buckets.items()):
            random.shuffle(turns)
            batches += [turns[start : start + self._batch] for start in range(0, len(turns), self._batch)]
        random.shuffle(batches)
        return batches
