"""Steps: what a person does to the picture they see is what the recipe then shows, whatever it held before."""

from random import Random

import pytest
from PIL import Image, ImageChops, ImageStat

from app.contract.buckets import Size, fit, make_buckets
from app.contract.pixels import reshaped, size_of
from app.contract.recipe import UNTOUCHED, Crop, Recipe, size_after, straightened
from app.polish import steps
from app.polish.steps import PARTS

BUCKETS = make_buckets(512, 64)


def scene(size: Size) -> Image.Image:
    """A picture without any symmetry."""
    image = Image.new("RGB", (size.width, size.height))
    image.putdata(
        [
            (x * 255 // size.width, y * 255 // size.height, (x * y) % 97)
            for y in range(size.height)
            for x in range(size.width)
        ]
    )
    return image


def any_recipe(random: Random, upright: Size, degrees: float = 0.0) -> Recipe:
    """A recipe as steps leave it: its crop box lies in the picture."""
    recipe = Recipe(
        quarter_turns=random.randrange(4), mirrored=random.random() < 0.5, flipped=False, straighten_deg=degrees
    )
    recipe = steps.plain(recipe)
    if random.random() < 0.3:
        return recipe
    size = straightened(recipe, upright)
    left, top = random.randrange(size.width), random.randrange(size.height)
    box = Crop(
        left=left,
        top=top,
        width=random.randint(1, size.width - left),
        height=random.randint(1, size.height - top),
    )
    return steps.cropped(recipe, upright, box)


TURNS = [
    (steps.rotated, Image.Transpose.ROTATE_270),
    (steps.mirrored, Image.Transpose.FLIP_LEFT_RIGHT),
    (steps.flipped, Image.Transpose.FLIP_TOP_BOTTOM),
]


@pytest.mark.parametrize(("step", "transpose"), TURNS)
@pytest.mark.parametrize("seed", range(25))
def test_a_turn_turns_what_is_seen(step: object, transpose: Image.Transpose, seed: int) -> None:
    random = Random(seed)
    upright = Size(random.randint(5, 40), random.randint(5, 40))
    recipe = any_recipe(random, upright)
    before = reshaped(scene(upright), recipe)
    after = reshaped(scene(upright), step(recipe, upright))  # type: ignore[operator] - one of the steps above
    assert after.tobytes() == before.transpose(transpose).tobytes()
    assert after.size == before.transpose(transpose).size


@pytest.mark.parametrize(("step", "transpose"), TURNS)
@pytest.mark.parametrize("degrees", [4.0, -11.0])
def test_a_turn_of_a_straightened_picture_moves_no_edge(
    step: object, transpose: Image.Transpose, degrees: float
) -> None:
    upright = Size(60, 41)
    image = scene(upright).resize((600, 410))
    for seed in range(6):
        recipe = any_recipe(Random(seed), Size(600, 410), degrees)
        before = reshaped(image, recipe).transpose(transpose)
        after = reshaped(image, step(recipe, Size(600, 410)))  # type: ignore[operator] - one of the steps above
        assert after.size == before.size
        # Only the resampling may differ, by a shade.
        assert max(ImageStat.Stat(ImageChops.difference(after, before)).mean) < 2


def test_four_turns_are_none_and_a_mirror_undoes_itself() -> None:
    upright = Size(30, 20)
    for seed in range(20):
        recipe = any_recipe(Random(seed), upright, 3.0)
        turned = recipe
        for _ in range(4):
            turned = steps.rotated(turned, upright)
        assert turned == recipe
        for step in (steps.mirrored, steps.flipped):
            assert step(step(recipe, upright), upright) == recipe
        assert steps.mirrored(steps.flipped(recipe, upright), upright) == steps.rotated(
            steps.rotated(recipe, upright), upright
        )


def test_going_back_to_straight_leaves_an_untouched_recipe() -> None:
    upright = Size(300, 200)
    tilted = steps.mirrored(steps.straight(UNTOUCHED, upright, 2.5), upright)
    assert tilted.straighten_deg == -2.5
    assert steps.mirrored(steps.straight(tilted, upright, 0), upright).to_json() == "{}"


def test_a_crop_box_stays_about_its_place_when_straightening_changes() -> None:
    upright = Size(1000, 800)
    recipe = steps.cropped(UNTOUCHED, upright, Crop(left=250, top=200, width=500, height=400))
    moved = steps.straight(recipe, upright, 5)
    size, box = straightened(moved, upright), moved.crop
    assert box is not None
    assert box.left / size.width == pytest.approx(0.25, abs=0.01)
    assert box.width / size.width == pytest.approx(0.5, abs=0.01)
    assert box.left + box.width <= size.width


def test_a_box_around_everything_is_no_crop_and_one_beyond_is_cut() -> None:
    upright = Size(100, 50)
    assert steps.cropped(UNTOUCHED, upright, Crop(left=0, top=0, width=400, height=400)) == UNTOUCHED
    box = steps.cropped(UNTOUCHED, upright, Crop(left=90, top=10, width=400, height=10)).crop
    assert box == Crop(left=90, top=10, width=10, height=10)


@pytest.mark.parametrize("seed", range(60))
def test_a_snapped_box_loses_nothing_and_stays_inside(seed: int) -> None:
    random = Random(seed)
    size = Size(random.randint(300, 4000), random.randint(300, 4000))
    left, top = random.randrange(size.width - 100), random.randrange(size.height - 100)
    box = Crop(
        left=left,
        top=top,
        width=random.randint(100, size.width - left),
        height=random.randint(100, size.height - top),
    )
    snapped = steps.snapped(box, size, BUCKETS)
    assert 0 <= snapped.left <= size.width - snapped.width
    assert 0 <= snapped.top <= size.height - snapped.height
    assert fit(Size(snapped.width, snapped.height), BUCKETS).lost < 0.02
    # About as much of the picture as was wanted, where the picture has the room.
    assert snapped.width * snapped.height <= 1.1 * box.width * box.height


def test_a_snapped_box_of_a_tiny_picture_is_still_a_box() -> None:
    for size in (Size(1, 1), Size(3, 50), Size(50, 3)):
        snapped = steps.snapped(steps.whole(size), size, BUCKETS)
        assert 1 <= snapped.width <= size.width
        assert 1 <= snapped.height <= size.height


def test_parts_are_copied_and_the_mask_is_not() -> None:
    source_size, target_size = Size(1000, 500), Size(200, 100)
    source = Recipe(
        quarter_turns=1,
        straighten_deg=2,
        crop=Crop(left=100, top=200, width=200, height=400),
        background="#102030",
        mask="a" * 64,
    )
    whole = steps.copied(UNTOUCHED, target_size, source, source_size, frozenset(PARTS))
    assert whole.mask is None
    assert (whole.quarter_turns, whole.straighten_deg, whole.background) == (1, 2, "#102030")
    made, wanted = size_after(whole, target_size), size_after(source, source_size)
    assert made.width == pytest.approx(wanted.width / 5, abs=1)
    assert made.height == pytest.approx(wanted.height / 5, abs=1)
    own = Recipe(crop=Crop(left=0, top=0, width=50, height=50), mask="b" * 64)
    turned = steps.copied(own, target_size, source, source_size, frozenset({"turns"}))
    assert turned.mask == "b" * 64
    assert turned.background == "#ffffff"
    assert size_of(reshaped(scene(target_size), turned)) == size_after(turned, target_size)


def test_copying_to_an_equal_size_is_exact() -> None:
    size = Size(333, 777)
    source = any_recipe(Random(4), size, 1.5)
    assert steps.copied(UNTOUCHED, size, source, size, frozenset(PARTS)) == source


@pytest.mark.parametrize("way", range(8))
def test_a_box_is_carried_along_with_the_turns_of_its_picture(way: int) -> None:
    upright, drawn = Size(600, 400), Recipe(straighten_deg=2)
    box = Crop(left=30, top=40, width=100, height=50)
    now, wanted = drawn, steps.cropped(drawn, upright, box)
    for _ in range(way % 4):
        now, wanted = steps.rotated(now, upright), steps.rotated(wanted, upright)
    if way >= 4:
        now, wanted = steps.mirrored(now, upright), steps.mirrored(wanted, upright)
    assert steps.carried(box, drawn, now, upright) == wanted.crop
    assert steps.carried(steps.seen(wanted, upright), now, drawn, upright) == box
