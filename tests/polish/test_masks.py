"""Masks: read from any file, checked against their picture, kept as greyscale PNG, turned as the picture is."""

import hashlib
from io import BytesIO
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.buckets import Size
from app.contract.pixels import reshaped
from app.contract.recipe import Recipe
from app.errors import Invalid
from app.polish.masks import (
    checked,
    put_mask,
    read_mask,
    shade,
    share_left_out,
    turned_alpha,
    turned_back,
    turned_mask,
    turns_alone,
)

SIZE = Size(64, 64)


def half(width: int = 8, height: int = 4) -> Image.Image:
    """A mask that learns the upper left quarter."""
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height // 2))
    return mask


def encoded(image: Image.Image, container: str = "PNG") -> bytes:
    """The picture as a file."""
    buffer = BytesIO()
    image.save(buffer, container)
    return buffer.getvalue()


@pytest.mark.parametrize(("turns", "mirrored", "flipped"), [*product(range(4), (False, True), (False, True))])
def test_a_mask_drawn_on_the_turned_picture_lies_over_the_upright_one(
    turns: int, mirrored: bool, flipped: bool
) -> None:
    recipe = Recipe(quarter_turns=turns, mirrored=mirrored, flipped=flipped, straighten_deg=3)
    drawn = reshaped(half(), turns_alone(recipe))
    assert turned_back(drawn, recipe).tobytes() == half().tobytes()


def test_a_stored_mask_is_a_greyscale_png_named_by_its_hash(settings: Settings) -> None:
    settings.make_folders()
    sha256 = put_mask(settings, half())
    data = blob_path(settings, sha256, "png").read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256 == put_mask(settings, read_mask(data, "m.png", SIZE))
    with Image.open(BytesIO(data)) as image:
        assert (image.mode, image.format) == ("L", "PNG")
    assert turned_mask(blob_path(settings, sha256, "png"), Recipe(quarter_turns=1), 1600).size == (4, 8)
    assert max(turned_mask(blob_path(settings, sha256, "png"), Recipe(), 4).size) == 4


def test_a_mask_must_cover_its_picture_and_leave_something() -> None:
    upright = Size(800, 400)
    assert checked(half(), upright, "m.png") is not None
    assert checked(half(801, 400), upright, "m.png") is not None
    assert checked(Image.new("L", (80, 40), 255), upright, "m.png") is None
    with pytest.raises(Invalid, match="different shapes"):
        checked(half(4, 8), upright, "m.png")
    with pytest.raises(Invalid, match="nothing of the image"):
        checked(Image.new("L", (80, 40), 0), upright, "m.png")


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"m\.png"):
        read_mask(data, "m.png", SIZE)


def test_a_mask_far_larger_than_its_picture_is_refused_from_its_header() -> None:
    bomb = encoded(Image.new("1", (9000, 9000)))
    assert len(bomb) < 20_000
    with pytest.raises(Invalid, match="9,000 × 9,000 pixels, far more than its image") as refusal:
        read_mask(bomb, "m.png", SIZE)
    assert refusal.value.hint == "Scale it to 64 × 64."
    assert read_mask(encoded(Image.new("1", (2000, 2000))), "m.png", SIZE).size == (2000, 2000)


def test_a_jpeg_or_a_palette_is_a_mask_too() -> None:
    for data in (encoded(half(64, 64), "JPEG"), encoded(half(64, 64).convert("P"))):
        mask = read_mask(data, "m", SIZE)
        assert mask.mode == "L"
        assert (mask.getpixel((5, 5)), mask.getpixel((60, 60))) == (255, 0)


def test_the_shade_is_red_where_nothing_is_learned() -> None:
    red = shade(half())
    assert red.getpixel((0, 0))[3] == 0  # type: ignore[index] - a pixel of RGBA
    assert red.getpixel((7, 3))[3] > 100  # type: ignore[index] - a pixel of RGBA
    assert share_left_out(half()) == pytest.approx(0.75, abs=0.01)


def test_transparency_comes_as_a_mask_over_the_turned_picture(tmp_path: Path) -> None:
    image = Image.new("RGBA", (8, 4), "red")
    image.putalpha(half())
    path = tmp_path / "a.png"
    image.save(path)
    found = turned_alpha(path, Recipe(quarter_turns=1), 1600)
    assert found is not None
    assert found.tobytes() == half().transpose(Image.Transpose.ROTATE_270).tobytes()
    image.convert("RGB").save(path)
    assert turned_alpha(path, Recipe(), 1600) is None
