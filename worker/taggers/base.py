"""The one question that a tag run asks of any model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from app.contract.rundir import DatasetRow
from app.contract.suggestions import Answer, Subject


@dataclass(frozen=True)
class View:
    """An image as the model gets to see it: polished by its recipe."""

    row: DatasetRow
    picture: Image.Image


@dataclass(frozen=True)
class Said:
    """What a model says of an image, or in `note` why it says nothing; `subject` is where it sees one."""

    answers: tuple[Answer, ...] = ()
    note: str = ""
    subject: Subject | None = None


class Tagger(Protocol):
    """A loaded model."""

    @property
    def batch(self) -> int:
        """How many images it looks at together."""
        ...

    def look(self, views: Sequence[View]) -> list[Said]:
        """Say what is in each image, in their order. Raises WorkerError when no image would fare better."""
        ...
