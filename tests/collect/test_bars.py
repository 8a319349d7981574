"""Bars: found where films and scans have them, and nowhere else."""

from io import BytesIO

import pytest
from PIL import Image, ImageDraw, ImageFilter

from app.collect.bars import NO_BARS, bar_shares
from app.collect.measures import blocking
from app.collect.pebblo import drawings
from app.collect.pictures import read_picture
from app.config import ROOT
from app.contract.pixels import upright_rgb
from app.contract.recipe import Recipe

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


def kept(image: Image.Image) -> tuple[int, int, int, int]:
    """The pixels at the left, top, right and bottom that are bar."""
    width, height = image.size
    left, top, right, bottom = bar_shares(image)
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


@pytest.mark.parametrize("colour", ["black", "white", "#303030"])
def test_letterbox_bars_are_found_also_after_a_lossy_save(colour: str) -> None:
    image = noise()
    image.paste(colour, (0, 0, 300, 32))
    image.paste(colour, (0, 168, 300, 200))
    left, top, right, bottom = kept(jpeg(image))
    assert (left, right) == (0, 0)
    assert 30 <= top <= 34
    assert 30 <= bottom <= 34


def test_bars_that_end_inside_a_jpeg_block_are_found() -> None:
    for edge in (85, 90, 93):
        image = noise(640, 480)
        image.paste("black", (0, 0, 640, edge))
        image.paste("black", (0, 480 - edge, 640, 480))
        _, top, _, bottom = kept(jpeg(image, quality=75))
        assert abs(top - edge) <= 3, edge
        assert abs(bottom - edge) <= 3, edge


@pytest.mark.parametrize("times", [1, 7])
def test_pillar_bars_are_found_to_the_pixel_at_any_size(times: int) -> None:
    image = noise(300 * times, 200 * times)
    image.paste("black", (0, 0, 19 * times + 1, image.height))
    image.paste("black", (287 * times, 0, image.width, image.height))
    assert kept(image) == (19 * times + 1, 0, 13 * times, 0)


def test_a_film_with_bars_on_all_four_sides_and_a_dark_scene() -> None:
    film = noise(640, 480)
    framed = Image.new("RGB", (640, 480), "black")
    framed.paste(film.crop((0, 0, 500, 300)), (70, 90))
    assert kept(framed) == (70, 90, 70, 90)
    night = Image.new("RGB", (640, 480), "black")
    night.paste(film.crop((0, 0, 640, 300)), (0, 90))
    night.paste("black", (0, 90, 160, 390))
    assert kept(night) == (0, 90, 0, 90)


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
        assert bar_shares(image) == NO_BARS


def test_the_ground_around_a_thing_is_no_bar() -> None:
    for path in sorted(OPENMOJI.glob("*.png")):
        with Image.open(path) as image:
            assert bar_shares(upright_rgb(image, Recipe())) == NO_BARS, path.name
    for name, data, _ in drawings():
        with Image.open(BytesIO(data)) as image:
            assert bar_shares(image.convert("RGB")) == NO_BARS, name
    floor = noise()
    floor.paste("brown", (0, 150, 300, 200))
    assert bar_shares(floor) == NO_BARS
    sky_and_sea = noise()
    sky_and_sea.paste("lightblue", (0, 0, 300, 50))
    sky_and_sea.paste("navy", (0, 150, 300, 200))
    assert bar_shares(sky_and_sea) == NO_BARS
    flag = Image.new("RGB", (300, 200), "white")
    flag.paste("red", (20, 40, 280, 160))
    assert bar_shares(flag) == NO_BARS
    for ground in ("white", "black"):
        disc = Image.new("RGB", (300, 200), ground)
        ImageDraw.Draw(disc).ellipse((0, 20, 300, 180), "orange")
        assert bar_shares(disc) == NO_BARS


def test_a_picture_that_is_seen_through_has_no_bars() -> None:
    cut_out = Image.new("RGBA", (300, 200))
    cut_out.paste(noise(300, 120).convert("RGBA"), (0, 40))
    buffer = BytesIO()
    cut_out.save(buffer, "PNG")
    assert read_picture(buffer.getvalue(), "a.png").facts.bars == NO_BARS


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
