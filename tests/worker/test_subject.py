"""Subject finders: what they are shown, how their maps become masks over the image as it came, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import MaskSpec, Scaling
from app.contract.suggestions import mask_path
from tests.worker.tiny_taggers import make_subject_finder, make_wd
from worker.errors import ModelMissing
from worker.taggers.base import Said, View
from worker.taggers.subject import Entry, SubjectFinder, box_around, mask_of, prepared, read_map, share_of

SIZE = Size(200, 100)


def drawn(box: tuple[int, int, int, int] = (20, 10, 79, 89), size: Size = SIZE) -> Image.Image:
    """A grey picture with a red box; the right and lower edge belong to it."""
    image = Image.new("RGB", (size.width, size.height), (128, 128, 128))
    ImageDraw.Draw(image).rectangle(box, fill=(255, 0, 0))
    return image


def row(recipe: Recipe) -> DatasetRow:
    return DatasetRow(
        sha256="0" * 64, path="", name="a.png", size=SIZE, bucket=SIZE, caption="", text="", repeats=1, recipe=recipe
    )


def spec(path: Path, scaling: Scaling = "imagenet") -> MaskSpec:
    return MaskSpec(name="Subjects", project="Ink", model="tiny", model_path=str(path), scaling=scaling)


def look(path: Path, folder: Path, image: Image.Image, recipe: Recipe | None = None) -> Said:
    finder = SubjectFinder(spec(path), RunDir(folder))
    return finder.look([View(row(recipe or Recipe()), image)])[0]


@pytest.mark.parametrize("has_sigmoid", [True, False])
@pytest.mark.parametrize("side_px", [32, None])
def test_the_first_map_becomes_a_mask_of_the_images_shape(
    tmp_path: Path, side_px: int | None, has_sigmoid: bool
) -> None:
    path = make_subject_finder(tmp_path / "m.onnx", side_px=side_px, has_sigmoid=has_sigmoid)
    said = look(path, tmp_path / "run", drawn())
    assert said.subject is not None
    with Image.open(mask_path(RunDir(tmp_path / "run"), said.subject.mask_sha256)) as mask:
        assert (mask.mode, mask.size) == ("L", (200, 100))
        assert (mask.getpixel((50, 50)), mask.getpixel((150, 50))) == (255, 0)
    assert said.subject.share == pytest.approx(0.24, abs=0.04)
    box = said.subject.box
    slack = 200 / 32 if side_px else 2
    assert (box.left, box.top) == pytest.approx((20, 10), abs=slack)
    assert (box.left + box.width, box.top + box.height) == pytest.approx((80, 90), abs=slack)


def test_what_is_seen_turned_lies_over_the_image_as_it_came(tmp_path: Path) -> None:
    path = make_subject_finder(tmp_path / "m.onnx", side_px=None)
    recipe = Recipe(quarter_turns=1)
    # Turned clockwise, the box that was at the left is at the top.
    turned = drawn().transpose(Image.Transpose.ROTATE_270)
    said = look(path, tmp_path / "run", turned, recipe)
    assert said.subject is not None
    with Image.open(mask_path(RunDir(tmp_path / "run"), said.subject.mask_sha256)) as mask:
        assert mask.size == (200, 100)
        assert (mask.getpixel((50, 50)), mask.getpixel((150, 50))) == (255, 0)
    assert said.subject.box.left == pytest.approx(20, abs=2)
    assert said.subject.box.width == pytest.approx(60, abs=4)


def test_an_image_without_a_subject_is_noted(tmp_path: Path) -> None:
    path = make_subject_finder(tmp_path / "m.onnx")
    said = look(path, tmp_path / "run", Image.new("RGB", (40, 40), (128, 128, 128)))
    assert (said.subject, said.note) == (None, "The model sees no subject.")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("scaling", "white", "black"),
    [("imagenet", (1 - 0.485) / 0.229, -0.485 / 0.229), ("half", 0.5, -0.5)],
)
def test_colours_go_in_as_the_model_was_trained(scaling: Scaling, white: float, black: float) -> None:
    entry = Entry("image", 8, 4, "float32")
    for colour, value in ((255, white), (0, black)):
        pixels = prepared(Image.new("RGB", (30, 20), (colour, colour, colour)), entry, scaling)
        assert (pixels.shape, pixels.dtype) == ((1, 3, 4, 8), np.float32)
        assert pixels[0, 0] == pytest.approx(value, abs=1e-5)


def test_a_stray_speck_does_not_widen_the_box() -> None:
    mask = Image.new("L", (400, 400), 0)
    mask.paste(255, (100, 100, 300, 300))
    mask.paste(255, (398, 2, 399, 4))
    assert box_around(mask, Size(800, 800)) == Crop(left=200, top=200, width=400, height=400)


def test_an_open_input_has_the_usual_size_of_its_kind(tmp_path: Path) -> None:
    path = make_subject_finder(tmp_path / "m.onnx", side_px=None)
    for scaling, side_px in (("imagenet", 320), ("half", 1024)):
        finder = SubjectFinder(spec(path, scaling), RunDir(tmp_path / "run"))  # type: ignore[arg-type] - both are
        assert (finder._entry.width_px, finder._entry.height_px) == (side_px, side_px)


def test_a_mask_is_no_larger_than_the_screen_needs() -> None:
    mask = mask_of(np.ones((4, 4)), Size(8000, 2000))
    assert mask.size == (1600, 400)
    assert share_of(mask) == 1


@pytest.mark.parametrize("output", [np.ones((1, 2, 4, 4)), np.ones(4), np.ones((1, 1, 4, 1)), np.ones((4, 4), int)])
def test_what_is_no_map_is_told(output: object) -> None:
    assert read_map(output) is None


def test_models_that_cannot_be_used_are_refused_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"cut short")
    tagger = make_wd(tmp_path / "wd") / "model.onnx"
    vector = make_wd(tmp_path / "vector", is_channels_last=False, batch=1) / "model.onnx"
    for path, words in (
        (tmp_path / "gone.onnx", "There is no"),
        (broken, "cannot be loaded"),
        (tagger, "takes no single colour image with channels first"),
    ):
        with pytest.raises(ModelMissing, match=words):
            SubjectFinder(spec(path), RunDir(tmp_path / "run"))
    with pytest.raises(ModelMissing, match="which is no map") as refusal:
        look(vector, tmp_path / "run", drawn())
    assert "U²-Net" in refusal.value.hint
