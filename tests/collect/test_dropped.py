"""Files that come one by one: captions find their pictures by name, in whichever order they come."""

import pytest
from sqlalchemy import Engine

from app.collect import demo
from app.collect.dropped import Outcome, as_item, owners, take_file
from app.collect.imports import ImportJobs
from app.config import Settings
from app.store import images, projects, undo, versions
from app.store.db import read, write
from tests.collect.fixtures import encoded, noise


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def drop(settings: Settings, engine: Engine, project_id: int, names: list[str]) -> dict[str, str | None]:
    """Drop pictures and captions; a caption says its own name. Return the caption of each picture."""
    for seed, name in enumerate(names):
        is_text = name.endswith((".txt", ".caption"))
        data = f"words of {name}".encode() if is_text else encoded(noise(seed))
        take_file(settings, engine, project_id, name, data)
    with read(engine) as session:
        return {row.name: row.caption for row in images.training_rows(session, project_id)}


@pytest.mark.parametrize("turns", [False, True])
def test_each_caption_finds_its_picture(settings: Settings, engine: Engine, project_id: int, turns: bool) -> None:
    names = [
        "cat.png",
        "cat.txt",
        "Dog.jpg",
        "dog.caption",
        "a.b.png",
        "a.b.png.txt",
        "e\u0301.png",
        "\u00e9.txt",
        "猫.png",
        "犬.txt",
    ]
    captions = drop(settings, engine, project_id, names[::-1] if turns else names)
    assert captions == {
        "cat.png": "words of cat.txt",
        "Dog.jpg": "words of dog.caption",
        "a.b.png": "words of a.b.png.txt",
        "e\u0301.png": "words of \u00e9.txt",
        "猫.png": None,
    }


@pytest.mark.parametrize("turns", [False, True])
def test_names_that_differ_by_case_keep_their_own(
    settings: Settings, engine: Engine, project_id: int, turns: bool
) -> None:
    names = ["cat.png", "Cat.png", "cat.txt", "Cat.txt"]
    captions = drop(settings, engine, project_id, names[::-1] if turns else names)
    assert captions == {"cat.png": "words of cat.txt", "Cat.png": "words of Cat.txt"}


def test_a_name_as_written_counts_before_one_of_another_case(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    drop(settings, engine, project_id, ["cat.png", "CAT.png"])
    with read(engine) as session:
        rows = images.training_rows(session, project_id)
    assert [row.name for row in owners(rows, "CAT.txt")] == ["CAT.png"]
    assert [row.name for row in owners(rows, "Cat.txt")] == ["cat.png", "CAT.png"]


def test_what_became_of_a_drop_is_a_row() -> None:
    assert as_item(Outcome("a.txt", "waiting")).code == "F09"
    assert as_item(Outcome("a.png", "refused", "No.", code="F01")).outcome == "refused"


def test_one_drop_is_one_step_and_undone_as_one(settings: Settings, engine: Engine, project_id: int) -> None:
    files = {"cat.txt": b"a cat", "cat.png": encoded(noise(1)), "dog.png": encoded(noise(2)), "dog.txt": b"a dog"}
    jobs = ImportJobs(settings, engine)
    try:
        for name, data in files.items():
            path = settings.data / name
            path.write_bytes(data)
            jobs.take_dropped(project_id, name, path, "one drop of this browser")
    finally:
        jobs.close()
    with write(engine) as session:
        (step,) = versions.past_steps(session, project_id)
        assert (step.verb, step.images) == ("add", 2)
        undo.undo(session, project_id, "you")
        assert images.training_rows(session, project_id) == []
        undo.redo(session, project_id, "you")
        assert {row.name: row.caption for row in images.training_rows(session, project_id)} == {
            "cat.png": "a cat",
            "dog.png": "a dog",
        }


def test_a_demo_comes_in_as_one_step(settings: Settings, engine: Engine) -> None:
    demo_id = demo.make(settings, engine, demo.demo_of("character"))
    with write(engine) as session:
        (step,) = versions.past_steps(session, demo_id)
        assert (step.verb, step.images) == ("add", 20)
        undo.undo(session, demo_id, "you")
        assert images.training_rows(session, demo_id) == []
