"""Mask files: read by a child, whatever they are; what covers no picture is refused in words, and nothing grows."""

import os
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from app.collect.blobs import blob_path
from app.collect.decoders import Decoders
from app.collect.entries import Entry
from app.collect.files import Found
from app.collect.gather import gather
from app.collect.masks import MaskWish, read_mask, share_left_out
from app.collect.refusals import Refused
from app.config import Settings
from app.contract.recipe import Recipe

WISH = MaskWish(width_px=64, height_px=32)


def half(width: int = 64, height: int = 32, mode: str = "L") -> Image.Image:
    """A mask that learns the left half."""
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height))
    return mask.convert(mode)


def encoded(image: Image.Image, container: str = "PNG") -> bytes:
    """The picture as a file."""
    buffer = BytesIO()
    image.save(buffer, container)
    return buffer.getvalue()


def sixteen_bits() -> bytes:
    """A greyscale PNG of 16 bits: full at the left, a quarter in the middle, nothing at the right."""
    values = np.zeros((32, 64), dtype=np.uint16)
    values[:, :32], values[:, 32:48] = 65535, 16384
    return encoded(Image.fromarray(values))


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A PNG whose header claims another size."""
    header = struct.pack(">II", width, height) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


@pytest.fixture
def decoders(settings: Settings) -> Iterator[Decoders]:
    """One decoding child."""
    settings.make_folders()
    made = Decoders(settings, 1)
    yield made
    made.close()


def resident_mb() -> float:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def values(mask: Image.Image) -> list[object]:
    """The mask at the left, right of the middle, and at the right."""
    return [mask.getpixel((x, 16)) for x in (5, 40, 60)]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (encoded(half()), [255, 0, 0]),
        (encoded(half(mode="1")), [255, 0, 0]),
        (encoded(half(mode="P")), [255, 0, 0]),
        (encoded(half(mode="RGBA")), [255, 0, 0]),
        (encoded(half(mode="LA")), [255, 0, 0]),
        (encoded(half(), "JPEG"), [255, 0, 0]),
        (sixteen_bits(), [255, 64, 0]),
        # Its red channel counts, as in the trainers.
        (encoded(Image.merge("RGB", (half(), Image.new("L", (64, 32)), Image.new("L", (64, 32))))), [255, 0, 0]),
        # What is transparent is not learned.
        (encoded(Image.merge("LA", (Image.new("L", (64, 32), 255), half()))), [255, 0, 0]),
    ],
    ids=["L", "1", "P", "RGBA", "LA", "JPEG", "16 bits", "red", "alpha"],
)
def test_every_kind_of_picture_can_be_a_mask(data: bytes, wanted: list[int]) -> None:
    mask = read_mask(data, "m.png", WISH)
    assert (mask.mode, mask.size) == ("L", (64, 32))
    assert values(mask) == pytest.approx(wanted, abs=1)


def test_a_mask_is_turned_back_and_no_larger_than_its_picture() -> None:
    turned = half().transpose(Image.Transpose.ROTATE_270)
    drawn = MaskWish(width_px=64, height_px=32, turns=Recipe(quarter_turns=1))
    assert read_mask(encoded(turned), "m.png", drawn).tobytes() == half().tobytes()
    assert read_mask(encoded(half(640, 320)), "m.png", WISH).size == (64, 32)
    assert read_mask(encoded(half(32, 16)), "m.png", WISH).size == (32, 16)
    assert read_mask(encoded(half(32, 16)), "m.png", WISH.model_copy(update={"fills": True})).size == (64, 32)


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        (b"", "m.png cannot be read", "greyscale PNG"),
        (b"<html>", "m.png cannot be read", "greyscale PNG"),
        (encoded(half())[:70], "m.png cannot be read", "greyscale PNG"),
        (with_size(encoded(half()), 640, 320), "m.png cannot be read", "greyscale PNG"),
        (
            with_size(encoded(half()), 200_000, 100_000),
            "far too many pixels|more than 100 million",
            "Scale it to 64 × 32",
        ),
        (encoded(half(32, 64)), "m.png is 32 × 64, the image 64 × 32: they have different shapes", "whole image"),
        (encoded(Image.new("L", (64, 32))), "black all over", "Leave some of it white"),
    ],
    ids=["empty", "html", "truncated", "claims more", "claims far more", "other shape", "black"],
)
def test_what_is_no_mask_of_the_picture_is_refused(
    decoders: Decoders, tmp_path: Path, data: bytes, words: str, hint: str
) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(data)
    with pytest.raises(Refused, match=words) as refusal:
        decoders.measure(path, "m.png", as_mask=WISH)
    assert hint in refusal.value.hint


def test_a_child_keeps_a_grey_png_and_says_how_much_is_learned(
    settings: Settings, decoders: Decoders, tmp_path: Path
) -> None:
    path = tmp_path / "m.png"
    path.write_bytes(encoded(half(mode="RGB")))
    measured = decoders.measure(path, "m.png", as_mask=WISH)
    assert measured.facts.brightness == pytest.approx(0.5, abs=0.02)
    with Image.open(blob_path(settings, measured.sha256, "png")) as stored:
        assert (stored.mode, stored.format, stored.tobytes()) == ("L", "PNG", half().tobytes())
    path.write_bytes(encoded(Image.new("RGB", (64, 32), "white")))
    assert decoders.measure(path, "m.png", as_mask=WISH).facts.brightness == 1


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its memory from /proc")
def test_a_huge_mask_is_shrunk_in_the_child_alone(settings: Settings, decoders: Decoders, tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    image = Image.new("1", (12_000, 6_000))
    image.paste(1, (0, 0, 6_000, 6_000))
    image.save(path)
    del image
    before = resident_mb()
    measured = decoders.measure(path, "huge.png", as_mask=WISH)
    assert (measured.width_px, measured.height_px) == (64, 32)
    Image.new("1", (15_000, 7_500)).save(path)
    with pytest.raises(Refused, match="15,000 × 7,500 pixels, more than 100 million"):
        decoders.measure(path, "huge.png", as_mask=WISH)
    assert resident_mb() - before < 50


def test_a_mask_of_another_shape_is_left_out_of_an_import_and_named(decoders: Decoders, tmp_path: Path) -> None:
    for name, image in (("a.png", half(mode="RGB")), ("tall.png", half(32, 64)), ("fits.png", half(32, 16))):
        image.save(tmp_path / name)
    picture = Found(PurePosixPath("a.png"), tmp_path / "a.png")
    for name, is_kept in (("tall.png", False), ("fits.png", True)):
        entry = Entry(picture, mask=Found(PurePosixPath(name), tmp_path / name))
        gathered = gather(entry, decoders)
        assert gathered.new is not None
        assert (gathered.mask is not None) is is_kept
        left_out = [note.text for note in gathered.notes if "mask" in note.text]
        assert [text.startswith("Its mask is left out: tall.png is 32 × 64") for text in left_out] == [True] * (
            not is_kept
        )


def test_how_much_a_mask_leaves_out() -> None:
    assert share_left_out(half()) == pytest.approx(0.5, abs=0.01)
