"""A project exported, imported into a new one, and equal: names, pixels, words, uses, origins."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.imports import import_paths
from app.config import Settings
from app.export.datasets import LAYOUTS, export_dataset
from app.export.items import read_items, read_options
from app.export.layout import Item, Layout
from app.store import images, projects, provenance, splits
from app.store.db import read, write
from app.store.edits import new_step, write_fields
from tests.drawing import picture

# Two are equal, and the last two differ only in case.
NAMES = ("猫.png", "Ça va? 🦊.png", "image-2.png", "猫.png", "Ida.png", "ida.png")
WORDS = ("a cat, red\r\n", "café, 猫", "two\nlines", "{a|b}, x ||| y", " ")


def filled(settings: Settings, engine: Engine, folder: Path) -> int:
    """A project of six images with every use and origin, imported from a folder."""
    folder.mkdir()
    for number in range(6):
        (folder / f"cat {number}.png").write_bytes(picture(number))
        if number < len(WORDS):
            (folder / f"cat {number}.txt").write_bytes(WORDS[number].encode())
    project_id = imported(settings, engine, "Cats", folder)
    with write(engine) as session:
        ids = [row.id for row in images.training_rows(session, project_id)]
        splits.set_split(session, project_id, ids[1:2], "held-out", "you")
        splits.set_split(session, project_id, ids[2:3], "regularisation", "you")
        images.set_repeats(session, ids[3], 5)
        named = {image_id: {"name": name} for image_id, name in zip(ids, NAMES, strict=True)}
        write_fields(session, new_step(project_id, "you"), named)
        provenance.set_many(session, project_id, ids[:2], {"licence": "CC0-1.0", "no_ai": True, "author": "Ida"}, "you")
    return project_id


def imported(settings: Settings, engine: Engine, name: str, folder: Path) -> int:
    with write(engine) as session:
        project_id = projects.create(session, name, "style", "ct", None).id
    refused: list[str] = []
    import_paths(
        settings,
        engine,
        project_id,
        [folder],
        on_outcome=lambda outcome, total: refused.append(outcome.reason) if outcome.status == "refused" else None,
    )
    assert refused == []
    return project_id


def told(item: Item, layout: Layout) -> tuple[object, ...]:
    """What must be equal; a caption that was part of a list has no bytes of its own."""
    row = item.row
    origin = replace(item.provenance, parent_id=None)
    words = item.raw if layout.writes_captions else row.caption
    return (row.name, row.sha256, words, row.caption, row.split, row.repeats, row.weight, origin)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_same_comes_back(settings: Settings, engine: Engine, tmp_path: Path, layout: Layout) -> None:
    project_id = filled(settings, engine, tmp_path / "in")
    with read(engine) as session:
        before = read_items(session, settings, project_id)
        options = read_options(session, project_id)
    out = export_dataset(before, layout, options, tmp_path / "out").path
    again = imported(settings, engine, "Cats again", out)
    with read(engine) as session:
        after = read_items(session, settings, again)
    assert {item.row.sha256: told(item, layout) for item in after} == {
        item.row.sha256: told(item, layout) for item in before
    }
    assert len(after) == len(before)
