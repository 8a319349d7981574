"""Crops around a subject: turned as the picture is, in the shape of a bucket, never enlarged, always around it."""

from itertools import product

import pytest
from PIL import Image

from app.contract.buckets import Size, fit, make_buckets
from app.contract.pixels import reshaped
from app.contract.recipe import Crop, Recipe, straightened
from app.polish.subjects import Found, box_after, suggested_crop
from app.store.subjects import StoredSubject

BUCKETS = make_buckets(512, 64)
UPRIGHT = Size(400, 260)
BOX = Crop(left=60, top=40, width=90, height=150)


def box_in(image: Image.Image) -> tuple[int, int, int, int]:
    """Where the white of a mask lies: left, top, right, bottom."""
    found = image.point([0] * 128 + [255] * 128).getbbox()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("turns", "mirrored", "flipped", "degrees"), [*product(range(4), (False, True), (False, True), (0, 7.5, -4))]
)
def test_the_box_goes_where_the_pixels_go(turns: int, mirrored: bool, flipped: bool, degrees: float) -> None:
    recipe = Recipe(quarter_turns=turns, mirrored=mirrored, flipped=flipped, straighten_deg=degrees)
    mask = Image.new("L", (UPRIGHT.width, UPRIGHT.height), 0)
    mask.paste(255, (BOX.left, BOX.top, BOX.left + BOX.width, BOX.top + BOX.height))
    box = box_after(recipe, UPRIGHT, BOX)
    seen = box_in(reshaped(mask, recipe))
    sides = (box.left, box.top, box.left + box.width, box.top + box.height)
    assert sides == pytest.approx(seen, abs=0 if degrees == 0 else 2)


@pytest.mark.parametrize("size", [Size(3000, 2000), Size(2000, 3000), Size(1500, 1500), Size(4000, 1200)])
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.4, 0.3), (1.0, 0.6)])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_a_crop_holds_the_subject_loses_nothing_and_is_not_enlarged(
    size: Size, place: tuple[float, float], share: float
) -> None:
    side = round(share * min(size.width, size.height))
    left, top = round(place[0] * (size.width - side)), round(place[1] * (size.height - side))
    box = Crop(left=left, top=top, width=side, height=side)
    made = suggested_crop(Recipe(), size, box, BUCKETS)
    assert made is not None
    crop = made.crop
    assert crop.left <= box.left
    assert crop.top <= box.top
    assert crop.left + crop.width >= box.left + box.width
    assert crop.top + crop.height >= box.top + box.height
    assert crop.left + crop.width <= size.width
    assert crop.top + crop.height <= size.height
    trained = fit(Size(crop.width, crop.height), BUCKETS)
    assert (trained.bucket, trained.lost, trained.upscaled) == (made.bucket, 0, False)
    assert made.kept == pytest.approx(crop.width * crop.height / size.area)


def test_there_is_room_around_the_subject() -> None:
    made = suggested_crop(Recipe(), Size(3000, 3000), Crop(left=1000, top=1000, width=1000, height=1000), BUCKETS)
    assert made is not None
    assert made.crop == Crop(left=900, top=900, width=1200, height=1200)
    assert (made.bucket, made.left_out_pct) == (Size(512, 512), 84)


def test_where_no_crop_helps_there_is_none() -> None:
    whole = Crop(left=0, top=0, width=700, height=500)
    assert suggested_crop(Recipe(), Size(700, 500), whole, BUCKETS) is None
    # Smaller than its bucket: any crop would have to be enlarged.
    assert suggested_crop(Recipe(), Size(300, 300), Crop(left=100, top=100, width=50, height=50), BUCKETS) is None
    # The whole picture is the very bucket already.
    assert suggested_crop(Recipe(), Size(512, 512), Crop(left=100, top=100, width=50, height=50), BUCKETS) is None


def test_what_was_taken_is_known_from_the_recipe() -> None:
    size = Size(2000, 2000)
    seen = StoredSubject(1, "u2net", "a" * 64, Crop(left=500, top=500, width=600, height=600), 0.09, False)
    first = Found(seen, Recipe(), size, BUCKETS)
    assert first.crop is not None
    assert (first.is_masked, first.is_cropped) == (False, False)
    taken = Recipe(mask="a" * 64, crop=first.crop.crop)
    second = Found(seen, taken, size, BUCKETS)
    assert (second.is_masked, second.is_cropped) == (True, True)
    assert straightened(taken, size) == size
