"""Recipes in words: what a step did is named, from the recipes before and after it."""

import json

import pytest

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe
from app.polish import steps
from app.store.recipe_words import CHANGED, told, told_of_all

SIZE = Size(600, 400)
MASK = "a" * 64
BOX = Crop(left=10, top=20, width=300, height=140)
WORKED = Recipe(quarter_turns=1, straighten_deg=2, crop=BOX, mask=MASK, background="#808080", alpha="mask")


def stored(recipe: Recipe) -> str:
    """A recipe as the history has it."""
    return json.dumps(recipe.to_json())


def said(before: Recipe, after: Recipe) -> str:
    """What is told of a step."""
    return told(stored(before), stored(after))


@pytest.mark.parametrize(
    "start",
    [Recipe(), Recipe(quarter_turns=3, flipped=True, mask=MASK), Recipe(mirrored=True, straighten_deg=-3, crop=BOX)],
)
def test_turns_are_named_whatever_was_there_before(start: Recipe) -> None:
    assert said(start, steps.rotated(start, SIZE)) == "turned right"
    assert said(steps.rotated(start, SIZE), start) == "turned left"
    assert said(start, steps.mirrored(start, SIZE)) == "mirrored"
    assert said(start, steps.flipped(start, SIZE)) == "flipped"
    half = steps.rotated(steps.rotated(start, SIZE), SIZE)
    assert said(start, half) == "turned upside down"
    assert said(start, steps.mirrored(steps.rotated(start, SIZE), SIZE)) == "turned right and mirrored"


def test_straightening_keeps_the_crop_out_of_it() -> None:
    cropped = Recipe(crop=BOX)
    straight = steps.straight(cropped, SIZE, -2.5)
    assert said(cropped, straight) == "straightened −2.5°"
    assert said(straight, steps.straight(straight, SIZE, 0)) == "straightening removed"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (Recipe(), Recipe(crop=BOX), "cropped to 300 × 140"),
        (Recipe(crop=BOX), Recipe(crop=BOX.model_copy(update={"left": 11})), "cropped to 300 × 140"),
        (Recipe(crop=BOX), Recipe(), "crop removed"),
        (Recipe(), Recipe(mask=MASK), "mask set"),
        (Recipe(mask=MASK), Recipe(mask="b" * 64), "mask changed"),
        (Recipe(mask=MASK), Recipe(), "mask removed"),
        (Recipe(), Recipe(background="#808080"), "transparent parts filled with grey"),
        (Recipe(), Recipe(background="#112233"), "transparent parts filled with #112233"),
        (Recipe(), Recipe(alpha="mask"), "transparent parts not learned"),
        (Recipe(alpha="mask"), Recipe(), "transparent parts learned"),
        (Recipe(), Recipe(quarter_turns=1, mask=MASK), "turned right, mask set"),
        (WORKED, Recipe(background="#808080", alpha="mask"), "reset"),
        (WORKED, Recipe(), "reset"),
        (Recipe(quarter_turns=1, mirrored=True), Recipe(), "reset"),
        (WORKED, WORKED, CHANGED),
    ],
)
def test_what_changed_is_named(before: Recipe, after: Recipe, words: str) -> None:
    assert said(before, after) == words


def test_a_recipe_that_cannot_be_read_is_told_as_changed() -> None:
    assert told("{", stored(Recipe(mirrored=True))) == CHANGED
    assert told(None, '"{\\"crop\\": 3}"') == CHANGED


def test_several_images_are_told_exactly_where_they_are_alike_else_by_kinds() -> None:
    plain, turned = stored(Recipe()), stored(Recipe(quarter_turns=1))
    masked = stored(Recipe(mask=MASK))
    assert told_of_all([(plain, turned), (plain, turned)]) == "turned right"
    # The same step, whatever each had before.
    assert told_of_all([(plain, turned), (masked, stored(Recipe(quarter_turns=1, mask=MASK)))]) == "turned right"
    assert told_of_all([(plain, turned), (plain, masked)]) in (
        "turned or mirrored, masked",
        "masked, turned or mirrored",
    )
    many = [(plain, stored(Recipe(straighten_deg=each / 10))) for each in range(1, 60)]
    assert told_of_all(many) == CHANGED
    assert told_of_all(many[:9]) == "straightened"
