"""Aspect-ratio buckets: the (width, height) a picture trains at, and the part of it that is kept."""

from dataclasses import dataclass
from math import log

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


def fit(picture: Size, buckets: tuple[Size, ...]) -> Fit:
    """Choose the bucket nearest in aspect ratio and centre the picture in it: scale to cover, crop the rest.

    Nearness is measured on the logarithm, so that 2:1 is as far from square as 1:2; ties go to the larger bucket.
    """
    bucket = min(buckets, key=lambda b: (round(abs(log(b.aspect / picture.aspect)), 9), -b.area))
    scale = max(bucket.width / picture.width, bucket.height / picture.height)
    scaled = Size(max(bucket.width, round(picture.width * scale)), max(bucket.height, round(picture.height * scale)))
    return Fit(
        original=picture,
        scaled=scaled,
        bucket=bucket,
        left=(scaled.width - bucket.width) // 2,
        top=(scaled.height - bucket.height) // 2,
    )
