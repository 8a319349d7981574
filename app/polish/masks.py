"""Masks: greyscale pictures that say how much each pixel counts, kept among the blobs as PNG; white learns."""

import hashlib
import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image

from app.collect.blobs import put_bytes
from app.config import Settings
from app.contract.buckets import Size
from app.contract.pixels import UNREADABLE, as_mask, mask_pixels, reshaped, size_of
from app.contract.recipe import Recipe
from app.errors import Invalid

MAX_PIXELS = 100_000_000
ALWAYS_PIXELS = 4_000_000
LARGER_SHARE = 1.1
"""How many times a picture's pixels its mask may have, when those are more than a mask may always have."""
ASPECT_DOUBT = 0.02
FROM_SCREEN_PX = 1
"""A mask drawn on the screen is as large as the copy there: rounding may be off by a pixel on each side."""
SHADE = "#ff2020"
SHADE_STRENGTH = 0.55
UNDONE_TURNS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


def turns_alone(recipe: Recipe) -> Recipe:
    """The recipe of the picture that a mask is drawn on: turned as it will train, but whole."""
    return Recipe(
        quarter_turns=recipe.quarter_turns,
        mirrored=recipe.mirrored,
        flipped=recipe.flipped,
        background=recipe.background,
    )


def read_mask(data: bytes, name: str, upright: Size) -> Image.Image:
    """Decode a file as a mask of a picture of this size. Raises Invalid naming the file, the reason and the way out."""
    # It is decoded in the server itself: a few kilobytes must not become a gigabyte there.
    most_pixels = min(MAX_PIXELS, max(ALWAYS_PIXELS, round(LARGER_SHARE * upright.area)))
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its two bomb limits; our own cap is the one that decides.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data)) as image:
                if image.width * image.height > most_pixels:
                    raise Invalid(
                        f"{name} has {image.width:,} × {image.height:,} pixels, far more than its image.",
                        f"Scale it to {upright.width} × {upright.height}.",
                        "mask",
                    )
                return as_mask(image)
    except UNREADABLE as error:
        raise Invalid(f"{name} cannot be read as an image.", "Save the mask as a greyscale PNG.", "mask") from error


def checked(mask: Image.Image, upright: Size, name: str) -> Image.Image | None:
    """Return a mask that covers a picture, or None where it is white all over, which is no mask.

    Raises Invalid when it has another shape than the picture, or is black all over.
    """
    drawn = size_of(mask)
    slack = ASPECT_DOUBT + 2 * FROM_SCREEN_PX / min(drawn.width, drawn.height)
    if abs(drawn.aspect / upright.aspect - 1) > slack:
        raise Invalid(
            f"{name} is {drawn.width} × {drawn.height}, the image {upright.width} × {upright.height}: "
            "they have different shapes.",
            "A mask covers the whole image as it came, before any crop.",
            "mask",
        )
    low, high = mask.getextrema()
    if high == 0:
        raise Invalid(
            "The mask is black all over: nothing of the image would be learned.",
            "Leave some of it white, or remove the image from the project.",
            "mask",
        )
    return None if low == 255 else mask


def put_mask(settings: Settings, mask: Image.Image) -> str:
    """Publish a greyscale picture among the blobs and return its hash."""
    buffer = BytesIO()
    mask.save(buffer, "PNG")
    data = buffer.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    put_bytes(settings, sha256, "png", data)
    return sha256


def turned_back(mask: Image.Image, recipe: Recipe) -> Image.Image:
    """Undo the recipe's turns, so that a mask drawn on the turned picture lies over the upright one."""
    image = mask
    if recipe.flipped:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if recipe.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    undo = UNDONE_TURNS[recipe.quarter_turns]
    return image if undo is None else image.transpose(undo)


def turned_mask(mask_path: Path, recipe: Recipe, side_px: int) -> Image.Image:
    """Read a stored mask as it lies over the turned picture, at most so large. Raises one of UNREADABLE."""
    with Image.open(mask_path) as stored:
        image = reshaped(as_mask(stored), turns_alone(recipe))
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


def share_left_out(mask: Image.Image) -> float:
    """How much of a mask does not count, 0 to 1."""
    small = mask.resize((64, 64), Image.Resampling.BOX).tobytes()
    return 1 - sum(small) / (255 * len(small))
