"""Pixels as they leave: what the trainer of the studio reads, written so that any other reads the same."""

from io import BytesIO

from PIL import Image

from app.contract.pixels import UNREADABLE, mask_pixels, open_picture, open_rgb
from app.contract.recipe import Recipe
from app.errors import Invalid, NotFound
from app.export.layout import Item, PictureFormat

JPEG_QUALITY = 95


def reshapes(recipe: Recipe) -> bool:
    """Whether a recipe moves pixels at all; laying transparency over a colour does not."""
    still = Recipe(background=recipe.background, alpha=recipe.alpha, mask=recipe.mask)
    return recipe != still


def has_mask(item: Item) -> bool:
    """Whether a mask was drawn, or the picture's own transparency counts as one."""
    return item.mask is not None or item.row.recipe.alpha == "mask"


def is_ready(item: Item) -> bool:
    """Whether every program reads the original's own bytes as we do: upright, plain RGB, one frame, no metadata.

    Camera metadata may hold a place and a name, so that a picture with it is written anew. Raises one of UNREADABLE.
    """
    with open_picture(item.original) as image:
        return (
            image.mode == "RGB"
            and not reshapes(item.row.recipe)
            and not image.has_transparency_data
            and not image.getexif()
            and "icc_profile" not in image.info
            and getattr(image, "n_frames", 1) == 1
        )


def picture_bytes(
    item: Item, kind: PictureFormat, suffixes: frozenset[str], keeps_bytes: bool
) -> tuple[str, bytes, tuple[int, int]]:
    """Return the suffix, the bytes and the size of the picture as it leaves.

    An original that needs nothing leaves as it is. Raises NotFound and Invalid naming the image.
    """
    row = item.row
    if not item.original.is_file():
        raise NotFound(f"The original of {row.name} is no longer on the disk.", "Add the image again, or remove it.")
    try:
        is_kept = not reshapes(row.recipe) if keeps_bytes else row.extension in suffixes and is_ready(item)
        if is_kept:
            return row.extension, item.original.read_bytes(), (row.width_px, row.height_px)
        image = open_rgb(item.original, row.recipe)
    except UNREADABLE as error:
        raise Invalid(f"{row.name} cannot be read any more: {error}.", "Add the image again, or remove it.") from error
    buffer = BytesIO()
    if kind == "jpeg":
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return "jpg", buffer.getvalue(), image.size
    image.save(buffer, "PNG", compress_level=4)
    return "png", buffer.getvalue(), image.size


def mask_bytes(item: Item, size: tuple[int, int], needs_mask: bool) -> bytes | None:
    """Return the mask as a greyscale PNG, white where it learns; None where the whole picture does.

    Raises Invalid naming the image when the mask's file is gone or damaged.
    """
    try:
        mask = mask_pixels(item.original, item.mask, item.row.recipe)
    except UNREADABLE as error:
        raise Invalid(
            f"The mask of {item.row.name} cannot be read: {error}.", "Draw it again, or take it off the image."
        ) from error
    if mask is None:
        mask = Image.new("L", size, 255) if needs_mask else None
    if mask is None:
        return None
    buffer = BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()
