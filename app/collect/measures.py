"""Sharpness and light of a picture, measured at one size so that pictures compare."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE_PX = 512
TILES = 8
DARK = 16
LIGHT = 239
EQUAL = 2
BLOCK_PX = 8
BLOCKED_PX = 768
LEAST_BLOCKED_PX = 192


@dataclass(frozen=True)
class Measures:
    """See collect.facts for what each number means."""

    sharpness: float
    brightness: float
    dark_share: float
    light_share: float
    flatness: float


def measure(image: Image.Image) -> Measures:
    """Measure an upright RGB picture; one larger than 512 px is scaled down first."""
    grey = image.convert("L")
    grey.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    pixels = np.asarray(grey, dtype=np.int16)
    return Measures(
        sharpness=_sharpness(pixels),
        brightness=round(float(pixels.mean()) / 255, 4),
        dark_share=round(float((pixels < DARK).mean()), 4),
        light_share=round(float((pixels > LIGHT).mean()), 4),
        flatness=_flatness(pixels),
    )


def blocking(image: Image.Image) -> float:
    """Measure how visible the 8-pixel blocks of a JPEG are, as it stands in the file: about 1 where they are not.

    It is the mean step between neighbours across the blocks' edges over the mean of all, in the middle of the picture.
    """
    width, height = (min(side, BLOCKED_PX) // BLOCK_PX * BLOCK_PX for side in image.size)
    if min(width, height) < LEAST_BLOCKED_PX:
        return 0.0
    left, top = (
        (side - part) // 2 // BLOCK_PX * BLOCK_PX for side, part in zip(image.size, (width, height), strict=True)
    )
    grey = np.asarray(image.crop((left, top, left + width, top + height)).convert("L"), dtype=np.int16)
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    everywhere = float(across.mean() + down.mean())
    at_edges = float(across[:, BLOCK_PX - 1 :: BLOCK_PX].mean() + down[BLOCK_PX - 1 :: BLOCK_PX].mean())
    return round(at_edges / everywhere, 3) if everywhere else 0.0


def _sharpness(pixels: "np.ndarray[tuple[int, int], np.dtype[np.int16]]") -> float:
    if min(pixels.shape) < 3:
        return 0.0
    middle = 4 * pixels[1:-1, 1:-1]
    edges = (middle - pixels[:-2, 1:-1] - pixels[2:, 1:-1] - pixels[1:-1, :-2] - pixels[1:-1, 2:]).astype(np.float32)
    tiles = [
        float(tile.var())
        for rows in np.array_split(edges, TILES)
        for tile in np.array_split(rows, TILES, axis=1)
        if tile.size
    ]
    tiles.sort(reverse=True)
    third = tiles[: max(1, len(tiles) // 3)]
    return round(sum(third) / len(third), 2)


def _flatness(pixels: "np.ndarray[tuple[int, int], np.dtype[np.int16]]") -> float:
    if min(pixels.shape) < 2:
        return 1.0
    here = pixels[:-1, :-1]
    right, below = np.abs(pixels[:-1, 1:] - here), np.abs(pixels[1:, :-1] - here)
    return round(float(((right <= EQUAL) & (below <= EQUAL)).mean()), 4)
