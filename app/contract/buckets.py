"""Aspect-ratio buckets: the (width, height) a picture trains at, and the part of it that is kept."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import log, sqrt

MAX_ASPECT = 4.0


@dataclass(frozen=True, order=True)
class Size:
    """A width and a height in pixels."""

    width: int
    height: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


@dataclass(frozen=True)
class Fit:
    """How a picture lands in its bucket: scaled to `scaled`, then cropped at `left`, `top` to `bucket`.

    `lost` is the share of the scaled picture outside the crop; `upscaled` says that pixels had to be invented.
    """

    original: Size
    scaled: Size
    bucket: Size
    left: int
    top: int

    @property
    def lost(self) -> float:
        """Share of the picture cut away, 0 to 1."""
        return 1 - self.bucket.area / self.scaled.area

    @property
    def upscaled(self) -> bool:
        """True when the picture is smaller than its bucket."""
        return self.scaled.width > self.original.width


def make_buckets(resolution_px: int, step_px: int) -> tuple[Size, ...]:
    """Return every bucket of about resolution² pixels whose sides are multiples of the step.

    For each width the tallest height that keeps the area within resolution²; both orientations; aspect at most 4:1
    (the range SDXL itself was trained on).
    """
    sizes = {Size(resolution_px, resolution_px)}
    limit = resolution_px * resolution_px
    for width in range(step_px, int(resolution_px * MAX_ASPECT) + 1, step_px):
        height = limit // width // step_px * step_px
        if height >= step_px and 1 / MAX_ASPECT <= width / height <= MAX_ASPECT:
            sizes |= {Size(width, height), Size(height, width)}
    return tuple(sorted(sizes))


@lru_cache(maxsize=16)
def _by_aspect(buckets: tuple[Size, ...]) -> tuple[tuple[float, ...], tuple[Size, ...]]:
    """The buckets in the order of the logarithm of their aspect, the largest alone where aspects are equal."""
    largest: dict[float, Size] = {}
    for bucket in sorted(buckets, key=lambda each: each.area):
        largest[log(bucket.aspect)] = bucket
    ordered = sorted(largest.items())
    return tuple(aspect for aspect, _ in ordered), tuple(bucket for _, bucket in ordered)


def nearest(picture: Size, buckets: tuple[Size, ...]) -> Size:
    """Return the bucket nearest in aspect ratio; ties go to the larger.

    Nearness is measured on the logarithm, so that 2:1 is as far from square as 1:2.
    """
    return _nearest(picture, *_by_aspect(buckets))


def _nearest(picture: Size, aspects: tuple[float, ...], ordered: tuple[Size, ...]) -> Size:
    own = log(picture.aspect)
    place = bisect_left(aspects, own)
    if place in (0, len(aspects)):
        return ordered[min(place, len(aspects) - 1)]
    narrow, wide = ordered[place - 1], ordered[place]
    ahead = round(own - aspects[place - 1], 9) - round(aspects[place] - own, 9)
    return narrow if ahead < 0 or (ahead == 0 and narrow.area >= wide.area) else wide


def fit(picture: Size, buckets: tuple[Size, ...]) -> Fit:
    """Centre the picture in the bucket nearest in aspect ratio: scale to cover, crop the rest."""
    return _centred(picture, nearest(picture, buckets))


def fits(pictures: Iterable[Size], buckets: tuple[Size, ...]) -> list[Fit]:
    """Fit many pictures, as `fit` does each."""
    aspects, ordered = _by_aspect(buckets)
    return [_centred(picture, _nearest(picture, aspects, ordered)) for picture in pictures]


def _centred(picture: Size, bucket: Size) -> Fit:
    scale = max(bucket.width / picture.width, bucket.height / picture.height)
    scaled = Size(max(bucket.width, round(picture.width * scale)), max(bucket.height, round(picture.height * scale)))
    return in_bucket(picture, scaled, bucket)


def in_bucket(picture: Size, scaled: Size, bucket: Size) -> Fit:
    """Cut a scaled picture to its bucket, as much from each side."""
    return Fit(
        original=picture,
        scaled=scaled,
        bucket=bucket,
        left=(scaled.width - bucket.width) // 2,
        top=(scaled.height - bucket.height) // 2,
    )


@dataclass(frozen=True)
class Buckets:
    """Where pictures train at a resolution; without `enlarges` a picture smaller than its bucket keeps its own size.

    It is then cropped to whole steps, in a bucket of its own shape. One smaller than a single step is still enlarged
    to it, since no bucket can be smaller.
    """

    resolution_px: int
    step_px: int
    enlarges: bool = True

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The buckets that pictures of any size share."""
        return make_buckets(self.resolution_px, self.step_px)

    def fit(self, picture: Size) -> Fit:
        """Say where a picture trains."""
        return self._kept(fit(picture, self.sizes))

    def fits(self, pictures: Iterable[Size]) -> list[Fit]:
        """Fit many pictures, as `fit` does each."""
        return [self._kept(place) for place in fits(pictures, self.sizes)]

    def _kept(self, place: Fit) -> Fit:
        if self.enlarges or not place.upscaled:
            return place
        picture, limit, step = place.original, self.resolution_px**2, self.step_px
        is_too_large = _snapped(picture, step).area > limit
        scale = max(sqrt(limit / picture.area) if is_too_large else 1.0, step / min(picture.width, picture.height))
        scaled = Size(round(picture.width * scale), round(picture.height * scale))
        # A long strip of the least width would hold more pixels than the resolution, for which memory is reckoned.
        longest = limit // step // step * step
        bucket = _snapped(scaled, step)
        return in_bucket(picture, scaled, Size(min(bucket.width, longest), min(bucket.height, longest)))


def _snapped(size: Size, step_px: int) -> Size:
    return Size(size.width // step_px * step_px, size.height // step_px * step_px)
