"""From files to pixels: upright, 8-bit sRGB, flattened, whatever the file is like."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from app.contract.buckets import Fit, Size, fit, make_buckets
from app.contract.pixels import UNREADABLE, fitted, open_rgb, size_of, upright_rgb
from app.contract.recipe import Recipe

WHITE, MAGENTA = Recipe(), Recipe(background="#ff00ff")
# Corners, clockwise from the upper left: red, green, blue, white.
CORNERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


def corners(image: Image.Image) -> tuple[object, ...]:
    """The four corner pixels, clockwise from the upper left."""
    right, bottom = image.width - 1, image.height - 1
    return tuple(image.getpixel(place) for place in ((0, 0), (right, 0), (right, bottom), (0, bottom)))


def marked(width: int = 40, height: int = 20) -> Image.Image:
    """A grey picture with coloured quarters at its corners."""
    image = Image.new("RGB", (width, height), "#808080")
    half_x, half_y = width // 2, height // 2
    boxes = ((0, 0), (half_x, 0), (half_x, half_y), (0, half_y))
    for colour, (x, y) in zip(CORNERS, boxes, strict=True):
        image.paste(colour, (x, y, x + half_x, y + half_y))
    return image


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    """Write a picture file."""
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright(tmp_path: Path, orientation: int) -> None:
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = marked() if inverse is None else marked().transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = open_rgb(saved(tmp_path / "a.png", stored, exif=exif), WHITE)
    assert size_of(image) == Size(40, 20)
    assert corners(image) == CORNERS


def test_transparency_lies_over_the_background(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1))
    image.putdata([(255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 0, 128)])
    path = saved(tmp_path / "a.png", image)
    assert [open_rgb(path, WHITE).getpixel((x, 0)) for x in range(3)] == [(255, 0, 0), (255, 255, 255), (127, 127, 127)]
    assert open_rgb(path, MAGENTA).getpixel((1, 0)) == (255, 0, 255)


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    path = saved(tmp_path / "a.png", image, transparency=0)
    assert [open_rgb(path, MAGENTA).getpixel((x, 0)) for x in range(2)] == [(255, 0, 255), (200, 100, 50)]
    opaque = saved(tmp_path / "b.png", image)
    assert open_rgb(opaque, MAGENTA).getpixel((0, 0)) == (10, 20, 30)


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.new("LA", (2, 1))
    image.putdata([(100, 255), (100, 0)])
    path = saved(tmp_path / "a.png", image)
    assert [open_rgb(path, WHITE).getpixel((x, 0)) for x in range(2)] == [(100, 100, 100), (255, 255, 255)]


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    image = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 32896, 65535)):
        image.putpixel((x, 0), value)
    path = saved(tmp_path / "a.png", image)
    assert [open_rgb(path, WHITE).getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK"])
def test_other_modes_keep_their_colours(tmp_path: Path, mode: str) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    image = open_rgb(saved(tmp_path / f"a{suffix}", Image.new("RGB", (8, 8), "white").convert(mode)), WHITE)
    assert image.mode == "RGB"
    assert image.getpixel((4, 4)) == (255, 255, 255)


def test_cmyk_is_not_inverted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    red, green, blue = open_rgb(path, WHITE).getpixel((8, 8))  # type: ignore[misc] - an RGB pixel is a triple
    assert red > 240
    assert max(green, blue) < 20


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    # An sRGB whose red and green primaries have changed places.
    swapped = srgb().replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    plain, same, other = (
        open_rgb(saved(tmp_path / f"{name}.png", Image.new("RGB", (2, 2), (255, 0, 0)), **options), WHITE)
        for name, options in (("plain", {}), ("same", {"icc_profile": srgb()}), ("other", {"icc_profile": swapped}))
    )
    assert plain.getpixel((0, 0)) == (255, 0, 0)
    red, green, blue = same.getpixel((0, 0))  # type: ignore[misc] - an RGB pixel is a triple
    assert red >= 254
    assert max(green, blue) <= 1
    red, green, blue = other.getpixel((0, 0))  # type: ignore[misc] - an RGB pixel is a triple
    assert green >= 254
    assert max(red, blue) <= 1


def srgb() -> bytes:
    """The sRGB profile as a file would carry it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [b"no profile", b"\x00" * 200, srgb()[:200]])
def test_a_damaged_profile_is_passed_over(tmp_path: Path, profile: bytes) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (2, 2), (120, 60, 30)), icc_profile=profile)
    assert open_rgb(path, WHITE).getpixel((0, 0)) == (120, 60, 30)


def test_only_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:])
    assert open_rgb(path, WHITE).getpixel((0, 0)) == (255, 0, 0)


def test_the_file_is_left_as_it_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", marked(), exif=exif)
    before = path.read_bytes()
    open_rgb(path, WHITE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [0, 10, 60, 200])
def test_a_damaged_file_is_told_as_unreadable(tmp_path: Path, cut: int) -> None:
    whole = BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(whole.getvalue()[:cut])
    with pytest.raises(UNREADABLE):
        open_rgb(path, WHITE)


def test_a_picture_is_cut_where_its_fit_says() -> None:
    image = marked(400, 200)
    place = fit(size_of(image), make_buckets(64, 16))
    assert size_of(fitted(image, place)) == place.bucket
    right_half = fitted(image, Fit(Size(400, 200), Size(80, 40), Size(40, 40), 40, 0))
    assert size_of(right_half) == Size(40, 40)
    # Away from the edges, where Lanczos rings.
    assert [right_half.getpixel(place) for place in ((20, 8), (20, 32))] == [CORNERS[1], CORNERS[2]]


def test_a_flat_picture_stays_flat_when_scaled() -> None:
    image = upright_rgb(Image.new("RGB", (7, 900), (1, 2, 3)), WHITE)
    place = fit(size_of(image), make_buckets(512, 64))
    assert fitted(image, place).getcolors() == [(place.bucket.area, (1, 2, 3))]
