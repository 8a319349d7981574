"""Splits: which images train, which are held out and which keep the class in mind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.contract.splits import Split
from app.errors import Invalid
from app.store.edits import new_step, write_fields
from app.store.models import Image

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class SplitCounts:
    """How many images of a project have each use."""

    train: int
    held_out: int
    regularisation: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.train + self.held_out + self.regularisation


def read_split(text: str) -> Split:
    """Read a split as a form sends it. Raises Invalid."""
    found = next((split for split in SPLITS if split == text), None)
    if found is None:
        raise Invalid(f"{text[:40] or 'Nothing'} is no use of an image.", f"Choose one of {', '.join(SPLITS)}.")
    return found


def counts(session: Session, project_id: int) -> SplitCounts:
    """Count the images of each use."""
    query = select(Image.split, func.count()).where(Image.project_id == project_id).group_by(Image.split)
    found = {row[0]: row[1] for row in session.execute(query)}
    return SplitCounts(found.get("train", 0), found.get("held-out", 0), found.get("regularisation", 0))


def ids(session: Session, project_id: int, split: Split) -> list[int]:
    """The images of one use, in the order they were added."""
    query = select(Image.id).where(Image.project_id == project_id, Image.split == split)
    return list(session.scalars(query.order_by(Image.id)))


def set_split(
    session: Session, project_id: int, image_ids: Sequence[int], split: Split, by: str, *, batch: str = ""
) -> int:
    """Give images a use, as one step or as part of `batch`; return how many changed. Ids that are gone pass by."""
    step = new_step(project_id, by, batch)
    return len(write_fields(session, step, {image_id: {"split": split} for image_id in image_ids}))
