"""Animations drawn byte by byte, so that what each frame shows is known, and films of noise."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.collect.fixtures import chunk, encoded, noise


@dataclass(frozen=True)
class Cel:
    """A part of an animation's canvas: one colour, where it lies, how it is drawn and what becomes of it afterwards.

    `dispose` and `blend` are the numbers of its format; `colour` is a place in GIF_COLOURS, or RGBA for an APNG.
    """

    colour: int | tuple[int, int, int, int]
    box: tuple[int, int, int, int]
    dispose: int = 0
    blend: int = 0
    duration_ms: int = 100


GIF_COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0))
GIF_CELS = (
    Cel(0, (0, 0, 8, 8), dispose=1),
    Cel(1, (0, 0, 4, 4), dispose=2, duration_ms=0),
    Cel(2, (4, 4, 4, 4), dispose=3, duration_ms=65_000),
    Cel(1, (0, 6, 2, 2), dispose=1),
)
"""Red; green in a corner, cleared then; blue in the other, as before then; a bit of green. Colour 3 is nothing."""
APNG_CELS = (
    Cel((255, 0, 0, 255), (0, 0, 8, 8)),
    Cel((0, 0, 255, 255), (0, 0, 4, 4), dispose=1, blend=1, duration_ms=0),
    Cel((0, 255, 0, 255), (4, 4, 4, 4), dispose=2, duration_ms=65_000),
    Cel((1, 2, 3, 0), (6, 6, 2, 2)),
    Cel((1, 2, 3, 0), (6, 0, 2, 2), blend=1),
)
"""Red; blue over a corner, cleared then; green in the other, as before then; a hole; nothing over a third corner."""
NOTHING = (0, 0, 0, 0)
RED, GREEN, BLUE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)
SPOTS = ((1, 1), (6, 6), (1, 7), (6, 1))
GIF_SHOWS = ((RED,) * 4, (GREEN, RED, RED, RED), (NOTHING, BLUE, RED, RED), (NOTHING, RED, GREEN, RED))
APNG_SHOWS = (
    (RED,) * 4,
    (BLUE, RED, RED, RED),
    (NOTHING, GREEN, RED, RED),
    (NOTHING, (1, 2, 3, 0), RED, RED),
    (NOTHING, (1, 2, 3, 0), RED, RED),
)
"""What each frame shows at each of the SPOTS."""


def drawn_gif(cels: Sequence[Cel] = GIF_CELS, side: int = 8) -> bytes:
    """A GIF written byte by byte, so that every disposal is what it says."""
    made = b"GIF89a" + struct.pack("<HHBBB", side, side, 0b10000001, 0, 0)
    made += b"".join(bytes(colour) for colour in GIF_COLOURS)
    for cel in cels:
        left, top, width, height = cel.box
        made += b"\x21\xf9\x04" + struct.pack("<BHBB", cel.dispose << 2 | 1, cel.duration_ms // 10, 3, 0)
        made += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0)
        # A clear code before each pixel keeps all codes at three bits: no dictionary, no compression.
        codes = [code for _ in range(width * height) for code in (4, cel.colour)] + [5]
        bits = sum(int(str(code)) << 3 * place for place, code in enumerate(codes))
        body = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
        made += b"\x02" + b"".join(bytes([len(part)]) + part for part in _parts(body)) + b"\x00"
    return made + b"\x3b"


def _parts(body: bytes) -> list[bytes]:
    return [body[start : start + 255] for start in range(0, len(body), 255)]


def drawn_apng(cels: Sequence[Cel] = APNG_CELS, side: int = 8) -> bytes:
    """An animated PNG written chunk by chunk."""
    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    made += chunk(b"acTL", struct.pack(">II", len(cels), 0))
    turn = 0
    for cel in cels:
        left, top, width, height = cel.box
        control = (width, height, left, top, cel.duration_ms, 1000, cel.dispose, cel.blend)
        made += chunk(b"fcTL", struct.pack(">IIIIIHHBB", turn, *control))
        assert isinstance(cel.colour, tuple)
        body = zlib.compress((b"\0" + bytes(cel.colour) * width) * height)
        made += chunk(b"fdAT", struct.pack(">I", turn + 1) + body) if turn else chunk(b"IDAT", body)
        turn += 2 if turn else 1
    return made + chunk(b"IEND", b"")


def noisy_film(container: str, count: int = 6, seed: int = 500) -> bytes:
    """Frames of noise, no two alike."""
    frames = [noise(seed + number, 64, 48) for number in range(count)]
    options = {"lossless": True} if container == "WEBP" else {}
    return encoded(frames[0], container, save_all=True, append_images=frames[1:], duration=100, **options)
