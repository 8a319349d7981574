"""Bars: found where films and scans have them, and nowhere else."""

from io import BytesIO

import pytest
from PIL import Image, ImageFilter

from app.collect.bars import bar_shares, without_bars
from app.collect.measures import blocking
from app.collect.pebblo import drawings
from app.collect.pictures import read_picture
from app.config import ROOT
from app.contract.pixels import upright_rgb
from app.contract.recipe import Crop, Recipe

OPENMOJI = ROOT / "app" / "collect" / "openmoji"


def noise(width: int = 300, height: int = 200) -> Image.Image:
    """A picture that is even nowhere."""
    parts = [Image.effect_noise((width, height), 200).filter(ImageFilter.GaussianBlur(2)) for _ in range(3)]
    return Image.merge("RGB", parts)


def jpeg(image: Image.Image, quality: int = 85) -> Image.Image:
    """The picture after a lossy save."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
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


def test_bars_that_end_inside_a_jpeg_block_are_found() -> None:
    for edge in (85, 90, 93):
        image = noise(640, 480)
        image.paste("black", (0, 0, 640, edge))
        image.paste("black", (0, 480 - edge, 640, 480))
        found = without_bars(jpeg(image, quality=75))
        assert found is not None, edge
        assert abs(found.top - edge) <= 3
        assert abs(found.height - (480 - 2 * edge)) <= 6


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


@pytest.mark.parametrize("size", [(300, 200), (3000, 2000)])
def test_the_shares_of_bars_are_measured_at_any_size(size: tuple[int, int]) -> None:
    width, height = size
    image = noise(width, height)
    image.paste("black", (0, 0, width, height // 10))
    image.paste("white", (0, height - height // 20, width, height))
    assert bar_shares(image) == pytest.approx((0, 0.1, 0, 0.05), abs=0.006)
    assert bar_shares(noise(width, height)) == (0, 0, 0, 0)


def test_the_ground_around_a_thing_is_no_bar_of_the_facts() -> None:
    for path in sorted(OPENMOJI.glob("*.png")):
        with Image.open(path) as image:
            assert bar_shares(upright_rgb(image, Recipe())) == (0, 0, 0, 0), path.name
    for name, data, _ in drawings():
        with Image.open(BytesIO(data)) as image:
            assert bar_shares(image.convert("RGB")) == (0, 0, 0, 0), name
    floor = noise()
    floor.paste("brown", (0, 150, 300, 200))
    assert without_bars(floor) is not None
    assert bar_shares(floor) == (0, 0, 0, 0)


def test_bars_and_blocks_are_facts_of_what_comes_in() -> None:
    image = noise(600, 400)
    image.paste("black", (0, 0, 60, 400))
    image.paste("black", (530, 0, 600, 400))
    rough, fine = BytesIO(), BytesIO()
    image.save(rough, "JPEG", quality=10)
    image.save(fine, "JPEG", quality=92)
    worse, better = (read_picture(data.getvalue(), "a.jpg").facts for data in (rough, fine))
    assert worse.bars == pytest.approx((0.1, 0, 0.117, 0), abs=0.01)
    assert worse.blocking > 1.3 > better.blocking > 0.9
    lossless = BytesIO()
    Image.open(rough).save(lossless, "PNG")
    assert read_picture(lossless.getvalue(), "a.png").facts.blocking == 0


def test_blocks_are_measured_where_there_is_something_to_measure() -> None:
    assert blocking(Image.new("RGB", (32, 512))) == 0
    assert blocking(Image.new("RGB", (512, 512))) == 0
    blocks = Image.effect_noise((64, 64), 120).resize((512, 512), Image.Resampling.NEAREST)
    assert blocking(blocks) == pytest.approx(511 / 63, rel=0.05)
