"""Which images to hold out: few, like the rest, and none with a near copy among those that train."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_IMAGES = 12
SHARE = 0.12
FEWEST, MOST = 2, 16
# Tags that nearly all images have, or hardly any, tell no strata apart.
COMMON_SHARES = (0.1, 0.9)


@dataclass(frozen=True)
class Choosable:
    """An image that may be held out: its near copies share `group`, `bucket` and `tags` say what it is like."""

    image_id: int
    sha256: str
    group: str
    bucket: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Proposal:
    """The images to hold out, in their order; `reason` says why there are none or fewer than wished for."""

    image_ids: tuple[int, ...]
    reason: str = ""


def wanted_count(images: int) -> int:
    """How many of so many images are held out: about one in eight, 2 to 16; none below 12."""
    return min(MOST, max(FEWEST, round(images * SHARE))) if images >= FEWEST_IMAGES else 0


def propose(images: Sequence[Choosable], seed: int = 0) -> Proposal:
    """Choose images whose buckets and tags are spread like those of all; equal images and seed, equal choice.

    Images without near copies come first; a group of copies is held out whole or not at all.
    """
    count = wanted_count(len(images))
    if not count:
        missing = FEWEST_IMAGES - len(images)
        return Proposal(
            (),
            f"With {len(images)} images every one is needed for training. "
            f"Add {missing} more to hold some out; {FEWEST_IMAGES} are enough.",
        )
    groups = _groups(images)
    singles = [group for group in groups if len(group) == 1]
    chosen = _spread(singles, images, count, seed)
    if len(chosen) < count:
        chosen += _small_groups([group for group in groups if len(group) > 1], count - len(chosen), seed)
    if not chosen:
        return Proposal((), "Nearly all images are near copies of each other. Decide about the duplicates first.")
    reason = "" if len(chosen) >= count else f"Only {len(chosen)} images have no near copy among those that train."
    return Proposal(tuple(sorted(each.image_id for each in chosen)), reason)


def _groups(images: Sequence[Choosable]) -> list[list[Choosable]]:
    groups: dict[str, list[Choosable]] = {}
    for each in images:
        groups.setdefault(each.group, []).append(each)
    return list(groups.values())


def _spread(
    singles: Sequence[Sequence[Choosable]], images: Sequence[Choosable], count: int, seed: int
) -> list[Choosable]:
    """Take one image after the other, each time the one that brings the chosen nearest to the whole."""
    targets = _targets(images, count)
    drawn = sorted((group[0] for group in singles), key=lambda each: _lot(each, seed))
    columns = {feature: place for place, feature in enumerate(targets)}
    has = np.zeros((len(drawn), len(columns)), dtype=np.float64)
    for place, each in enumerate(drawn):
        has[place, [columns[feature] for feature in _features(each) if feature in columns]] = 1
    wanted = np.array(list(targets.values()))
    have = np.zeros(len(columns))
    chosen: list[int] = []
    for _ in range(min(count, len(drawn))):
        # By how much each would lessen the squared distance to what is wanted; of equals the first, as drawn by lot.
        gains = np.round(has @ (2 * (wanted - have) - 1), 9)
        gains[chosen] = -np.inf
        best = int(gains.argmax())
        chosen.append(best)
        have += has[best]
    return [drawn[place] for place in chosen]


def _targets(images: Sequence[Choosable], count: int) -> dict[str, float]:
    """How many of the chosen should have each feature."""
    seen = Counter(feature for each in images for feature in _features(each))
    low, high = (share * len(images) for share in COMMON_SHARES)
    return {
        feature: number / len(images) * count
        for feature, number in seen.items()
        if feature.startswith("bucket:") or low <= number <= high
    }


def _features(image: Choosable) -> frozenset[str]:
    return image.tags | {f"bucket:{image.bucket}"}


def _lot(image: Choosable, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{image.sha256}".encode()).hexdigest()


def _small_groups(groups: Sequence[Sequence[Choosable]], room: int, seed: int) -> list[Choosable]:
    chosen: list[Choosable] = []
    for group in sorted(groups, key=lambda each: (len(each), _lot(each[0], seed))):
        if len(group) <= room - len(chosen):
            chosen += group
    return chosen
