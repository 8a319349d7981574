"""The manifest of our own exports: it is believed only where it makes sense."""

import json
from pathlib import Path

import pytest

from app.collect.entries import Tree
from app.collect.files import MAX_NAME, found_under
from app.collect.layouts_manifest import read


def test_lines_that_are_and_are_not_believed(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    lines = [
        {
            "file": "a.png",
            "sha256": "0",
            "repeats": 3,
            "weight": 0.5,
            "split": "held-out",
            "no_ai": True,
            "author": "Ida",
        },
        {"file": "b.png", "sha256": "0", "repeats": -1, "weight": "much", "split": "test", "licence": 7},
        {"file": "../../gone.png", "sha256": "0"},
        {"file": "a.png"},
    ]
    text = "\n".join([*map(json.dumps, lines), "no json", "[]"])
    (tmp_path / "manifest.jsonl").write_text(text)
    said = read(Tree(found_under([tmp_path]).found))
    patches = {rel.name: patch for rel, (patch,) in said.patches.items()}
    one, two = patches["a.png"], patches["b.png"]
    assert (one.repeats, one.weight, one.split, one.no_ai, one.author) == (3, 0.5, "held-out", True, "Ida")
    assert (two.repeats, two.weight, two.split, two.licence) == (None, None, None, "")
    assert said.layouts == ["our own manifest.jsonl: 2 images"]


def test_another_tools_list_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "manifest.jsonl").write_text('{"file": "a.png", "caption": "a cat"}\n')
    assert read(Tree(found_under([tmp_path]).found)).patches == {}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("猫.png", "猫.png"),
        ("../../etc/cat.png", "cat.png"),
        ("C:\\pictures\\cat.png", "cat.png"),
        ("ca\x00t\n\u202e.png", "cat.png"),
        ("x" * 1000 + ".png", "x" * (MAX_NAME - 4) + ".png"),
        ("", ""),
        ("..", ""),
        ("pictures/..", ""),
        ("\x1b\n ", ""),
        (7, ""),
        (None, ""),
    ],
)
def test_a_name_is_a_bare_one(tmp_path: Path, told: object, name: str) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    line = {"file": "a.png", "sha256": "0", "original_name": told}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line))
    ((patch,),) = read(Tree(found_under([tmp_path]).found)).patches.values()
    assert patch.name == name
