"""Pictures on their way out, read as the trainer of the studio reads them and written so that any other reads the same.

Used where pictures may be decoded: in the child.
"""

import os
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from app.collect.refusals import Refused
from app.contract.pixels import UNREADABLE, mask_pixels, open_picture, open_rgb
from app.contract.recipe import Recipe

PictureFormat = Literal["png", "jpeg"]
JPEG_QUALITY = 95
REMOVE = "Add the image again, or remove it."


def _read_path(told: object) -> object:
    return Path(os.fsdecode(bytes.fromhex(told))) if isinstance(told, str) else told


DiskPath = Annotated[Path, BeforeValidator(_read_path), PlainSerializer(lambda path: os.fsencode(path).hex())]
"""A path that goes through JSON in hex, as the bytes that the disk knows: it may be no text at all."""


class LeaveWish(BaseModel):
    """One image as a trainer is to find it: `original` and `mask` are read, what is new is written beside `into`.

    An original that needs nothing leaves as it is: with `keeps_bytes` whatever the trainer makes of it, without only
    where its extension is among `suffixes`. With `needs_mask` a white mask is written where the image has none.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    original: DiskPath
    extension: str
    width_px: int
    height_px: int
    recipe: Recipe
    mask: DiskPath | None
    kind: PictureFormat
    suffixes: frozenset[str]
    keeps_bytes: bool
    takes_mask: bool
    needs_mask: bool
    into: DiskPath

    @property
    def picture_path(self) -> Path:
        """Where a picture that was written anew is."""
        return self.into.with_name(f"{self.into.name}.picture")

    @property
    def mask_path(self) -> Path:
        """Where the mask is."""
        return self.into.with_name(f"{self.into.name}.mask")


class Left(BaseModel):
    """How an image leaves; with `is_kept` as its original, `has_mask` says that a mask was written."""

    model_config = ConfigDict(frozen=True)

    suffix: str
    width_px: int
    height_px: int
    is_kept: bool = False
    has_mask: bool = False


class Encoded(NamedTuple):
    """A picture as it leaves; no data where its original leaves as it is."""

    suffix: str
    data: bytes | None
    size: tuple[int, int]


def leave(wish: LeaveWish) -> Left:
    """Write what a trainer is to find of an image, except an original that leaves as it is.

    Raises Refused naming the image, and OSError when the disk that is written to fails.
    """
    picture = encoded(wish)
    mask = encoded_mask(wish, picture.size) if wish.takes_mask else None
    if picture.data is not None:
        wish.picture_path.write_bytes(picture.data)
    if mask is not None:
        wish.mask_path.write_bytes(mask)
    width_px, height_px = picture.size
    return Left(
        suffix=picture.suffix,
        width_px=width_px,
        height_px=height_px,
        is_kept=picture.data is None,
        has_mask=mask is not None,
    )


def encoded(wish: LeaveWish) -> Encoded:
    """Return the picture after its recipe, encoded. Raises Refused naming the image."""
    if not wish.original.is_file():
        raise Refused("F01", f"The original of {wish.name} is no longer on the disk.", REMOVE)
    try:
        if leaves_as_it_is(wish):
            return Encoded(wish.extension, None, (wish.width_px, wish.height_px))
        image = open_rgb(wish.original, wish.recipe)
        buffer = BytesIO()
        if wish.kind == "jpeg":
            image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
            return Encoded("jpg", buffer.getvalue(), image.size)
        image.save(buffer, "PNG", compress_level=4)
        return Encoded("png", buffer.getvalue(), image.size)
    except MemoryError as error:
        raise Refused("F07", f"{wish.name} needs more memory than an image may have here.", REMOVE) from error
    except UNREADABLE as error:
        raise Refused("F01", f"{wish.name} cannot be read any more: {_why(error)}.", REMOVE) from error


def _why(error: Exception) -> str:
    # Pillow's own words name a path of this machine.
    return "it is of no known image format" if type(error) is UnidentifiedImageError else str(error)


def leaves_as_it_is(wish: LeaveWish) -> bool:
    """Whether the original's own bytes are what is to leave. Raises one of UNREADABLE."""
    if wish.keeps_bytes and not reshapes(wish.recipe):
        open_picture(wish.original).close()
        return True
    return not wish.keeps_bytes and wish.extension in wish.suffixes and is_ready(wish)


def reshapes(recipe: Recipe) -> bool:
    """Whether a recipe moves pixels at all; laying transparency over a colour does not."""
    still = Recipe(background=recipe.background, alpha=recipe.alpha, mask=recipe.mask)
    return recipe != still


def is_ready(wish: LeaveWish) -> bool:
    """Whether every program reads the original's own bytes as we do: upright, plain RGB, one frame, no metadata.

    Camera metadata may hold a place and a name, so that a picture with it is written anew. Raises one of UNREADABLE.
    """
    with open_picture(wish.original) as image:
        return (
            image.mode == "RGB"
            and not reshapes(wish.recipe)
            and not image.has_transparency_data
            and not image.getexif()
            and "icc_profile" not in image.info
            and getattr(image, "n_frames", 1) == 1
        )


def encoded_mask(wish: LeaveWish, size: tuple[int, int]) -> bytes | None:
    """Return the mask as a greyscale PNG, white where it learns; None where the whole picture does.

    Raises Refused naming the image when the mask's file is gone or damaged.
    """
    try:
        has_own = wish.mask is not None or wish.recipe.alpha == "mask"
        mask = mask_pixels(wish.original, wish.mask, wish.recipe) if has_own else None
        if mask is None:
            mask = Image.new("L", size, 255) if wish.needs_mask else None
        if mask is None:
            return None
        buffer = BytesIO()
        mask.save(buffer, "PNG")
    except MemoryError as error:
        raise Refused("F07", f"The mask of {wish.name} needs too much memory.", "Draw a smaller one.") from error
    except UNREADABLE as error:
        told = f"The mask of {wish.name} cannot be read: {_why(error)}."
        raise Refused("F01", told, "Draw it again, or take it off the image.") from error
    return buffer.getvalue()
