"""Datasets of other tools: which words, repeats, masks and roles each picture comes with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.collect import layouts_huggingface, layouts_kohya, layouts_masks, layouts_onetrainer
from app.collect.entries import Entry
from app.collect.files import found_under
from app.collect.gather import read_sidecars
from app.collect.layouts import READERS, Reading, read
from tests.collect import fixtures
from tests.collect.fixtures import encoded, noise

PNG = encoded(noise(1, 16, 16))
Make = Callable[[dict[str, "str | bytes"]], Reading]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes files (pictures where the content is empty) and reads them as a dataset."""

    def written(files: dict[str, str | bytes]) -> Reading:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((content.encode() if isinstance(content, str) else content) or PNG)
        return read(found_under([tmp_path]).found, "set")

    return written


def by_name(reading: Reading) -> dict[str, Entry]:
    return {entry.picture.rel.as_posix(): entry for entry in reading.entries}


def words(entry: Entry) -> list[str]:
    return [each.text for each in read_sidecars(entry.sidecars, entry.given)[0]]


def told(reading: Reading) -> list[tuple[str, str]]:
    return sorted((left.found.rel.as_posix(), left.refusal.code) for left in reading.leftovers)


def test_captions_beside_their_pictures(make: Make) -> None:
    reading = make(
        {
            "a.png": "",
            "a.png.txt": "by full name",
            "a.txt": "by stem",
            "b.jpg": "",
            "b.caption": "kohya's own ending",
            "c.png": "",
            "D.PNG": "",
            "d.TXT": "whatever the case",
            "default.txt": "for all without their own",
        }
    )
    found = by_name(reading)
    assert words(found["a.png"]) == ["by full name", "by stem"]
    assert words(found["b.jpg"]) == ["kohya's own ending"]
    assert words(found["c.png"]) == ["for all without their own"]
    assert words(found["D.PNG"]) == ["whatever the case"]
    assert told(reading) == []


def test_one_caption_of_two_pictures_is_both_and_said(make: Make) -> None:
    found = by_name(make({"a.png": "", "a.jpg": "", "a.txt": "one"}))
    assert [words(found[name]) for name in ("a.png", "a.jpg")] == [["one"], ["one"]]
    assert found["a.png"].aside == "a.txt is also the caption of a.jpg."


def test_odd_names_keep_their_own_captions(tmp_path: Path) -> None:
    told_words = fixtures.write_odd_names(tmp_path / "odd")
    found = by_name(read(found_under([tmp_path / "odd"]).found))
    assert {name: words(entry) for name, entry in found.items()} == {name: [text] for name, text in told_words.items()}


def test_names_that_differ_by_case_keep_their_own(make: Make) -> None:
    found = by_name(make({"cat.png": "", "cat.txt": "small", "Cat.png": "", "Cat.txt": "large", "CAT.png": ""}))
    assert words(found["cat.png"]) == ["small"]
    assert words(found["Cat.png"]) == ["large"]
    assert words(found["CAT.png"]) == []


def test_kohya_folders_give_repeats(make: Make) -> None:
    reading = make(
        {
            "10_[artist] naïve 画像/a.png": "",
            "10_[artist] naïve 画像/a.txt": "one",
            "reg/1_cat/r.png": "",
            "10_/empty class.png": "",
            "plain/p.png": "",
            "0_none/z.png": "",
        }
    )
    found = by_name(reading)
    assert {name: (each.repeats, each.split) for name, each in found.items()} == {
        "10_[artist] naïve 画像/a.png": (10, "train"),
        "reg/1_cat/r.png": (1, "regularisation"),
        "10_/empty class.png": (10, "train"),
        "plain/p.png": (1, "train"),
        "0_none/z.png": (1, "train"),
    }
    assert "kohya folder 10_[artist] naïve 画像: 10 repeats, class [artist] naïve 画像" in reading.layouts


def test_the_folder_itself_may_be_kohyas(tmp_path: Path) -> None:
    folder = tmp_path / "7_fox"
    folder.mkdir()
    (folder / "a.png").write_bytes(PNG)
    assert read(found_under([folder]).found, folder.name).entries[0].repeats == 7


def test_kohya_toml_counts_more_than_folder_names(make: Make) -> None:
    toml = """
[general]
caption_extension = ".txt"
[[datasets]]
resolution = 512
num_repeats = 3
  [[datasets.subsets]]
  image_dir = 'C:\\data\\set\\10_cats'
  num_repeats = 4
  conditioning_data_dir = "/data/set/catmasks"
  [[datasets.subsets]]
  image_dir = "dogs"
  [[datasets.subsets]]
  image_dir = "reg/many"
  is_reg = true
  [[datasets.subsets]]
  image_dir = "/nowhere/birds"
"""
    reading = make(
        {
            "set.toml": toml,
            "10_cats/a.png": "",
            "catmasks/a.png": "",
            "dogs/d.png": "",
            "reg/many/r.png": "",
        }
    )
    found = by_name(reading)
    assert {name: (each.repeats, each.split) for name, each in found.items()} == {
        "10_cats/a.png": (4, "train"),
        "dogs/d.png": (3, "train"),
        "reg/many/r.png": (3, "regularisation"),
    }
    mask = found["10_cats/a.png"].mask
    assert mask is not None
    assert mask.rel.as_posix() == "catmasks/a.png"
    assert told(reading) == [("set.toml", "F09")]


@pytest.mark.parametrize("tags", ["1girl, red", ["1girl", "red"]])
def test_kohya_fine_tune_json_with_tags_as_text_or_list(make: Make, tags: object) -> None:
    rows = {
        "a": {"tags": tags},
        "D:\\sets\\x\\inner\\b.png": {"caption": "a bird", "tags": tags, "image_size": [16, 16]},
        "/gone/c.png": {"caption": "nobody"},
    }
    reading = make({"meta.json": json.dumps(rows), "a.png": "", "inner/b.png": ""})
    found = by_name(reading)
    assert words(found["a.png"]) == ["1girl, red"]
    assert words(found["inner/b.png"]) == ["a bird, 1girl, red"]
    assert told(reading) == [("meta.json", "F09")]


def test_jsonl_by_line(make: Make) -> None:
    lines = [
        json.dumps({"image_path": "/old/a.png", "caption": "one", "tags": "x, y"}),
        "{broken",
        json.dumps({"file_name": "b.png", "text": "two"}),
    ]
    reading = make({"data.jsonl": "\n".join(lines), "a.png": "", "b.png": ""})
    found = by_name(reading)
    assert (words(found["a.png"]), words(found["b.png"])) == (["one, x, y"], ["two"])
    assert told(reading) == [("data.jsonl", "F10")]


def test_hugging_face_csv_with_quotes_folders_and_provenance(make: Make) -> None:
    csv = (
        'file_name,text,license,author\r\n"in ner/a.png","red, ""round"", small",CC0,Ann\r\n'
        "b.png,plain,,\r\nmissing.png,gone,,\r\n"
    )
    reading = make({"train/metadata.csv": csv, "train/in ner/a.png": "", "train/b.png": ""})
    found = by_name(reading)
    first = found["train/in ner/a.png"]
    assert (words(first), first.licence, first.author, first.split) == (['red, "round", small'], "CC0", "Ann", "train")
    assert words(found["train/b.png"]) == ["plain"]
    assert told(reading) == [("train/metadata.csv", "F09")]


def test_hugging_face_splits_hold_images_out(make: Make) -> None:
    def line(name: str) -> str:
        return json.dumps({"file_name": name, "text": f"about {name}"})

    found = by_name(
        make(
            {
                "train/metadata.jsonl": line("a.png"),
                "train/a.png": "",
                "validation/metadata.jsonl": line("b.png"),
                "validation/b.png": "",
            }
        )
    )
    assert {name: (each.split, words(each)) for name, each in found.items()} == {
        "train/a.png": ("train", ["about a.png"]),
        "validation/b.png": ("held-out", ["about b.png"]),
    }


def test_onetrainer_concepts_and_masks(make: Make) -> None:
    concepts = [
        {
            "path": "C:/x/cats",
            "balancing": 2.0,
            "balancing_strategy": "REPEATS",
            "loss_weight": 0.5,
            "type": "STANDARD",
        },
        {"path": "val", "type": "VALIDATION", "text": {"prompt_source": "filename"}},
        {"path": "prior", "type": "PRIOR_PREDICTION", "text": {"prompt_source": "concept", "prompt_path": "p/all.txt"}},
        {"path": "off", "enabled": False},
    ]
    reading = make(
        {
            "concepts.json": json.dumps(concepts),
            "cats/a.png": "",
            "cats/a.txt": "a cat",
            "cats/a-masklabel.png": "",
            "cats/lost-masklabel.png": "",
            "cats/a-condlabel.png": "",
            "val/a blue bird.png": "",
            "prior/p.png": "",
            "p/all.txt": "any cat",
            "off/o.png": "",
        }
    )
    found = by_name(reading)
    assert {name: (each.repeats, each.weight, each.split, words(each)) for name, each in found.items()} == {
        "cats/a.png": (2, 0.5, "train", ["a cat"]),
        "val/a blue bird.png": (1, 1.0, "held-out", ["a blue bird"]),
        "prior/p.png": (1, 1.0, "regularisation", ["any cat"]),
    }
    assert found["cats/a.png"].mask is not None
    assert told(reading) == [("cats/lost-masklabel.png", "F09")]


def test_ai_toolkit_folder_of_masks(make: Make) -> None:
    reading = make({"a.png": "", "a.txt": "one\ntwo", "masks/a.png": "", "masks/b.jpg": "", "_controls/a.png": ""})
    found = by_name(reading)
    assert list(found) == ["a.png"]
    mask = found["a.png"].mask
    assert mask is not None
    assert (mask.rel.as_posix(), words(found["a.png"])) == ("masks/a.png", ["one\ntwo"])
    assert told(reading) == [("masks/b.jpg", "F09")]


def test_pictures_of_masks_are_pictures(make: Make) -> None:
    assert len(make({"masks/venice.png": "", "masks/tribal.png": "", "a.png": ""}).entries) == 3


@pytest.mark.parametrize("path", ["/old/computer/set", "D:\\\\sets\\\\set", "set"])
def test_a_list_inside_the_folder_that_it_names_is_understood(make: Make, path: str) -> None:
    toml = f'[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{path}"\nnum_repeats = 9\n'
    concepts = [{"path": path.replace("\\\\", "\\"), "loss_weight": 0.5, "balancing": 9}]
    reading = make({"dataset.toml": toml, "concepts.json": json.dumps(concepts), "a.png": ""})
    assert [(each.repeats, each.weight) for each in reading.entries] == [(9, 0.5)]
    assert told(reading) == []


def test_captions_of_an_ending_that_a_toml_names_are_read(make: Make) -> None:
    toml = '[general]\ncaption_extension = ".tags"\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = "img"\n'
    reading = make({"d.toml": toml, "img/a.png": "", "img/a.tags": "fox, red", "img/b.png": "", "img/b.txt": "b"})
    found = by_name(reading)
    assert (words(found["img/a.png"]), words(found["img/b.png"])) == (["fox, red"], ["b"])
    assert reading.notes == ()


def test_what_a_toml_sets_and_nobody_takes_over_is_told(make: Make) -> None:
    toml = """
[[datasets]]
caption_prefix = "zzz, "
  [[datasets.subsets]]
  image_dir = "a"
  class_tokens = "zzz fox"
  alpha_mask = true
  [[datasets.subsets]]
  image_dir = "b"
  class_tokens = "fox"
"""
    reading = make({"d.toml": toml, "a/a.png": "", "b/b.png": ""})
    assert [note.partition(",")[0] for note in reading.notes] == [
        "d.toml sets class_tokens (zzz fox",
        "d.toml sets caption_prefix (zzz",
        "d.toml sets alpha_mask",
    ]
    assert all(note.endswith(".") and "is not taken over. " in note for note in reading.notes)


def test_images_that_are_switched_off_are_named(make: Make) -> None:
    concepts = [
        {"path": "on", "balancing_strategy": "SAMPLES", "balancing": 40},
        {"name": "night", "path": "off", "enabled": False},
    ]
    files = {"on/a.png": "", "on/a-condlabel.png": "", "off/b.png": "", "off/c.png": "", "off/b-masklabel.png": ""}
    reading = make({"concepts.json": json.dumps(concepts), **files})
    assert list(by_name(reading)) == ["on/a.png"]
    assert reading.notes == (
        "1 image called …-condlabel is a control image of another tool, which nothing here trains with: "
        "a-condlabel.png. To have it as an image of its own, rename it or move it elsewhere.",
        "concepts.json balances the concept on by samples, which is not taken over: its repeats are 1. "
        "Set the repeats of its images here.",
        "concepts.json has the concept night switched off, so that its 2 images are left out: b.png, c.png. "
        "Enable it there, or import its folder alone.",
    )


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_table_set_apart_by_something_else_keeps_its_captions(make: Make, delimiter: str) -> None:
    lines = ["File_Name; text ;license", 'a.png;"red; round, small";CC0']
    table = "\n".join(line.replace(";", delimiter) for line in lines)
    (found,) = make({"metadata.csv": table, "a.png": ""}).entries
    assert (words(found), found.licence) == ([f"red{delimiter} round, small"], "CC0")


@pytest.mark.parametrize("text", ["picture,text\na.png,red\n", "\n", "x" * 1_100_000])
def test_a_table_that_names_no_image_is_told(make: Make, text: str) -> None:
    reading = make({"metadata.csv": text, "a.png": "", "sub/metadata.csv": "picture,text\n"})
    assert told(reading) == [("metadata.csv", "F10")]


def test_a_picture_without_an_ending_comes_in_and_other_files_are_told(make: Make) -> None:
    reading = make(
        {
            "photo": "",
            "photo.txt": "a photo",
            "IMG.2024": "",
            "noise": "nothing that anybody knows",
            "LICENSE": "x",
            "a.ppm": "P6",
            "a.pdf": "%PDF",
            "a.zip": "PK",
            "a.npz": "x",
        }
    )
    found = by_name(reading)
    assert sorted(found) == ["IMG.2024", "photo"]
    assert words(found["photo"]) == ["a photo"]
    assert told(reading) == [(name, "F03") for name in ("a.pdf", "a.ppm", "a.zip", "noise")]
    assert all(left.refusal.hint for left in reading.leftovers)
    assert reading.notes == (
        "2 other files are passed over, being neither image nor caption nor a list of them: LICENSE, a.npz.",
    )


def test_what_lies_about_is_passed_over(make: Make, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    reading = make(
        {
            "a.png": "",
            "metadata.json": '{"a": 1}',
            ".DS_Store": "x",
            "Thumbs.db": "x",
            "a.npz": "x",
            "sub/b.png": "",
            "film.mp4": "x",
            "lonely.txt": "whose?",
        }
    )
    assert sorted(by_name(reading)) == ["a.png", "sub/b.png"]
    assert told(reading) == [("film.mp4", "F03"), ("lonely.txt", "F09")]


def test_lists_that_are_broken_are_named(make: Make) -> None:
    reading = make({"a.png": "", "bad.json": "{", "bad.toml": "= nothing", "deep.json": "[" * 100_000})
    assert told(reading) == [("bad.json", "F10"), ("bad.toml", "F10"), ("deep.json", "F10")]


def test_every_reader_is_used() -> None:
    modules = (layouts_masks, layouts_kohya, layouts_huggingface, layouts_onetrainer)
    assert {module.read for module in modules} <= set(READERS)
