"""Inspection: facts of a dataset in, findings out, one small function a rule."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.contract.buckets import Fit, Size, fit, make_buckets
from app.store.images import ImageRow

Severity = Literal["error", "warning", "hint"]
FEW_IMAGES = 10
HEAVY_CROP_SHARE = 0.15


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing: which rule, how grave, which image (None: the dataset), why, and what to do."""

    rule: str
    severity: Severity
    name: str
    reason: str
    fix: str
    image_id: int | None = None


@dataclass(frozen=True)
class Facts:
    """What the rules look at: images, where their originals are, and the resolution they train at."""

    rows: Sequence[ImageRow]
    originals: Sequence[Path]
    trigger_word: str
    resolution_px: int
    bucket_step_px: int

    def fits(self) -> Iterator[tuple[ImageRow, Fit]]:
        """Each image with its place in a bucket."""
        buckets = make_buckets(self.resolution_px, self.bucket_step_px)
        for row in self.rows:
            yield row, fit(Size(row.width_px, row.height_px), buckets)


def too_few(facts: Facts) -> Iterator[Finding]:
    """A dataset too small to learn from without copying."""
    count = len(facts.rows)
    if not count:
        yield Finding("too-few", "error", "dataset", "It has no images.", "Add images.")
    elif count < FEW_IMAGES:
        yield Finding(
            "too-few",
            "warning",
            "dataset",
            f"It has {count} images; under {FEW_IMAGES} a LoRA tends to copy them.",
            "Add varied images.",
        )


def original_missing(facts: Facts) -> Iterator[Finding]:
    """An original that is gone from the disk."""
    for row, path in zip(facts.rows, facts.originals, strict=True):
        if not path.is_file():
            yield Finding("original-missing", "error", row.name, "Its file is gone.", "Add the image again.", row.id)


def no_caption(facts: Facts) -> Iterator[Finding]:
    """An image without words."""
    for row in facts.rows:
        if not (row.caption or "").strip():
            yield Finding(
                "no-caption",
                "warning",
                row.name,
                "It has no caption, so everything in it binds to the trigger word.",
                "Say what is in the image.",
                row.id,
            )


def no_trigger(facts: Facts) -> Iterator[Finding]:
    """A dataset nothing calls by name."""
    if not facts.trigger_word:
        yield Finding(
            "no-trigger",
            "warning",
            "dataset",
            "There is no trigger word, so the LoRA acts on every prompt.",
            "Set one on the project's page.",
        )


def upscaled(facts: Facts) -> Iterator[Finding]:
    """An image smaller than its bucket."""
    for row, place in facts.fits():
        if place.upscaled:
            yield Finding(
                "upscaled",
                "warning",
                row.name,
                f"{row.width_px}×{row.height_px} is smaller than its bucket "
                f"{place.bucket.width}×{place.bucket.height}: pixels are invented.",
                "Use a larger original or a lower resolution.",
                row.id,
            )


def heavy_crop(facts: Facts) -> Iterator[Finding]:
    """An image that loses much to its bucket."""
    for row, place in facts.fits():
        if place.lost > HEAVY_CROP_SHARE:
            yield Finding(
                "heavy-crop",
                "warning",
                row.name,
                f"{place.lost:.0%} of it is cut away to fit {place.bucket.width}×{place.bucket.height}.",
                "Crop it by hand to the part that matters.",
                row.id,
            )


def same_caption(facts: Facts) -> Iterator[Finding]:
    """Images that share one text word for word."""
    by_text: dict[str, list[ImageRow]] = {}
    for row in facts.rows:
        if text := (row.caption or "").strip():
            by_text.setdefault(text, []).append(row)
    for rows in by_text.values():
        if len(rows) > 1:
            yield Finding(
                "same-caption",
                "hint",
                rows[0].name,
                f"{len(rows)} images share its caption word for word.",
                "Describe what differs between them.",
                rows[0].id,
            )


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    too_few,
    original_missing,
    no_caption,
    no_trigger,
    upscaled,
    heavy_crop,
    same_caption,
)
ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "hint": 2}


def inspect(facts: Facts) -> list[Finding]:
    """Run every rule; graver findings first."""
    findings = [finding for rule in RULES for finding in rule(facts)]
    return sorted(findings, key=lambda finding: ORDER[finding.severity])
