"""Bars: found where films and scans have them, and nowhere else."""

from io import BytesIO

import pytest
from PIL import Image, ImageFilter

from app.contract.recipe import Crop
from app.polish.bars import without_bars


def noise(width: int = 300, height: int = 200) -> Image.Image:
    """A picture that is even nowhere."""
    parts = [Image.effect_noise((width, height), 200).filter(ImageFilter.GaussianBlur(2)) for _ in range(3)]
    return Image.merge("RGB", parts)


def jpeg(image: Image.Image) -> Image.Image:
    """The picture after a lossy save."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Image.open(BytesIO(buffer.getvalue())).convert("RGB")


@pytest.mark.parametrize(("top", "bottom"), [("black", "black"), ("white", "black"), ("#303030", "#303030")])
def test_letterbox_bars_are_found_also_after_a_lossy_save(top: str, bottom: str) -> None:
    image = noise()
    image.paste(top, (0, 0, 300, 32))
    image.paste(bottom, (0, 168, 300, 200))
    found = without_bars(jpeg(image))
    assert found is not None
    assert (found.left, found.width) == (0, 300)
    assert 30 <= found.top <= 34
    assert 166 <= found.top + found.height <= 170


def test_pillar_bars_are_found_to_the_pixel() -> None:
    image = noise()
    image.paste("black", (0, 0, 20, 200))
    image.paste("black", (290, 0, 300, 200))
    assert without_bars(image) == Crop(left=20, top=0, width=270, height=200)


def test_what_has_no_bars_gets_no_suggestion() -> None:
    gradient = Image.linear_gradient("L").resize((300, 200)).convert("RGB")
    tilted = gradient.resize((600, 400)).rotate(6, Image.Resampling.BICUBIC).crop((60, 60, 540, 340))
    small = Image.new("RGB", (300, 200), "white")
    small.paste(noise(60, 60), (120, 70))
    thin = noise()
    thin.paste("black", (0, 0, 300, 1))
    for image in (
        noise(),
        gradient,
        tilted,
        small,
        thin,
        Image.new("RGB", (300, 200), "navy"),
        Image.new("RGB", (1, 1)),
    ):
        assert without_bars(image) is None
