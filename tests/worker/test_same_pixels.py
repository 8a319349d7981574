"""What is seen is what trains: preview, mask-free export and trainer read each odd picture alike."""

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops

from app.collect import blobs
from app.collect.pictures import DISPLAY_SIDE_PX, read_picture
from app.config import Settings
from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe, size_after
from app.contract.rundir import DatasetRow
from app.export.layout import Item
from app.export.pictures import picture_bytes
from app.store.images import ImageRow
from tests.collect import fixtures
from worker.cache import pixels_of, to_pixels
from worker.taggers.base import Said, View
from worker.tagging import look

PICTURES = {
    "turned": fixtures.turned("JPEG"),
    "turned WebP": fixtures.turned("WEBP"),
    "hidden colour": fixtures.hidden_colour(),
    "palette hole": fixtures.palette_with_hole(),
    "grey and alpha": fixtures.grey_and_alpha(),
    "16 bits": fixtures.ramp_16_bit(),
    "inks": fixtures.inks(),
    "profile": fixtures.with_profile(),
    "film": fixtures.film("GIF"),
}
RECIPES = (
    Recipe(background="#808080"),
    Recipe(background="#12ab34", quarter_turns=1, mirrored=True, crop=Crop(left=2, top=1, width=24, height=6)),
)
# The preview is a WebP: a little is lost, at edges between pure colours most.
PREVIEW_MEAN_MOST = 8.0


class Eye:
    """A tagger that only looks."""

    def __init__(self) -> None:
        self.seen: list[Image.Image] = []

    def look(self, views: list[View]) -> list[Said]:
        """Remember the pictures."""
        self.seen += [view.picture for view in views]
        return [Said() for _ in views]


@pytest.mark.parametrize("recipe", RECIPES, ids=["as it is", "polished"])
@pytest.mark.parametrize("name", PICTURES)
def test_preview_export_tagger_and_trainer_agree(name: str, recipe: Recipe, settings: Settings, tmp_path: Path) -> None:
    data = PICTURES[name]
    picture = read_picture(data, name)
    blobs.put(settings, picture, data)
    original = blobs.blob_path(settings, picture.sha256, picture.extension)
    upright = Size(picture.width_px, picture.height_px)
    size = size_after(recipe, upright)
    shown = ImageRow(
        1, 1, name, picture.sha256, picture.extension, upright.width, upright.height, 1, None, recipe=recipe
    )
    row = DatasetRow(
        sha256=hashlib.sha256(data).hexdigest(),
        path=str(original),
        name=name,
        size=size,
        bucket=size,
        caption="",
        text="",
        repeats=1,
        recipe=recipe,
    )

    suffix, exported, told = picture_bytes(Item(shown, original), "png", frozenset(), keeps_bytes=False)
    with Image.open(BytesIO(exported)) as opened:
        out = opened.convert("RGB")
        assert (suffix, opened.mode, out.size, dict(opened.getexif())) == ("png", "RGB", told, {})
    assert told == (size.width, size.height)
    assert torch.equal(pixels_of(row), to_pixels(out))
    eye = Eye()
    look(eye, [row])  # type: ignore[arg-type] - it looks, and that is all a tagger must
    assert eye.seen[0].tobytes() == out.tobytes()
    preview = blobs.polished_copy(settings, picture.sha256, picture.extension, recipe, DISPLAY_SIDE_PX)
    with Image.open(preview) as opened:
        difference = ImageChops.difference(opened.convert("RGB"), out)
    assert opened.size == out.size
    assert sum(difference.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))) / 3 <= PREVIEW_MEAN_MOST  # type: ignore[arg-type] - an RGB pixel
