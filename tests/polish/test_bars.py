"""Trimming bars: after any turn of the recipe the box leaves out just what is bar, and finding and offer agree."""

from itertools import product

import pytest
from PIL import Image

from app.collect.facts import PictureFacts
from app.contract.buckets import Size
from app.contract.pixels import reshaped
from app.contract.recipe import Recipe
from app.polish.bars import trim_of

SIZE = Size(200, 100)
FACTS = PictureFacts(container="PNG", mode="RGB", bars=(0.1, 0.2, 0.05, 0.3)).to_json()


@pytest.mark.parametrize(("turns", "mirrored", "flipped"), list(product(range(4), (False, True), (False, True))))
def test_bars_turn_with_the_picture(turns: int, mirrored: bool, flipped: bool) -> None:
    image = Image.new("RGB", (200, 100), "black")
    image.paste("white", (20, 20, 190, 70))
    recipe = Recipe(quarter_turns=turns, mirrored=mirrored, flipped=flipped)
    trim = trim_of(FACTS, recipe, SIZE)
    assert trim.state == "straight"
    left = reshaped(image, recipe.model_copy(update={"crop": trim.crop}))
    assert left.getextrema() == ((255, 255),) * 3
    assert left.width * left.height == 170 * 50


def test_what_is_not_known_or_too_thin_or_tilted() -> None:
    plain = Recipe()
    assert trim_of(None, plain, SIZE).state == "unmeasured"
    assert trim_of('{"container":"PNG","mode":"RGB"}', plain, SIZE).state == "unmeasured"
    thin = PictureFacts(container="PNG", mode="RGB", bars=(0.0, 0.019, 0.0, 0.019))
    assert trim_of(thin.to_json(), plain, SIZE).state == "none"
    assert trim_of(FACTS, Recipe(straighten_deg=2), SIZE).state == "tilted"
