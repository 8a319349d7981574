"""Finding models in folders, from their small files alone."""

import json
from pathlib import Path

from app.label.taggers import OFFERS, find, recognise


def make_wd(folder: Path, csv: str = "tag_id,name,category,count\n1,red,0,5\n2,cat,0,4\n") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x" * 10)
    (folder / "selected_tags.csv").write_text(csv)
    return folder


def make_captioner(folder: Path, model_type: str = "blip", weights: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / weights).write_bytes(b"y" * 20)
    return folder


def test_models_are_found_below_a_folder_and_once(tmp_path: Path) -> None:
    make_wd(tmp_path / "deep" / "wd")
    make_captioner(tmp_path / "blip")
    (tmp_path / "empty").mkdir()
    found = find([tmp_path, tmp_path / "deep", tmp_path / "nowhere"])
    assert [(each.kind, each.name, each.size_bytes, each.note, each.trouble) for each in found] == [
        ("wd", "wd", 10, "2 tags", ""),
        ("captioner", "blip", 20, "blip", ""),
    ]


def test_what_cannot_be_used_says_why(tmp_path: Path) -> None:
    lacking = make_wd(tmp_path / "a")
    (lacking / "selected_tags.csv").unlink()
    odd = make_wd(tmp_path / "b", "nothing\n")
    exotic = make_captioner(tmp_path / "c", "exotic")
    pickled = make_captioner(tmp_path / "d", weights="pytorch_model.bin")
    for folder, words in (
        (lacking, "selected_tags.csv is missing"),
        (odd, "no list of tags"),
        (exotic, "exotic"),
        (pickled, "no .safetensors"),
    ):
        found = recognise(folder)
        assert found is not None
        assert words in found.trouble


def test_other_folders_are_no_models(tmp_path: Path) -> None:
    assert recognise(tmp_path) is None
    (tmp_path / "config.json").write_text("{")
    assert recognise(tmp_path) is None


def test_every_offer_says_size_licence_and_folder() -> None:
    for offer in OFFERS:
        assert offer.size.startswith("About")
        assert offer.licence
        assert "/" not in offer.folder
