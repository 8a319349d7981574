"""The 64-bit perceptual hash of a picture, and of its mirror image."""

import numpy as np
from PIL import Image

SIDE = 32
KEPT = 8


def _cosines() -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    place = np.arange(SIDE)
    return np.asarray(np.cos(np.pi * np.outer(np.arange(KEPT), 2 * place + 1) / (2 * SIDE)), dtype=np.float64)


COSINES = _cosines()


def hashes(image: Image.Image) -> tuple[str, str]:
    """Return the hash of an upright picture and that of its mirror image, 16 hex digits each.

    Each bit says whether one of the 64 lowest frequencies lies above their median, so that scale, light and
    compression change few bits. A picture of one colour has no frequencies, and the hash of nothing.
    """
    small = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    return _hash(small), _hash(small[:, ::-1])


def _hash(grey: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> str:
    low = COSINES @ grey @ COSINES.T
    low[0, 0] = 0.0
    # What is left of rounding in an even picture is no pattern.
    low[np.abs(low) < 1e-6] = 0.0
    bits = (low > np.median(low)).ravel()
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def distance(one: str, other: str) -> int:
    """How many of the 64 bits differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
