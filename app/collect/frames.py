"""Frames of an animation: composed one after the other in the decoding child, each a picture of its own."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps
from pydantic import BaseModel, ConfigDict

from app.collect.duplicates import SAME_MOST, hashed
from app.collect.phash import distance, hashes
from app.collect.pictures import THUMB_SIDE_PX, check_header, reason, shrunk
from app.collect.refusals import Refused
from app.contract.pixels import UNREADABLE, open_picture, upright_rgb
from app.contract.recipe import Recipe

INDEPENDENT = ("TIFF", "HEIF")
"""Containers whose pictures are pages: none is drawn over the one before it."""
PNG_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16")
PNG_LEVEL = 4
ON_GREY = Recipe(background="#808080")
ON_ITS_OWN = "Save it from the program that made the animation, then add that."
TO_HAVE_IT = "Extract again without leaving out frames that are nearly the same, if you want it."
COLOUR_SIDE = 16
COLOURS_SAME_MOST = 4.0
"""How much the colours of two frames, 0 to 255, may differ on average where they are nearly the same."""


class FrameWish(BaseModel):
    """One frame, counted from 1, of an animation from whose first on every n-th is looked at.

    With `skips_alike` a frame is refused that is nearly the same as the last one that was not.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    every: int = 1
    skips_alike: bool = True


@dataclass(frozen=True)
class Look:
    """What frames are compared by: the perceptual hash, and the colours of a tiny copy."""

    number: int
    phash: str
    mirrored: str
    colours: "np.ndarray[tuple[int, ...], np.dtype[np.int16]]"

    @classmethod
    def of(cls, number: int, frame: Image.Image) -> "Look":
        """Take the look of a frame."""
        small = shrunk(upright_rgb(frame, ON_GREY), THUMB_SIDE_PX)
        tiny = small.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
        return cls(number, *hashes(small), np.asarray(tiny, dtype=np.int16))

    def is_alike(self, other: "Look") -> bool:
        """Whether two frames are nearly the same; of even ones, which no hash tells apart, only the colours count."""
        if float(np.abs(self.colours - other.colours).mean()) > COLOURS_SAME_MOST:
            return False
        mine, others = hashed("", self.phash, self.mirrored), hashed("", other.phash, other.mirrored)
        if mine is None and others is None:
            return True
        return mine is not None and others is not None and distance(self.phash, other.phash) <= SAME_MOST


class Film:
    """An open animation; its frames are composed in order, and each can be had until the next one is asked for."""

    def __init__(self, path: Path, wish: FrameWish) -> None:
        self._opened = _opened(path)
        self._key = _key(path, wish)
        self._wish = wish
        self.number = 0
        self._frame: Image.Image | None = None
        self._refusal: Refused | None = None
        self._kept: Look | None = None
        self._broken = 0

    def is_of(self, path: Path, wish: FrameWish) -> bool:
        """Whether it can go on to this frame."""
        return self._key == _key(path, wish) and self.number <= wish.number

    def png(self, number: int) -> bytes:
        """Compose up to a frame and return it as PNG. Raises Refused, also when the frame is left out as alike."""
        while self.number < number:
            self._step()
        if self._refusal is not None:
            raise self._refusal
        if self._frame is None:
            raise Refused("F01", f"Frame {number} was not looked at.", "Extract the frames again.")
        with _told(number):
            return as_png(self._frame)

    def _step(self) -> None:
        """Compose the next frame, and settle whether it is taken."""
        self.number += 1
        self._frame, self._refusal = None, None
        is_looked_at = (self.number - 1) % self._wish.every == 0
        is_drawn_over = self._opened.format not in INDEPENDENT
        try:
            if self._broken:
                raise _behind(self.number, self._broken)
            if is_looked_at or is_drawn_over:
                frame = self._compose(self.number)
                if is_looked_at:
                    self._settle(frame)
        except Refused as refusal:
            self._refusal = refusal
            if is_drawn_over and not self._broken and refusal.code != "alike":
                self._broken = self.number

    def _compose(self, number: int) -> Image.Image:
        with _told(number):
            self._opened.seek(number - 1)
            check_header(self._opened, f"Frame {number}")
            self._opened.load()
            return self._opened.copy()

    def _settle(self, frame: Image.Image) -> None:
        with _told(self.number):
            look = Look.of(self.number, frame)
        before, self._kept = self._kept, look
        if self._wish.skips_alike:
            if self.number == 1:
                raise Refused("alike", "The animation itself shows this frame.", TO_HAVE_IT)
            if before is not None and look.is_alike(before):
                self._kept = before
                raise Refused("alike", f"It is nearly the same as frame {before.number}.", TO_HAVE_IT)
        self._frame = frame


@contextmanager
def _told(number: int) -> Iterator[None]:
    """Say of a frame why it cannot be had. Raises Refused."""
    try:
        with warnings.catch_warnings():
            # As at the import: our own caps are the ones that decide.
            warnings.simplefilter("ignore")
            yield
    except MemoryError as error:
        words = f"Frame {number} needs more memory than an image may have here."
        raise Refused("F07", words, ON_ITS_OWN) from error
    except UNREADABLE as error:
        raise Refused("F01", f"Frame {number} cannot be read: {reason(error)}.", ON_ITS_OWN) from error


def _behind(number: int, broken: int) -> Refused:
    return Refused("F01", f"Frame {number} is drawn over frame {broken}, which cannot be read.", ON_ITS_OWN)


def _key(path: Path, wish: FrameWish) -> tuple[Path, int, bool]:
    return path, wish.every, wish.skips_alike


def _opened(path: Path) -> ImageFile.ImageFile:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return open_picture(BytesIO(path.read_bytes()))
    except FileNotFoundError as error:
        raise Refused("F01", "The animation's original is no longer on the disk.", "Add it again.") from error
    except UNREADABLE as error:
        raise Refused("F01", f"The animation cannot be read: {reason(error)}.", "Add it again.") from error


class Reel:
    """The animation that is open in this child: asked for frame by frame, each is composed only once."""

    def __init__(self) -> None:
        self._film: Film | None = None

    def png(self, path: Path, wish: FrameWish) -> bytes:
        """Return a frame as PNG, as Film.png does."""
        if self._film is None or not self._film.is_of(path, wish):
            self._film = None
            self._film = Film(path, wish)
        return self._film.png(wish.number)


def as_png(frame: Image.Image) -> bytes:
    """Encode a composed frame, upright, with its transparency and profile; inks and floats become sRGB."""
    turned = ImageOps.exif_transpose(frame)
    plain = _for_png(turned)
    profile = turned.info.get("icc_profile") if plain is not None else None
    picture = plain if plain is not None else upright_rgb(turned, Recipe())
    # Nothing else that the file says belongs to a frame: its durations, its texts, its transparent colour.
    picture.info = {}
    buffer = BytesIO()
    picture.save(buffer, "PNG", icc_profile=profile, compress_level=PNG_LEVEL)
    return buffer.getvalue()


def _for_png(frame: Image.Image) -> Image.Image | None:
    """The frame's own values in a mode that PNG has; None where it has none."""
    if "transparency" in frame.info or frame.mode in ("PA", "RGBa", "La"):
        return frame.convert("RGBA")
    if frame.mode in PNG_MODES:
        return frame.copy()
    return frame.convert("RGB") if frame.mode in ("P", "RGBX") else None
