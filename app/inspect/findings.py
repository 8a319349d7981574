"""What an inspection looks at, and what it says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.collect.duplicates import Decision, Pair
from app.collect.facts import PictureFacts
from app.contract.buckets import Buckets, Fit
from app.contract.purposes import PurposeKey
from app.store.images import ImageRow
from app.store.provenance import Provenance

Severity = Literal["error", "warning", "hint"]
ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "hint": 2}
NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing: which rule, how grave, which image (or "dataset"), why, and what to do.

    `code` is the rule's short mark, `href` leads to the page where it is put right, `image_ids` are all that it means
    where they are several.
    """

    rule: str
    severity: Severity
    name: str
    reason: str
    fix: str
    image_id: int | None = None
    code: str = ""
    href: str = ""
    image_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the rules look at: images, where their originals are, and the resolution they train at.

    `measures` are the facts of originals by their hash, `pairs` the alike ones with what was decided of them,
    `origins` where each image came from; without a base model the resolution is a guess. `views` is how many pictures
    a planned run would look at, None before a plan; `unmeasured` are the names of images whose originals came in before
    everything was measured that is today. With `enlarges` small images are scaled up to their bucket.
    """

    rows: Sequence[ImageRow]
    originals: Sequence[Path]
    trigger_word: str
    resolution_px: int
    bucket_step_px: int
    project_id: int = 0
    purpose: PurposeKey | None = None
    alpha_is_decided: bool = True
    has_base: bool = True
    measures: Mapping[str, PictureFacts] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    decisions: Sequence[Decision] = ()
    origins: Mapping[int, Provenance] = field(default_factory=dict)
    views: int | None = None
    unmeasured: Sequence[str] = ()
    enlarges: bool = True

    @property
    def training(self) -> list[ImageRow]:
        """The images that train: not those held out, nor those that keep the class in mind."""
        return [row for row in self.rows if row.split == "train"]

    def fits(self) -> Iterator[tuple[ImageRow, Fit]]:
        """Each image with its place in a bucket."""
        buckets = Buckets(self.resolution_px, self.bucket_step_px, self.enlarges)
        for row in self.rows:
            yield row, buckets.fit(row.size)

    def measured(self) -> Iterator[tuple[ImageRow, PictureFacts]]:
        """Each image whose original was measured, and can still be read as far as is known."""
        for row in self.rows:
            if (found := self.measures.get(row.sha256)) and not found.unreadable:
                yield row, found

    def page(self, name: str) -> str:
        """The address of one of the project's pages."""
        return f"/projects/{self.project_id}/{name}"


def image_page(row: ImageRow) -> str:
    """Where an image and its caption are edited."""
    return f"/images/{row.id}"


def named(names: Sequence[str]) -> str:
    """A few names, and how many there are besides."""
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
