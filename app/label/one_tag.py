"""One tag through many images: those over which somebody is in doubt come first. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.label.suggestions import Seen

NEAR = 0.25
"""How far from its threshold a score still leaves a doubt."""


class Limits(NamedTuple):
    """From which confidence on a tagger says a tag, and a character's name."""

    general: float = 0.35
    character: float = 0.85

    def of(self, category: str) -> float:
        """The threshold of a category."""
        return self.character if category == "character" else self.general


@dataclass(frozen=True)
class Asked:
    """An image that is asked about; `confidence` is the most doubtful score that a model gave, None for none."""

    id: int
    confidence: float | None


def in_doubt_first(
    ids: Sequence[int],
    has: Collection[int],
    scores: Mapping[int, Sequence[Seen]],
    limits: Mapping[str, Limits],
) -> list[Asked]:
    """Order images for a tag: doubtful ones by how near they are to the threshold, unknown ones, then the sure ones.

    `has` are the images whose caption says it, `limits` those of each model. A score against the caption is a doubt.
    """
    doubtful: list[tuple[float, Asked]] = []
    unknown: list[Asked] = []
    sure: list[tuple[float, Asked]] = []
    for image_id in ids:
        found = [
            (each.confidence - limits.get(each.model, Limits()).of(each.category), each)
            for each in scores.get(image_id, ())
        ]
        if not found:
            unknown.append(Asked(image_id, None))
            continue
        distance, nearest = min(found, key=lambda each: abs(each[0]))
        is_against = any((above >= 0) != (image_id in has) for above, _ in found)
        group = doubtful if is_against or abs(distance) <= NEAR else sure
        group.append((abs(distance), Asked(image_id, nearest.confidence)))
    return [
        *(asked for _, asked in sorted(doubtful, key=lambda each: each[0])),
        *unknown,
        *(asked for _, asked in sorted(sure, key=lambda each: each[0])),
    ]
