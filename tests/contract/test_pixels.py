"""From files to pixels: upright, 8-bit sRGB, flattened, whatever the file is like."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageCms

from app.contract.buckets import Fit, Size, fit, make_buckets
from app.contract.pixels import UNREADABLE, as_mask, fitted, mask_pixels, open_rgb, size_of, upright_rgb
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
    plain, same, other = (
        open_rgb(saved(tmp_path / f"{name}.png", Image.new("RGB", (2, 2), (255, 0, 0)), **options), WHITE)
        for name, options in (
            ("plain", {}),
            ("same", {"icc_profile": srgb()}),
            ("other", {"icc_profile": swapped_srgb()}),
        )
    )
    assert plain.getpixel((0, 0)) == (255, 0, 0)
    red, green, blue = same.getpixel((0, 0))  # type: ignore[misc] - an RGB pixel is a triple
    assert red >= 254
    assert max(green, blue) <= 1
    red, green, blue = other.getpixel((0, 0))  # type: ignore[misc] - an RGB pixel is a triple
    assert green >= 254
    assert max(red, blue) <= 1


def swapped_srgb() -> bytes:
    """An sRGB whose red and green primaries have changed places."""
    return srgb().replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)


def test_a_profile_means_the_colours_and_not_the_background(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1))
    image.putdata([(255, 0, 0, 255), (255, 0, 0, 0)])
    path = saved(tmp_path / "a.png", image, icc_profile=swapped_srgb())
    solid, hidden = (open_rgb(path, Recipe(background="#ff0000")).getpixel((x, 0)) for x in range(2))
    red, green, blue = solid  # type: ignore[misc] - an RGB pixel is a triple
    assert green >= 254
    assert max(red, blue) <= 1
    assert hidden == (255, 0, 0)


def test_colours_hidden_under_transparency_never_show(tmp_path: Path) -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 255, 0))
    image.paste((0, 255, 0, 255), (2, 2, 6, 6))
    made = open_rgb(saved(tmp_path / "a.png", image), Recipe(background="#808080"))
    assert {colour for _, colour in made.getcolors() or ()} == {(0, 255, 0), (128, 128, 128)}


def png(depth: int, colour_type: int, rows: list[bytes], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of kinds that Pillow cannot write."""
    width = len(rows[0]) * 8 // (depth * {0: 1, 2: 3, 4: 2, 6: 4}[colour_type])
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def test_sixteen_bits_of_grey_give_every_shade(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(16, 0, [struct.pack(">1024H", *range(0, 65536, 64))]))
    image = open_rgb(path, WHITE)
    assert len({image.getpixel((x, 0)) for x in range(1024)}) == 256


def test_sixteen_bits_of_colour_keep_their_range(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(16, 2, [struct.pack(">6H", 65535, 32896, 0, 300, 300, 300)]))
    assert [open_rgb(path, WHITE).getpixel((x, 0)) for x in range(2)] == [(255, 128, 0), (1, 1, 1)]


def test_a_transparent_shade_or_colour_is_seen_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for data in (
        png(8, 0, [bytes([7, 200])], (b"tRNS", struct.pack(">H", 7))),
        png(16, 0, [struct.pack(">2H", 300, 51400)], (b"tRNS", struct.pack(">H", 300))),
        png(8, 2, [bytes([1, 2, 3, 200, 200, 200])], (b"tRNS", struct.pack(">3H", 1, 2, 3))),
    ):
        path.write_bytes(data)
        assert [open_rgb(path, MAGENTA).getpixel((x, 0)) for x in range(2)] == [(255, 0, 255), (200, 200, 200)]


@pytest.mark.parametrize(("values", "shades"), [((0.0, 0.5, 1.0), (0, 128, 255)), ((0.0, 100.0, 255.0), (0, 100, 255))])
def test_floats_are_scaled_as_they_are_meant(
    tmp_path: Path, values: tuple[float, ...], shades: tuple[int, ...]
) -> None:
    image = Image.new("F", (3, 1))
    image.putdata(values)
    path = saved(tmp_path / "a.tif", image)
    assert tuple(open_rgb(path, WHITE).getpixel((x, 0)) for x in range(3)) == tuple((each,) * 3 for each in shades)


def test_lab_becomes_what_it_looks_like(tmp_path: Path) -> None:
    red, green, blue = open_rgb(saved(tmp_path / "a.tif", Image.new("LAB", (1, 1), (136, 208, 195))), WHITE).getpixel(
        (0, 0)
    )  # type: ignore[misc] - an RGB pixel is a triple
    assert red > 240
    assert max(green, blue) < 20


def test_a_mask_turns_and_is_cut_with_its_picture(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", marked())
    drawn = Image.new("L", (40, 20), 0)
    drawn.paste(255, (0, 0, 20, 10))
    recipe = Recipe(quarter_turns=1, crop={"left": 5, "top": 0, "width": 15, "height": 30})
    mask = mask_pixels(path, saved(tmp_path / "m.png", drawn), recipe)
    image = open_rgb(path, recipe)
    assert mask is not None
    assert mask.mode == "L"
    assert mask.size == image.size
    learns = [(x, y) for x in range(mask.width) for y in range(mask.height) if mask.getpixel((x, y)) == 255]
    assert learns
    assert {image.getpixel(place) for place in learns} == {CORNERS[0]}


def test_a_mask_of_another_size_covers_the_picture_all_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", marked(400, 200))
    small = Image.new("L", (4, 2), 0)
    small.paste(255, (0, 0, 2, 2))
    mask = mask_pixels(path, saved(tmp_path / "m.png", small), WHITE)
    assert mask is not None
    assert mask.size == (400, 200)
    assert (mask.getpixel((10, 100)), mask.getpixel((390, 100))) == (255, 0)


def test_transparency_counts_in_the_loss_where_the_recipe_says_so(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 1), (9, 9, 9, 255))
    image.putpixel((0, 0), (9, 9, 9, 0))
    image.putpixel((1, 0), (9, 9, 9, 128))
    path = saved(tmp_path / "a.png", image)
    drawn = Image.new("L", (4, 1), 255)
    drawn.putpixel((3, 0), 0)
    mask_path = saved(tmp_path / "m.png", drawn)

    def values(mask: Image.Image | None) -> list[object]:
        assert mask is not None
        return [mask.getpixel((x, 0)) for x in range(4)]

    assert mask_pixels(path, None, WHITE) is None
    assert values(mask_pixels(path, mask_path, WHITE)) == [255, 255, 255, 0]
    assert values(mask_pixels(path, None, Recipe(alpha="mask"))) == [0, 128, 255, 255]
    assert values(mask_pixels(path, mask_path, Recipe(alpha="mask"))) == [0, 128, 255, 0]
    opaque = saved(tmp_path / "b.png", image.convert("RGB"))
    assert mask_pixels(opaque, None, Recipe(alpha="mask")) is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_mask_lies_over_the_upright_picture(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / f"a{suffix}", marked(), exif=exif)
    mask = mask_pixels(path, saved(tmp_path / "m.png", Image.new("L", (20, 40), 255)), WHITE)
    assert mask is not None
    assert mask.size == open_rgb(path, WHITE).size == (20, 40)


def test_a_mask_file_may_be_drawn_in_any_mode() -> None:
    for mode in ("1", "L", "RGB", "P", "LA"):
        mask = as_mask(Image.new("RGB", (2, 2), "white").convert("L").convert(mode))
        assert (mask.mode, mask.getpixel((0, 0))) == ("L", 255)
    hidden = Image.new("RGBA", (2, 2), (255, 255, 255, 0))
    assert as_mask(hidden).getpixel((0, 0)) == 0


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


def test_a_strip_is_fitted_without_scaling_all_of_it() -> None:
    """Whole, this one would be scaled to 5,242,880 by 512 pixels: 8 GB."""
    image = Image.new("RGB", (10240, 1), (0, 0, 255))
    image.paste((255, 0, 0), (5120, 0, 10240, 1))
    found = fitted(image, fit(size_of(image), make_buckets(1024, 64)))
    assert (found.width, found.height) == (2048, 512)
    # The middle is kept, four pixels wide; there Lanczos rings.
    (red, _, blue), (right_red, _, right_blue) = found.getpixel((0, 0)), found.getpixel((2047, 511))
    assert red < 40 < 215 < blue
    assert right_blue < 40 < 215 < right_red


def test_a_strip_is_cut_where_the_whole_one_would_be() -> None:
    image = Image.effect_noise((1300, 20), 80).convert("RGB")
    place = fit(size_of(image), make_buckets(64, 16))
    whole = image.resize((place.scaled.width, place.scaled.height), Image.Resampling.LANCZOS)
    box = (place.left, place.top, place.left + place.bucket.width, place.top + place.bucket.height)
    difference = ImageChops.difference(fitted(image, place), whole.crop(box))
    assert place.scaled.area > 16 * place.bucket.area
    assert max(most for _, most in difference.getextrema()) <= 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [(0, 0), (40, 30)])
def test_a_value_that_is_no_number_is_told_as_unreadable(tmp_path: Path, value: float, place: tuple[int, int]) -> None:
    image = Image.new("F", (64, 64), 0.5)
    image.putpixel(place, value)
    with pytest.raises(UNREADABLE, match="not numbers"):
        open_rgb(saved(tmp_path / "a.tif", image), WHITE)
