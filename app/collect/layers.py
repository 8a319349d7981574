"""Masks on the screen: as they lie over the picture that a person looks at, and red where nothing is learned.

Used where pictures may be decoded: in the child.
"""

from io import BytesIO
from pathlib import Path

from PIL import Image

from app.contract.pixels import as_mask, mask_pixels, reshaped
from app.contract.recipe import Recipe, turns_alone

SHADE = "#ff2020"
SHADE_STRENGTH = 0.55


def turned_mask(mask_path: Path, recipe: Recipe, side_px: int) -> Image.Image:
    """Read a stored mask as it lies over the turned picture, at most so large. Raises one of UNREADABLE."""
    return uncropped_mask(mask_path, turns_alone(recipe), side_px)


def uncropped_mask(mask_path: Path, recipe: Recipe, side_px: int) -> Image.Image:
    """Read a stored mask as it lies over the picture before its crop, at most so large. Raises one of UNREADABLE."""
    with Image.open(mask_path) as stored:
        image = reshaped(as_mask(stored), recipe.model_copy(update={"crop": None}))
    image.thumbnail((side_px, side_px), Image.Resampling.BILINEAR)
    return image


def turned_alpha(path: Path, recipe: Recipe, side_px: int) -> Image.Image | None:
    """Read a picture's own transparency as a mask over the turned picture, or None where it has none.

    Raises one of UNREADABLE.
    """
    image = mask_pixels(path, None, turns_alone(recipe).model_copy(update={"alpha": "mask"}))
    if image is not None:
        image.thumbnail((side_px, side_px), Image.Resampling.BILINEAR)
    return image


def shade(mask: Image.Image) -> Image.Image:
    """Return red over what does not count, to be laid over the picture."""
    red = Image.new("RGBA", mask.size, SHADE)
    red.putalpha(mask.point([round((255 - value) * SHADE_STRENGTH) for value in range(256)]))
    return red


def png(image: Image.Image) -> bytes:
    """Encode as PNG, quickly: it goes to the screen of this machine alone."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
