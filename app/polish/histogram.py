"""The histogram of buckets: how images spread over the sizes they train at, from their sizes alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from app.contract.buckets import Buckets, Fit, Size
from app.store.recipes import SizedImage

Doubt = Literal["upscaled", "cropped", "few"]
MUCH_LOST = 0.15


@dataclass(frozen=True)
class Place:
    """How pictures of one size land in their bucket; `is_cropped` means by more than they should be."""

    fit: Fit
    is_upscaled: bool
    is_cropped: bool


class Placed(NamedTuple):
    """An image and its place."""

    image: SizedImage
    place: Place


@dataclass(frozen=True)
class Bar:
    """One bucket and the images that train in it."""

    bucket: Size
    placed: Sequence[Placed]
    batch: int

    @property
    def images(self) -> int:
        """How many images."""
        return len(self.placed)

    @cached_property
    def visits(self) -> int:
        """How often an epoch visits the bucket: the sum of repeats."""
        return sum(each.image.repeats for each in self.placed)

    @cached_property
    def upscaled(self) -> int:
        """How many have pixels invented."""
        return sum(each.place.is_upscaled for each in self.placed)

    @cached_property
    def cropped(self) -> int:
        """How many lose more than 15 %."""
        return sum(each.place.is_cropped for each in self.placed)

    @cached_property
    def doubtful(self) -> int:
        """How many are one or the other."""
        return sum(each.place.is_upscaled or each.place.is_cropped for each in self.placed)

    @property
    def is_short(self) -> bool:
        """Whether it cannot fill one batch: its images train in a smaller one."""
        return self.visits < self.batch

    @property
    def name(self) -> str:
        """As addresses name it."""
        return f"{self.bucket.width}x{self.bucket.height}"


def histogram(images: Sequence[SizedImage], buckets: Buckets, batch: int) -> list[Bar]:
    """Return the buckets that hold images, tallest shape last."""
    sizes = [image.size for image in images]
    by_sides = {(size.width, size.height): size for size in sizes}
    found = buckets.fits(by_sides.values())
    made = (Place(each, each.upscaled, each.lost > MUCH_LOST) for each in found)
    places = dict(zip(by_sides, made, strict=True))
    held: dict[Size, list[Placed]] = defaultdict(list)
    for image, size in zip(images, sizes, strict=True):
        place = places[size.width, size.height]
        held[place.fit.bucket].append(Placed(image, place))
    ordered = sorted(held.items(), key=lambda item: -item[0].aspect)
    return [Bar(bucket, placed, batch) for bucket, placed in ordered]


def doubtful(bars: Sequence[Bar], doubt: Doubt) -> list[Placed]:
    """The images of a kind, across all buckets."""
    if doubt == "few":
        return [each for bar in bars if bar.is_short for each in bar.placed]
    if doubt == "upscaled":
        return [each for bar in bars if bar.upscaled for each in bar.placed if each.place.is_upscaled]
    return [each for bar in bars if bar.cropped for each in bar.placed if each.place.is_cropped]
