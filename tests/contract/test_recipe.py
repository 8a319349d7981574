"""Recipes: the size that is foretold is the size that is made, and no step shows an empty corner."""

from random import Random

import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from app.contract.buckets import Size
from app.contract.pixels import polished, reshaped, size_of
from app.contract.recipe import UNTOUCHED, Crop, Recipe, look_key, read_recipe, size_after, straightened, turned

CASES = 300


def any_recipe(random: Random) -> Recipe:
    """A recipe with some of its steps, the crop box often beyond the picture."""
    box = Crop(
        left=random.randrange(60), top=random.randrange(60), width=random.randint(1, 80), height=random.randint(1, 80)
    )
    return Recipe(
        quarter_turns=random.randrange(4),
        mirrored=random.random() < 0.5,
        flipped=random.random() < 0.5,
        straighten_deg=random.choice((0.0, random.uniform(-15, 15))),
        crop=random.choice((None, box)),
    )


def any_size(random: Random) -> Size:
    """A picture's size, from a single pixel on."""
    return Size(random.choice((1, 2, random.randint(3, 90))), random.choice((1, 2, random.randint(3, 90))))


@pytest.mark.parametrize("seed", range(CASES))
def test_the_size_foretold_is_the_size_made(seed: int) -> None:
    random = Random(seed)
    recipe, size = any_recipe(random), any_size(random)
    made = polished(Image.new("RGB", (size.width, size.height), "red"), recipe)
    assert size_of(made) == size_after(recipe, size), recipe
    # A straightened picture of one colour is of that colour to its last pixel: no corner was empty.
    assert made.getcolors() == [(made.width * made.height, (255, 0, 0))], recipe


@pytest.mark.parametrize("seed", range(0, CASES, 10))
def test_a_picture_and_its_mask_stay_aligned(seed: int) -> None:
    random = Random(seed)
    recipe, size = any_recipe(random), any_size(random)
    drawn = Image.new("L", (size.width, size.height), 0)
    ImageDraw.Draw(drawn).rectangle((size.width // 3, size.height // 4, size.width, size.height), fill=255)
    assert reshaped(drawn, recipe).tobytes() == polished(drawn.convert("RGB"), recipe).getchannel("G").tobytes()


def corner_marked() -> Image.Image:
    """A black picture, white in its upper left quarter."""
    image = Image.new("RGB", (40, 20))
    image.paste("white", (0, 0, 20, 10))
    return image


@pytest.mark.parametrize(("turns", "white_at"), [(0, (5, 5)), (1, (15, 5)), (2, (35, 15)), (3, (5, 35))])
def test_quarter_turns_go_clockwise(turns: int, white_at: tuple[int, int]) -> None:
    image = polished(corner_marked(), Recipe(quarter_turns=turns))
    assert size_of(image) == turned(Recipe(quarter_turns=turns), Size(40, 20))
    assert image.getpixel(white_at) == (255, 255, 255)
    assert image.getpixel((image.width - 1 - white_at[0], image.height - 1 - white_at[1])) == (0, 0, 0)


def test_mirrored_and_flipped_name_their_sides() -> None:
    assert polished(corner_marked(), Recipe(mirrored=True)).getpixel((35, 5)) == (255, 255, 255)
    assert polished(corner_marked(), Recipe(flipped=True)).getpixel((5, 15)) == (255, 255, 255)
    # The turn comes first.
    assert polished(corner_marked(), Recipe(quarter_turns=1, mirrored=True)).getpixel((5, 5)) == (255, 255, 255)


def test_straightening_turns_clockwise_about_the_middle() -> None:
    image = Image.new("RGB", (201, 101))
    ImageDraw.Draw(image).line((0, 50, 200, 50), "white", 3)
    straight = polished(image, Recipe(straighten_deg=10))
    left = [y for y in range(straight.height) if straight.getpixel((5, y)) > (128, 128, 128)]  # type: ignore[operator] - a triple
    right = [y for y in range(straight.height) if straight.getpixel((straight.width - 6, y)) > (128, 128, 128)]  # type: ignore[operator] - a triple
    assert max(left) < straight.height // 2 < min(right)
    middle = (straight.width // 2, straight.height // 2)
    assert straight.getpixel(middle) == (255, 255, 255)


@pytest.mark.parametrize("size", [Size(3000, 2000), Size(2000, 3000), Size(1000, 1000), Size(4000, 100)])
@pytest.mark.parametrize("degrees", [0.1, -3, 15, -15])
def test_straightening_keeps_the_aspect_and_the_largest_box(size: Size, degrees: float) -> None:
    kept = straightened(Recipe(straighten_deg=degrees), size)
    assert kept.aspect == pytest.approx(size.aspect, rel=1 / min(kept.width, kept.height))
    picture = Image.new("L", (size.width, size.height), 255)
    turned_whole = picture.rotate(-degrees, Image.Resampling.NEAREST)
    left, top = (size.width - kept.width) // 2, (size.height - kept.height) // 2
    # Ten pixels more to every side, and an empty corner shows.
    larger = turned_whole.crop((left - 10, top - 10, left + kept.width + 10, top + kept.height + 10))
    assert larger.getextrema() == (0, 255)


def test_a_crop_box_is_cut_to_the_picture() -> None:
    image = Image.new("RGB", (40, 20))
    for box, size in (
        (Crop(left=10, top=5, width=100, height=100), Size(30, 15)),
        (Crop(left=500, top=500, width=7, height=7), Size(1, 1)),
        (Crop(left=0, top=0, width=40, height=20), Size(40, 20)),
    ):
        assert size_of(polished(image, Recipe(crop=box))) == size == size_after(Recipe(crop=box), Size(40, 20))


def test_an_untouched_recipe_is_an_empty_text_and_comes_back() -> None:
    assert UNTOUCHED.to_json() == "{}"
    random = Random(1)
    for _ in range(50):
        recipe = any_recipe(random)
        assert read_recipe(recipe.to_json()) == recipe


def test_only_what_can_be_seen_changes_the_look() -> None:
    assert look_key(UNTOUCHED) == look_key(Recipe(mask="a" * 64, alpha="mask")) == ""
    keys = {look_key(Recipe(quarter_turns=1)), look_key(Recipe(background="#000000")), look_key(Recipe(mirrored=True))}
    assert len(keys) == 3
    assert "" not in keys
    assert look_key(Recipe(quarter_turns=1)) == look_key(Recipe(quarter_turns=1, mask="a" * 64))


@pytest.mark.parametrize(
    "text",
    [
        '{"quarter_turns": 4}',
        '{"straighten_deg": 16}',
        '{"straighten_deg": NaN}',
        '{"background": "white"}',
        '{"crop": {"left": -1, "top": 0, "width": 1, "height": 1}}',
        '{"crop": {"left": 0, "top": 0, "width": 0, "height": 1}}',
        '{"mask": "../../store.db"}',
        '{"sharpen": 1}',
    ],
)
def test_what_no_recipe_may_hold_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        read_recipe(text)
