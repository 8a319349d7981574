"""Layouts: where each puts an image, its caption and its mask, by use and repeats."""

import json
from dataclasses import replace
from pathlib import Path

from app.export.ai_toolkit import AI_TOOLKIT
from app.export.datasets import LAYOUTS
from app.export.imagefolder import IMAGEFOLDER
from app.export.kohya import KOHYA
from app.export.layout import Layout, Options, Parent, Place, Written, number_text
from app.export.manifest import manifest
from app.export.onetrainer import ONETRAINER
from app.export.plain import PLAIN
from tests.export.parts import item_of

OPTIONS = Options(word="rdfx", trigger_word="rdfx")
ITEMS = [
    item_of(name="a.png", repeats=3),
    item_of(name="A.jpg", split="held-out"),
    item_of(name="b.png", split="regularisation", weight=0.5),
    item_of(Path("b.png"), mask=Path("mask.png"), name="c.png"),
]


def folders(layout: Layout) -> list[str]:
    return [f"{place.folder}/{place.stem}" for place in layout.place(ITEMS, OPTIONS)]


def masks(layout: Layout) -> list[str]:
    return [place.mask for place in layout.place(ITEMS, OPTIONS)]


def written(place: Place) -> Written:
    return Written(place, f"{place.folder}/{place.stem}.png", 8, 8, "a cat", f"{place.mask}.png", is_masked=True)


def test_the_table_holds_each_once() -> None:
    assert list(LAYOUTS.values()) == [KOHYA, ONETRAINER, AI_TOOLKIT, IMAGEFOLDER, PLAIN]
    assert all(layout.sentence.endswith(".") for layout in LAYOUTS.values())


def test_folders() -> None:
    assert folders(KOHYA) == ["img/3_rdfx/a", "validation/1_rdfx/a-2", "reg/1_rdfx/b", "img/1_rdfx/c"]
    assert folders(ONETRAINER) == ["train-x3/a", "held-out-x1/a-2", "regularisation-x1-w0.5/b", "train-x1/c"]
    assert folders(AI_TOOLKIT) == ["train-x3/a", "held-out-x1/a-2", "regularisation-x1/b", "train-x1/c"]
    assert folders(IMAGEFOLDER) == ["train/a", "validation/a-2", "train/b", "train/c"]
    assert folders(PLAIN) == ["train/a", "held-out/a-2", "regularisation/b", "train/c"]
    assert KOHYA.place(ITEMS, OPTIONS)[0].caption == "img/3_rdfx/a.txt"


def test_masks() -> None:
    assert masks(KOHYA) == ["masks/img/3_rdfx/a", "masks/validation/1_rdfx/a-2", "", "masks/img/1_rdfx/c"]
    assert masks(ONETRAINER)[3] == "train-x1/c-masklabel"
    assert masks(AI_TOOLKIT)[3] == "train-x1-masks/c"
    assert masks(IMAGEFOLDER)[3] == "masks/c"
    assert masks(PLAIN)[3] == "train-masks/c"
    assert not any(place.mask for place in KOHYA.place(ITEMS[:1], OPTIONS))


def test_onetrainers_concepts() -> None:
    (file,) = ONETRAINER.extras([written(place) for place in ONETRAINER.place(ITEMS, OPTIONS)], OPTIONS)
    concepts = {concept["path"]: concept for concept in json.loads(file.data)}
    assert {path: concept["type"] for path, concept in concepts.items()} == {
        "held-out-x1": "VALIDATION",
        "regularisation-x1-w0.5": "PRIOR_PREDICTION",
        "train-x1": "STANDARD",
        "train-x3": "STANDARD",
    }
    assert concepts["train-x3"]["balancing"] == 3.0
    assert concepts["regularisation-x1-w0.5"]["loss_weight"] == 0.5


def test_ai_toolkits_block() -> None:
    (file,) = AI_TOOLKIT.extras([written(place) for place in AI_TOOLKIT.place(ITEMS, OPTIONS)], OPTIONS)
    text = file.data.decode()
    assert 'trigger_word: "rdfx"' in text
    assert "held-out" not in text
    assert 'folder_path: "train-x3"\n    caption_ext: txt\n    num_repeats: 3' in text
    assert 'mask_path: "train-x1-masks"' in text
    assert "is_reg: true" in text


def test_the_manifest() -> None:
    places = PLAIN.place(ITEMS, OPTIONS)
    lines = [json.loads(line) for line in manifest([written(place) for place in places]).data.decode().splitlines()]
    assert [line["original_name"] for line in lines] == ["a.png", "A.jpg", "b.png", "c.png"]
    assert lines[0]["file"] == "train/a.png"
    assert (lines[2]["split"], lines[2]["weight"], lines[2]["mask"]) == (
        "regularisation",
        0.5,
        "regularisation-masks/b.png",
    )
    assert [lines[0][key] for key in ("by", "parent")] == [None, None]
    assert "parent_id" not in lines[0]
    assert number_text(1.25) == "1.25"


def test_the_manifest_names_people_and_parents_as_others_know_them() -> None:
    item = replace(item_of(), by="Zoë", parent=Parent("猫.gif", "f" * 64))
    (place,) = PLAIN.place([item], OPTIONS)
    line = json.loads(manifest([written(place)]).data)
    assert (line["by"], line["parent"]) == ("Zoë", {"original_name": "猫.gif", "sha256": "f" * 64})
