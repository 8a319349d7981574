"""What an import counts as added, and what it fills in of an image that was here."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.imports import import_paths
from app.collect.outcomes import Which, answer_all, listed
from app.collect.progress import progress_of
from app.config import Settings
from app.store import images, imports, projects, provenance, versions
from app.store.db import read, write
from app.store.imports import Wanted
from app.store.provenance import Provenance
from tests.drawing import picture


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def imported(settings: Settings, engine: Engine, project_id: int, folder: Path) -> int:
    """Import a folder and return the number of its report."""
    import_paths(settings, engine, project_id, [folder], on_outcome=lambda *_: None)
    with read(engine) as session:
        return imports.listed(session, project_id)[0].id


def counted(engine: Engine, import_id: int) -> tuple[int, int, int]:
    """How many were added, were here, and ask a question."""
    reached = progress_of(engine, import_id)
    return reached.added, reached.known, reached.questions


@pytest.mark.parametrize("which", ["standing", "other"])
def test_only_new_images_count_as_added_before_and_after_the_questions(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path, which: Which
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.png").write_bytes(picture(seed))
        (folder / f"{seed}.txt").write_text(f"words of {seed}")
    assert counted(engine, imported(settings, engine, project_id, folder)) == (3, 0, 0)
    for seed in range(3):
        (folder / f"{seed}.txt").write_text(f"other words of {seed}")
    (folder / "new.png").write_bytes(picture(9))
    (folder / "new.png.txt").write_text("near")
    (folder / "new.txt").write_text("far")
    (folder / "twin.png").write_bytes(picture(1))
    (folder / "twin.txt").write_text("words of a twin")
    import_id = imported(settings, engine, project_id, folder)
    assert counted(engine, import_id) == (1, 4, 5)
    with read(engine) as session:
        row = imports.get(session, import_id)
    answer_all(engine, row, which, "you")
    assert counted(engine, import_id) == (1, 4, 0)
    with read(engine) as session:
        told = {item.name: (item.outcome, item.message) for item in imports.items(session, import_id, Wanted())}
    assert told["new.png"][0] == "added"
    end = "its caption was kept." if which == "standing" else "its caption is now the one from 0.txt."
    assert told["0.png"] == ("known", f"It was in the project already; {end}")


def test_what_is_not_known_of_an_image_is_filled_in_and_nothing_is_overwritten(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    imported(settings, engine, project_id, folder)
    with write(engine) as session:
        (row,) = images.training_rows(session, project_id)
        provenance.set_many(session, project_id, [row.id], {"licence": "CC0"}, "you")
        steps = len(versions.past_steps(session, project_id))
    line = {"file": "a.png", "sha256": "x", "source": "https://a.example/", "licence": "BY", "no_ai": True}
    (folder / "manifest.jsonl").write_text(json.dumps(line))
    import_id = imported(settings, engine, project_id, folder)
    with read(engine) as session:
        assert provenance.get(session, row.id) == Provenance("https://a.example/", "", "CC0", "", True)
        assert images.get(session, row.id).revision == row.revision + 2
        assert len(versions.past_steps(session, project_id)) == steps + 1
        (item,) = imports.items(session, import_id, Wanted())
    assert item.outcome == "known"
    assert item.message.endswith("Its source and noai mark were empty, and came with this import.")
    imported(settings, engine, project_id, folder)
    with read(engine) as session:
        assert len(versions.past_steps(session, project_id)) == steps + 1


def test_words_in_a_row() -> None:
    assert [listed(each) for each in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
