"""From the box around a subject to the crop that a person may take: with room, in its bucket's shape, not enlarged."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil, cos, floor, radians, sin

from sqlalchemy.orm import Session

from app.contract.buckets import Size, nearest
from app.contract.recipe import Crop, Recipe, straightened
from app.polish.steps import reduced, whole
from app.store import subjects
from app.store.images import ImageRow
from app.store.recipes import SizedImage
from app.store.subjects import StoredSubject

MARGIN = 0.1
"""Room on each side of the subject, of its longer side."""


@dataclass(frozen=True)
class CropSuggestion:
    """A crop that holds the subject, in the picture before its crop: it has the shape of `bucket` and loses nothing.

    `kept` is how much of the uncropped picture is in it, from 0 to 1.
    """

    crop: Crop
    bucket: Size
    kept: float

    @property
    def left_out_pct(self) -> int:
        """How much of the picture it leaves out, in whole percent."""
        return round(100 * (1 - self.kept))


def box_after(recipe: Recipe, upright: Size, box: Crop) -> Crop:
    """Return the box, drawn on the upright picture, as it lies in the turned and straightened one, cut to it."""
    points = [(x, y) for x in (box.left, box.left + box.width) for y in (box.top, box.top + box.height)]
    size = upright
    for _ in range(recipe.quarter_turns):
        points = [(size.height - y, x) for x, y in points]
        size = Size(size.height, size.width)
    if recipe.mirrored:
        points = [(size.width - x, y) for x, y in points]
    if recipe.flipped:
        points = [(x, size.height - y) for x, y in points]
    inner = straightened(recipe, upright)
    cosine, sine = cos(radians(recipe.straighten_deg)), sin(radians(recipe.straighten_deg))
    across = [cosine * (x - size.width / 2) - sine * (y - size.height / 2) + inner.width / 2 for x, y in points]
    down = [sine * (x - size.width / 2) + cosine * (y - size.height / 2) + inner.height / 2 for x, y in points]
    return _cut(min(across), min(down), max(across), max(down), inner)


def _cut(left: float, top: float, right: float, bottom: float, size: Size) -> Crop:
    # Whole pixels outwards; the tolerance keeps what is whole already as it is.
    edge = 1e-6
    first_x, first_y = (
        min(max(0, floor(low + edge)), most - 1) for low, most in ((left, size.width), (top, size.height))
    )
    last_x, last_y = (min(ceil(high - edge), most) for high, most in ((right, size.width), (bottom, size.height)))
    return Crop(left=first_x, top=first_y, width=max(1, last_x - first_x), height=max(1, last_y - first_y))


def suggested_crop(recipe: Recipe, upright: Size, box: Crop, buckets: tuple[Size, ...]) -> CropSuggestion | None:
    """Return the smallest box around a subject that trains at full size in its bucket, or None where no crop helps.

    `box` is drawn on the upright picture. There is none when the subject fills the picture, or when every box around
    it would have to be enlarged.
    """
    size = straightened(recipe, upright)
    seen = box_after(recipe, upright, box)
    room = round(MARGIN * max(seen.width, seen.height))
    wide = _cut(seen.left - room, seen.top - room, seen.left + seen.width + room, seen.top + seen.height + room, size)
    fitting = [(grown, bucket) for bucket, step in _shapes(buckets) if (grown := _grown(wide, bucket, step, size))]
    if not fitting:
        return None
    least, bucket = min(fitting, key=lambda pair: (pair[0].area, abs(pair[1].aspect - size.aspect)))
    crop = _around(wide, least, size)
    return None if crop == whole(size) else CropSuggestion(crop, bucket, least.area / size.area)


@lru_cache(maxsize=16)
def _shapes(buckets: tuple[Size, ...]) -> tuple[tuple[Size, Size], ...]:
    """The buckets that images of their shape train in, each with its smallest form: of two alike the larger is used."""
    return tuple((bucket, reduced(bucket)) for bucket in buckets if nearest(bucket, buckets) == bucket)


def has_shape(crop: Crop, buckets: tuple[Size, ...]) -> bool:
    """Whether a crop has the very shape of a bucket, as every suggested one has."""
    own = reduced(Size(crop.width, crop.height))
    return any(step == own for _, step in _shapes(buckets))


def _grown(box: Crop, bucket: Size, step: Size, size: Size) -> Size | None:
    """The least size of a bucket's very shape that holds the box and is no smaller than the bucket; None: too large."""
    times = max(-(-box.width // step.width), -(-box.height // step.height), bucket.width // step.width)
    width, height = times * step.width, times * step.height
    return Size(width, height) if width <= size.width and height <= size.height else None


def _around(box: Crop, wanted: Size, size: Size) -> Crop:
    left = min(max(0, round(box.left + (box.width - wanted.width) / 2)), size.width - wanted.width)
    top = min(max(0, round(box.top + (box.height - wanted.height) / 2)), size.height - wanted.height)
    return Crop(left=left, top=top, width=wanted.width, height=wanted.height)


@dataclass(frozen=True)
class Found:
    """What a model sees in an image, what can be taken of it, and what has been; a crop costs something to find."""

    seen: StoredSubject
    recipe: Recipe
    upright: Size
    buckets: tuple[Size, ...]

    @cached_property
    def crop(self) -> CropSuggestion | None:
        """The crop around it, None where none would help."""
        return suggested_crop(self.recipe, self.upright, self.seen.box, self.buckets)

    @property
    def is_masked(self) -> bool:
        """Whether its mask is the image's."""
        return self.recipe.mask == self.seen.mask_sha256

    @property
    def is_cropped(self) -> bool:
        """Whether its crop is the image's."""
        return self.recipe.crop is not None and self.crop is not None and self.crop.crop == self.recipe.crop

    @property
    def is_taken(self) -> bool:
        """Whether its mask or its crop stands in the recipe."""
        return self.is_masked or self.is_cropped


def found_in(session: Session, image: ImageRow | SizedImage, buckets: tuple[Size, ...]) -> Found | None:
    """What a model sees in an image; None where it sees nothing, or somebody has put it away."""
    seen = subjects.of_image(session, image.id)
    return Found(seen, image.recipe, image.upright, buckets) if seen and not seen.is_dismissed else None
