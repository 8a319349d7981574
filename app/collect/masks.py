"""Mask files: read in the decoding child, checked against their picture, kept among the blobs as grey PNG."""

import hashlib
import warnings
from io import BytesIO

from PIL import Image
from pydantic import BaseModel, ConfigDict

from app.collect import blobs
from app.collect.refusals import Refused
from app.config import Settings
from app.contract.buckets import Size
from app.contract.pixels import UNREADABLE, as_mask, open_picture, size_of, turned_back, upright_rgb
from app.contract.recipe import Recipe

MAX_PIXELS = 100_000_000
ASPECT_DOUBT = 0.02
FROM_SCREEN_PX = 1
"""A mask drawn on the screen is as large as the copy there: rounding may be off by a pixel on each side."""
ON_BLACK = Recipe(background="#000000")


class MaskWish(BaseModel):
    """The upright picture that a mask is to cover.

    `turns` are those of the picture that the mask was drawn on; with `fills` it is kept as large as the picture.
    """

    model_config = ConfigDict(frozen=True)

    width_px: int
    height_px: int
    turns: Recipe = Recipe()
    fills: bool = False

    @property
    def size(self) -> Size:
        """The picture's size."""
        return Size(self.width_px, self.height_px)


class Mask(BaseModel):
    """A mask that is now among the blobs; `learned` is how much of the picture counts, 1 for all of it."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size_bytes: int
    width_px: int
    height_px: int
    learned: float


def take_mask(settings: Settings, name: str, data: bytes, wish: MaskWish) -> Mask:
    """Read a mask file and publish it. Raises Refused naming the file, the reason and the way out."""
    grey = read_mask(data, name, wish)
    low, high = grey.getextrema()
    if high == 0:
        raise Refused(
            "F09",
            f"{name} is black all over: nothing of the image would be learned.",
            "Leave some of it white, or remove the image from the project.",
        )
    buffer = BytesIO()
    grey.save(buffer, "PNG")
    encoded = buffer.getvalue()
    sha256 = hashlib.sha256(encoded).hexdigest()
    blobs.put_bytes(settings, sha256, "png", encoded)
    size, learned = size_of(grey), 1.0 if low == 255 else 1 - share_left_out(grey)
    return Mask(sha256=sha256, size_bytes=len(encoded), width_px=size.width, height_px=size.height, learned=learned)


def read_mask(data: bytes, name: str, wish: MaskWish) -> Image.Image:
    """Decode a file as the mask of a picture: 8-bit grey, upright, no larger than the picture. Raises Refused.

    Of a coloured one the red channel counts, as in the trainers that masks come from.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its two bomb limits; our own cap is the one that decides.
            warnings.simplefilter("ignore")
            with open_picture(BytesIO(data)) as image:
                _check_pixels(image, name, wish)
                grey = as_mask(image) if image.mode == "L" else upright_rgb(image, ON_BLACK).getchannel("R")
    except Image.DecompressionBombError as error:
        raise Refused("F07", f"{name} has far too many pixels.", _scale_to(wish)) from error
    except MemoryError as error:
        raise Refused("F07", f"{name} needs more memory than a mask may have here.", _scale_to(wish)) from error
    except UNREADABLE as error:
        raise Refused("F01", f"{name} cannot be read as an image.", "Save the mask as a greyscale PNG.") from error
    grey = turned_back(grey, wish.turns)
    _check_shape(size_of(grey), name, wish.size)
    is_larger = grey.width > wish.width_px or grey.height > wish.height_px
    if grey.size != (wish.width_px, wish.height_px) and (wish.fills or is_larger):
        return grey.resize((wish.width_px, wish.height_px), Image.Resampling.BILINEAR)
    return grey


def _check_pixels(image: Image.Image, name: str, wish: MaskWish) -> None:
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width:,} × {image.height:,} pixels"
        raise Refused("F07", f"{name} has {size}, more than {MAX_PIXELS // 1_000_000} million.", _scale_to(wish))


def _check_shape(drawn: Size, name: str, upright: Size) -> None:
    slack = ASPECT_DOUBT + 2 * FROM_SCREEN_PX / min(drawn.width, drawn.height)
    if abs(drawn.aspect / upright.aspect - 1) > slack:
        raise Refused(
            "F09",
            f"{name} is {drawn.width} × {drawn.height}, the image {upright.width} × {upright.height}: "
            "they have different shapes.",
            "A mask covers the whole image as it came, before any crop.",
        )


def _scale_to(wish: MaskWish) -> str:
    return f"Scale it to {wish.width_px} × {wish.height_px}."


def share_left_out(mask: Image.Image) -> float:
    """How much of a mask does not count, 0 to 1."""
    small = mask.resize((64, 64), Image.Resampling.BOX).tobytes()
    return 1 - sum(small) / (255 * len(small))
