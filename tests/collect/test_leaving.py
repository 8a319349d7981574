"""Pictures on their way out: what is written, what leaves as it is, and what is refused in words."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from app.collect.leaving import LeaveWish, leave
from app.collect.refusals import Refused
from app.contract.recipe import Recipe
from tests.drawing import picture

MIRRORED = Recipe(mirrored=True)


def wish_for(original: Path, **changes: object) -> LeaveWish:
    """A wish for a PNG of 96 pixels that kohya could read."""
    plain: dict[str, object] = {
        "name": "cat.png", "original": original, "extension": "png", "width_px": 96, "height_px": 96,
        "recipe": Recipe(), "mask": None, "kind": "png", "suffixes": frozenset({"png"}), "keeps_bytes": False,
        "takes_mask": False, "needs_mask": False, "into": original.with_name("1"),
    }  # fmt: skip
    return LeaveWish.model_validate(plain | changes)


def test_paths_that_are_no_text_go_through_json(tmp_path: Path) -> None:
    wish = wish_for(tmp_path / os.fsdecode(b"\xff\xfe.png"), mask=tmp_path / "mask \N{SNOWMAN}.png")
    assert LeaveWish.model_validate(json.loads(json.dumps(wish.model_dump(mode="json")))) == wish


def test_what_needs_nothing_is_not_written(tmp_path: Path) -> None:
    original = tmp_path / "cat.png"
    original.write_bytes(picture(1))
    left = leave(wish_for(original))
    assert (left.suffix, left.width_px, left.is_kept, left.has_mask) == ("png", 96, True, False)
    assert [path.name for path in tmp_path.iterdir()] == ["cat.png"]


def test_a_recipe_and_a_white_mask_are_written(tmp_path: Path) -> None:
    original = tmp_path / "cat.png"
    original.write_bytes(picture(1, 90, 60))
    wish = wish_for(original, recipe=MIRRORED, kind="jpeg", takes_mask=True, needs_mask=True)
    left = leave(wish)
    assert (left.suffix, left.width_px, left.height_px, left.is_kept, left.has_mask) == ("jpg", 90, 60, False, True)
    with Image.open(wish.picture_path) as written, Image.open(wish.mask_path) as mask:
        assert (written.format, written.size) == ("JPEG", (90, 60))
        assert (mask.mode, mask.size, mask.getextrema()) == ("L", (90, 60), (255, 255))


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    original = tmp_path / "cat.png"
    with pytest.raises(Refused, match=r"The original of cat\.png is no longer"):
        leave(wish_for(original))
    original.write_bytes(b"\x89PNG damaged")
    with pytest.raises(Refused, match=r"cat\.png cannot be read any more: it is of no known image format\.") as caught:
        leave(wish_for(original, keeps_bytes=True, takes_mask=True))
    assert caught.value.hint == "Add the image again, or remove it."
    original.write_bytes(picture(1)[:100])
    with pytest.raises(Refused, match=r"cat\.png cannot be read any more"):
        leave(wish_for(original, recipe=MIRRORED))
    original.write_bytes(picture(1))
    with pytest.raises(Refused, match=r"The mask of cat\.png cannot be read"):
        leave(wish_for(original, takes_mask=True, mask=tmp_path / "gone.png"))
    assert not wish_for(original).picture_path.exists()
