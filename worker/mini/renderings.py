"""The same pictures in other hands, by plain arithmetic: what a thing is and how it is drawn come apart.

A base that knows each thing in three fixed drawings only learns drawings by heart, and a style LoRA then replaces the
thing along with the hand. Drawn in ink, outlined, in grey, small or as a mosaic it must keep the two apart.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

SMALL_SHARE = 0.72
TILES = 16
LINE_GAIN = 3.0


def ink(picture: np.ndarray) -> np.ndarray:
    """Dark lines where the colour changes, on white."""
    return np.repeat(255 - _edges(picture)[..., None], 3, axis=2)


def outlined(picture: np.ndarray) -> np.ndarray:
    """The picture with dark lines where its colour changes."""
    return np.minimum(picture, ink(picture))


def grey(picture: np.ndarray) -> np.ndarray:
    """The picture's luma."""
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


def small(picture: np.ndarray) -> np.ndarray:
    """The picture at about three quarters of its size, in the middle of white."""
    image = Image.fromarray(picture)
    inner = image.resize([round(side * SMALL_SHARE) for side in image.size], Image.Resampling.LANCZOS)
    ground = Image.new("RGB", image.size, "white")
    ground.paste(inner, ((image.width - inner.width) // 2, (image.height - inner.height) // 2))
    return np.asarray(ground)


def mosaic(picture: np.ndarray) -> np.ndarray:
    """The picture in 16×16 tiles."""
    image = Image.fromarray(picture)
    return np.asarray(image.resize((TILES, TILES), Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST))


RENDERINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ink drawing": ink,
    "outlined": outlined,
    "grey": grey,
    "small": small,
    "mosaic": mosaic,
}
"""By the words that a caption says it in; each maps uint8 [h, w, 3] to the same."""


def _edges(picture: np.ndarray) -> np.ndarray:
    """How much the colour changes at each pixel: uint8 [h, w]."""
    image = Image.fromarray(picture)
    wide, narrow = image.filter(ImageFilter.MaxFilter(3)), image.filter(ImageFilter.MinFilter(3))
    change = np.asarray(wide).astype(np.int16) - np.asarray(narrow)
    return (LINE_GAIN * (change.max(axis=2) - 40)).clip(0, 230).astype(np.uint8)
