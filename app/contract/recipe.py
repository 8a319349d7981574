"""The recipe of a picture: what is done to it on read, while the original stays as it came."""

import hashlib
import math
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.contract.buckets import Size

HEX_COLOUR = re.compile(r"^#[0-9a-f]{6}$")
STRAIGHTEN_MOST_DEG = 15.0

AlphaUse = Literal["flatten", "mask"]


class Crop(BaseModel):
    """A box in whole pixels of the turned and straightened picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Recipe(BaseModel):
    """Steps applied on read, in the order of the fields; before them the picture is turned upright by its EXIF.

    `quarter_turns` go clockwise; `mirrored` swaps left and right, `flipped` top and bottom; `straighten_deg` turns
    clockwise about the middle and keeps the largest box of the same aspect that holds no empty corner. Colours become
    sRGB, transparency is laid over `background`; with `alpha` "mask" it also says how much each pixel counts in the
    loss. `mask` is the hash of a greyscale PNG among the blobs, drawn over the upright picture before any step: white
    learns, black does not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quarter_turns: int = Field(0, ge=0, le=3)
    mirrored: bool = False
    flipped: bool = False
    straighten_deg: float = Field(0.0, ge=-STRAIGHTEN_MOST_DEG, le=STRAIGHTEN_MOST_DEG, allow_inf_nan=False)
    crop: Crop | None = None
    background: Annotated[str, StringConstraints(pattern=HEX_COLOUR.pattern)] = "#ffffff"
    alpha: AlphaUse = "flatten"
    mask: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    def to_json(self) -> str:
        """Only what differs from an untouched picture, so that a new step changes no stored recipe."""
        return self.model_dump_json(exclude_defaults=True)


UNTOUCHED = Recipe()


def read_recipe(text: str) -> Recipe:
    """Parse a stored recipe. Raises pydantic.ValidationError."""
    return UNTOUCHED if text == "{}" else Recipe.model_validate_json(text)


def look_key(recipe: Recipe) -> str:
    """Return a short hash of what a recipe does to the look of a picture; empty when it looks as it came.

    The mask and the meaning of transparency count in the loss alone.
    """
    look = recipe.model_copy(update={"mask": None, "alpha": UNTOUCHED.alpha})
    return "" if look == UNTOUCHED else hashlib.sha256(look.to_json().encode()).hexdigest()[:16]


def turns_alone(recipe: Recipe) -> Recipe:
    """The recipe of the picture that a mask is drawn on: turned as it will train, but whole."""
    return Recipe(
        quarter_turns=recipe.quarter_turns,
        mirrored=recipe.mirrored,
        flipped=recipe.flipped,
        background=recipe.background,
    )


def turned(recipe: Recipe, upright: Size) -> Size:
    """Return a picture's size after its quarter turns."""
    return Size(upright.height, upright.width) if recipe.quarter_turns % 2 else upright


def straightened(recipe: Recipe, upright: Size) -> Size:
    """Return a picture's size after quarter turns and straightening: what the crop box is drawn on."""
    size = turned(recipe, upright)
    if not recipe.straighten_deg:
        return size
    angle = math.radians(abs(recipe.straighten_deg))
    # The largest box of the picture's own aspect inside the turned picture is limited by its long side.
    long, short = max(size.width, size.height), min(size.width, size.height)
    scale = short / (long * math.sin(angle) + short * math.cos(angle))
    return Size(max(1, math.floor(size.width * scale)), max(1, math.floor(size.height * scale)))


def size_after(recipe: Recipe, upright: Size) -> Size:
    """Return a picture's size after its whole recipe; a crop box that leaves the picture is cut to it."""
    size = straightened(recipe, upright)
    if recipe.crop is None:
        return size
    box = recipe.crop
    left, top = min(box.left, size.width - 1), min(box.top, size.height - 1)
    return Size(min(box.width, size.width - left), min(box.height, size.height - top))
