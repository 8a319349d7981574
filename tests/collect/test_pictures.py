"""Pictures: what comes in, what is refused, and in which words."""

from io import BytesIO

import pytest
from PIL import Image

from app.collect.pictures import MAX_PIXELS, THUMB_SIDE_PX, read_picture
from app.errors import Invalid


def encoded(image: Image.Image, container: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("container", "extension"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_facts_come_from_the_bytes(container: str, extension: str) -> None:
    picture = read_picture(encoded(Image.new("RGB", (640, 320), "red"), container), "picture")
    assert (picture.extension, picture.width_px, picture.height_px) == (extension, 640, 320)
    thumb = Image.open(BytesIO(picture.thumb))
    assert thumb.format == "WEBP"
    assert thumb.size == (THUMB_SIDE_PX, THUMB_SIDE_PX // 2)


def test_size_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(encoded(Image.new("RGB", (64, 32)), "JPEG", exif=exif), "phone.jpg")
    assert (picture.width_px, picture.height_px) == (32, 64)


def test_transparency_shows_white_in_the_thumbnail() -> None:
    picture = read_picture(encoded(Image.new("RGBA", (40, 40), (255, 0, 0, 0))), "ghost.png")
    assert Image.open(BytesIO(picture.thumb)).convert("RGB").getpixel((20, 20)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"not a picture at all", "no known image format"),
        (encoded(Image.effect_noise((256, 256), 90), "JPEG")[:4000], "cut off"),
        (encoded(Image.effect_noise((256, 256), 90))[:4000], "cut off"),
        (encoded(Image.new("RGB", (8, 8)), "PPM"), "PPM"),
    ],
    ids=["empty", "html", "noise", "half-jpeg", "half-png", "ppm"],
)
def test_refusals_name_file_and_reason(data: bytes, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_picture(data, "odd.png")
    assert "odd.png" in refused.value.message
    assert words in refused.value.message
    assert refused.value.hint


def test_a_bomb_is_refused_from_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1000
    with pytest.raises(Invalid, match="million"):
        read_picture(encoded(Image.new("1", (side, side))), "bomb.png")
