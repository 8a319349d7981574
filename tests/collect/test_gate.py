"""The import gate on the fixture pack: the pixels, sizes, facts and refusals that each file must give."""

from io import BytesIO

import pytest
from PIL import Image, ImageOps

from app.collect.decoders import Decoders
from app.collect.facts import PictureFacts
from app.collect.measures import measure
from app.collect.phash import distance, hashes
from app.collect.pictures import Picture, read_picture
from app.collect.prompts import embedded_prompt
from app.collect.refusals import Refused
from app.config import Settings
from app.contract.pixels import upright_rgb
from app.contract.recipe import Recipe
from tests.collect import fixtures
from tests.collect.fixtures import encoded, noise

GREEN = (0, 200, 0)
MAGENTA = (255, 0, 255)


def pixels(data: bytes, background: str = "#ffffff") -> Image.Image:
    """The picture as it trains."""
    with Image.open(BytesIO(data)) as opened:
        return upright_rgb(opened, Recipe(background=background))


def codes(picture: Picture) -> list[str]:
    return [note.code for note in picture.notes]


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_exif_turn_is_baked_into_size_pixels_and_copies(container: str) -> None:
    data = fixtures.turned(container)
    picture = read_picture(data, "turned")
    assert (picture.width_px, picture.height_px) == (32, 64)
    assert picture.facts.orientation == 6
    shown = Image.open(BytesIO(picture.thumb))
    assert shown.size == (32, 64)
    for upright in (pixels(data), shown.convert("RGB")):
        red, green, blue = upright.getpixel((16, 12))  # type: ignore[misc]
        assert (blue > 200, red < 60, green < 60) == (True, True, True)
        assert min(upright.getpixel((16, 52))) > 200  # type: ignore[type-var]
    assert shown.getexif().get(fixtures.ORIENTATION, 1) == 1


@pytest.mark.parametrize(
    "data", [fixtures.hidden_colour(), fixtures.palette_with_hole()], ids=["hidden colour", "palette hole"]
)
def test_what_is_hidden_under_nothing_never_shows(data: bytes) -> None:
    picture = read_picture(data, "a.png")
    assert picture.facts.uses_alpha
    assert "F05" in codes(picture)
    for background, colour in (("#ffffff", (255, 255, 255)), ("#808080", (128, 128, 128))):
        upright = pixels(data, background)
        assert (upright.getpixel((0, 0)), upright.getpixel((20, 20))) == (colour, GREEN)
    with Image.open(BytesIO(picture.thumb)) as thumb:
        assert min(thumb.convert("RGB").getpixel((2, 2))) > 240  # type: ignore[type-var]


def test_an_alpha_channel_that_hides_nothing_asks_nothing() -> None:
    picture = read_picture(encoded(noise().convert("RGBA")), "a.png")
    assert (picture.facts.has_alpha, picture.facts.uses_alpha) == (True, False)
    assert "F05" not in codes(picture)


def test_grey_with_alpha_is_laid_over_the_ground() -> None:
    upright = pixels(fixtures.grey_and_alpha())
    assert (upright.getpixel((5, 20)), upright.getpixel((35, 20))) == ((255, 255, 255), (90, 90, 90))
    assert "F05" in codes(read_picture(fixtures.grey_and_alpha(), "a.png"))


def test_sixteen_bits_are_scaled_and_not_cut() -> None:
    picture = read_picture(fixtures.ramp_16_bit(), "ramp.png")
    upright = pixels(fixtures.ramp_16_bit())
    levels = {colour for _, colour in upright.getcolors(70_000) or []}
    assert len(levels) > 200
    assert (upright.getpixel((0, 0)), upright.getpixel((511, 0))) == ((0, 0, 0), (255, 255, 255))
    assert picture.facts.bits == 16
    assert "F06" in codes(picture)


def test_inks_are_not_inverted() -> None:
    picture = read_picture(fixtures.inks(), "inks.jpg")
    assert picture.facts.is_cmyk
    upright = pixels(fixtures.inks())
    red, green, blue = upright.getpixel((10, 16))  # type: ignore[misc]
    assert red < 80 < green <= blue
    assert min(upright.getpixel((54, 16))) > 235  # type: ignore[type-var]


@pytest.mark.parametrize("container", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_a_film_the_first_frame_is_taken_and_all_are_counted(container: str) -> None:
    picture = read_picture(fixtures.film(container), "film")
    assert picture.facts.frames == 3
    assert any("first of 3 frames" in note.text for note in picture.notes)
    assert pixels(fixtures.film(container)).getpixel((24, 24)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("container", "extension"),
    [
        ("PNG", "png"),
        ("JPEG", "jpg"),
        ("WEBP", "webp"),
        ("BMP", "bmp"),
        ("GIF", "gif"),
        ("TIFF", "tiff"),
        ("AVIF", "avif"),
        ("MPO", "jpg"),
    ],
)
def test_every_format_is_told_by_its_bytes(container: str, extension: str) -> None:
    picture = read_picture(encoded(noise(), container), "anything")
    assert (picture.extension, picture.width_px, picture.height_px) == (extension, 128, 96)
    assert picture.facts.container == ("JPEG" if extension == "jpg" else container)
    assert Image.open(BytesIO(picture.thumb)).format == "WEBP"


@pytest.mark.parametrize(("name", "lies"), [("a.jpg", True), ("a.png", False), ("A.PNG", False), ("a.dat", False)])
def test_a_name_that_lies_is_noted_and_not_held_against_it(name: str, lies: bool) -> None:
    assert ("F02" in codes(read_picture(encoded(noise()), name))) is lies


def test_a_jpeg_that_is_called_png_is_taken_as_what_it_is() -> None:
    picture = read_picture(encoded(noise(), "JPEG"), "a.png")
    assert (picture.extension, codes(picture)) == ("jpg", ["F02"])
    assert picture.notes[0].text == "It is a JPEG file whatever its name says; it was taken as that."


@pytest.mark.parametrize("name", ["a.jfif", "a.jpeg", "a.jpe", "IMG.JPG"])
def test_names_of_jpegs_do_not_lie(name: str) -> None:
    assert codes(read_picture(encoded(noise(), "JPEG"), name)) == []


@pytest.mark.parametrize("bad", fixtures.bad_files(), ids=lambda bad: bad.name)
def test_bad_files_are_named_with_code_reason_and_way_out(bad: fixtures.Bad) -> None:
    with pytest.raises(Refused) as refusal:
        read_picture(bad.data, bad.name)
    assert refusal.value.code == bad.code
    assert bad.name in refusal.value.message
    assert bad.words in refusal.value.words
    assert refusal.value.hint.endswith(".")


@pytest.mark.parametrize(("width", "height"), [(60, 60), (10_000, 50), (4096, 4096), (1, 1), (2, 3000)])
def test_odd_sizes_come_in(width: int, height: int) -> None:
    picture = read_picture(encoded(Image.new("RGB", (width, height), "teal")), "a.png")
    assert (picture.width_px, picture.height_px) == (width, height)
    assert max(Image.open(BytesIO(picture.thumb)).size) <= 320


def test_one_decode_gives_every_fact() -> None:
    light = read_picture(encoded(Image.new("RGB", (600, 400), (250, 250, 250))), "a.png")
    dark = read_picture(encoded(Image.new("RGB", (600, 400), (3, 3, 3))), "b.png")
    sharp = read_picture(encoded(noise(3, 600, 400)), "c.png")
    assert (light.facts.light_share, light.facts.dark_share, light.facts.flatness) == (1.0, 0.0, 1.0)
    assert (dark.facts.dark_share, dark.facts.brightness) == (1.0, round(3 / 255, 4))
    assert sharp.facts.sharpness > 1000 > light.facts.sharpness
    assert sharp.facts.flatness < 0.1
    assert Image.open(BytesIO(sharp.display)).size == (600, 400)
    assert PictureFacts.model_validate_json(sharp.facts.to_json()) == sharp.facts


def test_flat_art_is_sharp_where_it_has_edges() -> None:
    art = Image.new("RGB", (512, 512), "white")
    art.paste("black", (200, 200, 300, 300))
    blurred = art.resize((32, 32), Image.Resampling.BILINEAR).resize((512, 512), Image.Resampling.BICUBIC)
    assert measure(art).sharpness > 100 > measure(blurred).sharpness
    assert measure(art).flatness > 0.95


def test_likeness_is_seen_through_size_quality_and_mirror() -> None:
    pictures = dict(fixtures.same_picture())
    base, mirrored = hashes(pictures["as it is"])
    near = {name: distance(base, hashes(picture)[0]) for name, picture in pictures.items()}
    assert max(near[name] for name in ("as it is", "half", "small", "poor")) <= 4
    assert near["cropped by 3 px"] <= 10
    assert distance(mirrored, hashes(ImageOps.mirror(pictures["half"]))[0]) <= 4
    assert distance(base, mirrored) > 10
    assert distance(base, hashes(noise(5, 640, 480))[0]) > 10


def test_a_generators_prompt_is_read() -> None:
    a1111 = "a red fox, snow\nbest quality\nNegative prompt: blurry\nSteps: 20, Sampler: Euler"
    assert embedded_prompt({"parameters": a1111}) == "a red fox, snow\nbest quality"
    graph = (
        '{"3": {"class_type": "KSampler", "inputs": {"positive": ["6", 0], "negative": ["7", 0]}},'
        '"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a blue bird"}},'
        '"7": {"class_type": "CLIPTextEncode", "inputs": {"text": "a very long list of bad things"}}}'
    )
    assert embedded_prompt({"prompt": graph}) == "a blue bird"
    assert embedded_prompt({"prompt": "not json", "parameters": "just a note"}) == ""


def test_a_profile_that_is_no_srgb_is_named_or_passed_over() -> None:
    assert read_picture(fixtures.with_profile(), "a.png").width_px == 32


def test_the_child_gives_what_the_process_itself_gives(settings: Settings) -> None:
    settings.make_folders()
    path = settings.data / "fox.png"
    path.write_bytes(encoded(noise(9)))
    decoders = Decoders(settings, 1)
    try:
        measured = decoders.measure(path, "fox.png")
        with pytest.raises(Refused, match=r"gone\.png cannot be read"):
            decoders.measure(settings.data / "gone.png", "gone.png")
    finally:
        decoders.close()
    here = read_picture(path.read_bytes(), "fox.png")
    assert (measured.sha256, measured.phash, measured.facts) == (here.sha256, here.phash, here.facts)
