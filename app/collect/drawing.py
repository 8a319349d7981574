"""Pictures for the screen, drawn by a decoding child: copies after a recipe, masks, red over what does not count."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from app.collect import blobs
from app.collect.layers import png, shade, turned_alpha, turned_mask, uncropped_mask
from app.collect.pictures import DISPLAY_SIDE_PX, THUMB_SIDE_PX, reason
from app.collect.refusals import Refused
from app.config import Settings
from app.contract.pixels import UNREADABLE, mask_pixels
from app.contract.recipe import UNTOUCHED, Recipe, turns_alone

Layer = Literal["shade", "mask", "alpha", "subject", "subject-shade"]


class DrawWish(BaseModel):
    """A copy of an original after its recipe, or without `side_px` a layer over it; `mask` is the hash of its mask."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    extension: str
    recipe: Recipe
    side_px: int = 0
    layer: Layer = "shade"
    mask: str | None = None

    def target(self, settings: Settings) -> Path:
        """Where it is kept: named by all that it is made of, so that it never changes."""
        if self.side_px:
            return blobs.copy_path(settings, self.sha256, self.recipe, self.side_px)
        made_of = f"{self.mask} {self.recipe.to_json()}"
        key = hashlib.sha256(made_of.encode()).hexdigest()[:16]
        return settings.thumbs / self.sha256[:2] / f"{self.sha256}-{self.layer}-{key}.png"


def shown_of(sha256: str, extension: str, recipe: Recipe, subject_mask: str | None) -> Iterator[DrawWish]:
    """Everything that pages ask to be drawn of an image as it is now; `subject_mask` is the one a model suggests."""
    plain = DrawWish(sha256=sha256, extension=extension, recipe=recipe)
    for look in (UNTOUCHED, recipe, recipe.model_copy(update={"crop": None}), turns_alone(recipe)):
        for side_px in (THUMB_SIDE_PX, DISPLAY_SIDE_PX):
            yield plain.model_copy(update={"recipe": look, "side_px": side_px})
    layers: tuple[Layer, ...] = get_args(Layer)
    for layer in layers:
        mask = subject_mask if layer.startswith("subject") else recipe.mask
        yield plain.model_copy(update={"layer": layer, "mask": mask})


def draw(settings: Settings, name: str, wish: DrawWish) -> bool:
    """Draw it where it is kept, and say whether there is anything to see. Raises Refused for an unreadable file."""
    try:
        if wish.side_px:
            blobs.polished_copy(settings, wish.sha256, wish.extension, wish.recipe, wish.side_px)
            return True
        drawn = _layer(settings, wish)
    except (*UNREADABLE, MemoryError) as error:
        raise Refused("F01", f"{name} cannot be shown: {reason(error)}.", "Add the image again.") from error
    if drawn is not None:
        blobs.write_copy(wish.target(settings), drawn)
    return drawn is not None


def _layer(settings: Settings, wish: DrawWish) -> bytes | None:
    original = blobs.blob_path(settings, wish.sha256, wish.extension)
    mask = blobs.blob_path(settings, wish.mask, "png") if wish.mask else None
    if wish.layer == "alpha":
        image = turned_alpha(original, wish.recipe, DISPLAY_SIDE_PX)
    elif wish.layer == "shade":
        image = mask_pixels(original, mask, wish.recipe)
        if image is not None:
            image.thumbnail((DISPLAY_SIDE_PX, DISPLAY_SIDE_PX))
            image = shade(image)
    elif mask is None:
        return None
    elif wish.layer == "subject-shade":
        image = shade(uncropped_mask(mask, wish.recipe, 2 * THUMB_SIDE_PX))
    else:
        image = turned_mask(mask, wish.recipe, DISPLAY_SIDE_PX)
    return None if image is None else png(image)
