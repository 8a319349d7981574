"""Frames of animations: composed exactly, told apart, and named where they cannot be read."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.collect.frames import Film, FrameWish, Reel, as_png
from app.collect.refusals import Refused
from tests.collect import animations, fixtures
from tests.collect.animations import noisy_film
from tests.collect.fixtures import encoded, noise

ALL = FrameWish(number=1, skips_alike=False)


def saved(folder: Path, data: bytes, name: str = "film") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def image_of(data: bytes) -> Image.Image:
    """A PNG with one frame and nothing beside its pixels."""
    with Image.open(BytesIO(data)) as opened:
        assert (opened.format, getattr(opened, "n_frames", 1), dict(opened.getexif())) == ("PNG", 1, {})
        return opened.copy()


def shown(path: Path, count: int) -> list[tuple[object, ...]]:
    """What each frame shows at the spots, as RGBA."""
    film = Film(path, ALL)
    frames = [image_of(film.png(number)).convert("RGBA") for number in range(1, count + 1)]
    return [tuple(frame.getpixel(spot) for spot in animations.SPOTS) for frame in frames]


def outcome(film: Film, number: int) -> str:
    """`in`, or why a frame is not."""
    try:
        image_of(film.png(number))
    except Refused as refusal:
        return f"{refusal.code} {refusal.message}" if refusal.hint else "no way out"
    return "in"


def test_every_disposal_of_a_gif_is_kept(tmp_path: Path) -> None:
    assert shown(saved(tmp_path, animations.drawn_gif()), 4) == list(animations.GIF_SHOWS)


def test_disposals_and_blends_of_an_apng_are_kept(tmp_path: Path) -> None:
    assert shown(saved(tmp_path, animations.drawn_apng()), 5) == list(animations.APNG_SHOWS)


@pytest.mark.parametrize("container", ["PNG", "WEBP", "TIFF"])
def test_frames_have_the_very_pixels(container: str, tmp_path: Path) -> None:
    film = Film(saved(tmp_path, noisy_film(container, 3)), ALL)
    for number in (1, 2, 3):
        assert image_of(film.png(number)).tobytes() == noise(499 + number, 64, 48).tobytes()


def test_frames_between_those_that_are_looked_at_are_composed_too(tmp_path: Path) -> None:
    wish = FrameWish(number=3, every=2, skips_alike=False)
    third = image_of(Film(saved(tmp_path, animations.drawn_gif()), wish).png(3)).convert("RGBA")
    assert tuple(third.getpixel(spot) for spot in animations.SPOTS) == animations.GIF_SHOWS[2]


def test_pages_of_a_tiff_keep_what_png_can_hold(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16))
    inks = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    path = saved(tmp_path, encoded(noise(1, 8, 8), "TIFF", save_all=True, append_images=[deep, inks]))
    film = Film(path, ALL)
    frames = [image_of(film.png(number)) for number in (1, 2, 3)]
    assert [frame.mode for frame in frames] == ["RGB", "I;16", "RGB"]
    assert [frame.getpixel((3, 3)) for frame in frames[1:]] == [40_000, (0, 255, 255)]


def test_a_profile_goes_along_and_the_camera_turns_no_frame_twice(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[fixtures.ORIENTATION] = 6
    with Image.open(BytesIO(fixtures.with_profile())) as opened:
        profile = opened.info["icc_profile"]
    frames = [noise(seed, 16, 8) for seed in (1, 2)]
    data = encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, exif=exif, icc_profile=profile
    )
    second = image_of(Film(saved(tmp_path, data), ALL).png(2))
    assert second.info["icc_profile"] == profile
    assert second.tobytes() == frames[1].transpose(Image.Transpose.ROTATE_270).tobytes()


def test_frames_that_are_nearly_the_same_are_left_out_by_name(tmp_path: Path) -> None:
    base = noise(1, 96, 96).resize((12, 12)).resize((96, 96), Image.Resampling.BICUBIC)
    nearly = base.point([min(255, value + 2) for value in range(256)] * 3)
    other = noise(2, 96, 96).resize((12, 12)).resize((96, 96), Image.Resampling.BICUBIC)
    frames = [base, nearly, other, other.copy(), base]
    frames[3].putpixel((0, 0), (0, 0, 0))
    path = saved(tmp_path, encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    film = Film(path, FrameWish(number=1))
    assert [outcome(film, number) for number in range(1, 6)] == [
        "alike The animation itself shows this frame.",
        "alike It is nearly the same as frame 1.",
        "in",
        "alike It is nearly the same as frame 3.",
        "in",
    ]


def test_even_frames_are_told_apart_by_their_colours(tmp_path: Path) -> None:
    film = Film(saved(tmp_path, fixtures.film("WEBP")), FrameWish(number=1))
    assert [outcome(film, number) for number in (1, 2, 3)] == [
        "alike The animation itself shows this frame.",
        "in",
        "in",
    ]


@pytest.mark.parametrize(
    ("container", "share", "good", "behind"), [("GIF", 0.7, 4, 0), ("PNG", 0.7, 4, 1), ("PNG", 0.45, 2, 3)]
)
def test_of_a_cut_film_whole_frames_come_and_the_cut_one_is_named(
    container: str, share: float, good: int, behind: int, tmp_path: Path
) -> None:
    data = noisy_film(container)
    film = Film(saved(tmp_path, data[: int(len(data) * share)]), ALL)
    ends = [outcome(film, number) for number in range(1, good + behind + 2)]
    assert ends[:good] == ["in"] * good
    assert ends[good].startswith(f"F01 Frame {good + 1} cannot be read: it is cut off")
    words = f"is drawn over frame {good + 1}, which cannot be read."
    assert ends[good + 1 :] == [f"F01 Frame {number} {words}" for number in range(good + 2, good + 2 + behind)]


def test_a_damaged_page_harms_no_other_page(tmp_path: Path) -> None:
    pages = [noise(seed, 32, 32) for seed in (1, 2, 3)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    where = data.index(encoded(pages[1], "TIFF", compression="tiff_lzw")[8:200][:64])
    film = Film(saved(tmp_path, data[:where] + bytes(600) + data[where + 600 :]), ALL)
    ends = [outcome(film, number) for number in (1, 2, 3)]
    assert (ends[0], ends[2]) == ("in", "in")
    assert ends[1].startswith("F01 Frame 2 cannot be read")


def test_a_page_that_is_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    small = Image.new("1", (16, 16))
    path = saved(tmp_path, encoded(small, "TIFF", save_all=True, append_images=[Image.new("1", (12_000, 12_000))]))
    assert outcome(Film(path, ALL), 2).startswith("F07 Frame 2 has 12,000 × 12,000 pixels, more than 100 million")


def test_an_animation_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no longer on the disk"):
        Film(tmp_path / "gone.gif", ALL)
    with pytest.raises(Refused, match="The animation cannot be read"):
        Film(saved(tmp_path, b"nothing"), ALL)


def test_a_reel_goes_on_where_it_is_and_begins_again_where_it_must(tmp_path: Path) -> None:
    path = saved(tmp_path, noisy_film("PNG", 3))
    reel = Reel()
    wishes = [FrameWish(number=number, skips_alike=False) for number in (1, 3, 2, 2)]
    pixels = [image_of(reel.png(path, wish)).tobytes() for wish in wishes]
    assert pixels == [noise(499 + wish.number, 64, 48).tobytes() for wish in wishes]
    # With other settings other frames are alike: what the open film has decided does not count.
    assert image_of(reel.png(path, FrameWish(number=3, every=2))).tobytes() == noise(502, 64, 48).tobytes()


def test_a_frame_is_encoded_the_same_each_time() -> None:
    image = noise(3)
    image.info |= {"duration": 40, "comment": b"text", "dpi": (72, 72)}
    assert as_png(image) == as_png(noise(3))
    assert image_of(as_png(image)).info == {}
