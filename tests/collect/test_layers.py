"""Masks on the screen: turned as the picture is, red where nothing is learned."""

from io import BytesIO
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from app.collect.layers import shade, turned_alpha, turned_mask, uncropped_mask
from app.contract.pixels import reshaped, turned_back
from app.contract.recipe import Crop, Recipe, turns_alone


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


def test_a_stored_mask_is_turned_as_its_picture_is(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    half().save(path)
    assert turned_mask(path, Recipe(quarter_turns=1), 1600).size == (4, 8)
    assert max(turned_mask(path, Recipe(), 4).size) == 4
    cropped = Recipe(quarter_turns=1, crop=Crop(left=0, top=0, width=2, height=2))
    assert uncropped_mask(path, cropped, 1600).tobytes() == turned_mask(path, cropped, 1600).tobytes()


def test_the_shade_is_red_where_nothing_is_learned() -> None:
    red = shade(half())
    assert red.getpixel((0, 0))[3] == 0  # type: ignore[index] - a pixel of RGBA
    assert red.getpixel((7, 3))[3] > 100  # type: ignore[index] - a pixel of RGBA


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
