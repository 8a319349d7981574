"""Projects: names, changes, cards and counts."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.errors import Conflict, Invalid, NotFound
from app.store import captions, history, images, projects, runs, verdicts
from app.store.db import read, write
from app.store.images import NewImage
from app.store.verdicts import VerdictKey

Make = Callable[[str], NewImage]


def test_equal_names_collide_whatever_their_case_and_spaces(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        projects.create(session, "Ärger", "style", "", None)
    for name in ("INK", " ink ", "äRGER"):
        with pytest.raises(Conflict) as refused, write(engine) as session:
            projects.create(session, name, "style", "", None)
        assert refused.value.field == "name"
    with read(engine) as session:
        found = projects.by_name(session, "iNK")
        assert found is not None
        assert found.id == project_id
        assert projects.by_name(session, "oil") is None


def test_refuses_names_that_are_none(engine: Engine) -> None:
    for name in ("  ", "x" * 101):
        with pytest.raises(Invalid), write(engine) as session:
            projects.create(session, name, "style", "", None)


def test_unknown_project_and_base_are_not_found(engine: Engine) -> None:
    with read(engine) as session, pytest.raises(NotFound):
        projects.get(session, 7)
    with pytest.raises(NotFound) as refused, write(engine) as session:
        projects.create(session, "Oil", "style", "", 7)
    assert refused.value.field == "base_id"


def test_update_changes_what_is_named_and_records_it(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        projects.update(session, project_id, name="INK", trigger_word=" nib ")
        projects.update(session, project_id, trigger_word="nib")
    with read(engine) as session:
        project = projects.get(session, project_id)
        assert (project.name, project.trigger_word, project.purpose) == ("INK", "nib", "style")
        edits = history.entries(session, project_id, 10)
        assert [(edit.noun, edit.verb) for edit in edits] == [("project", "update")]


def test_update_refuses_the_name_of_another(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        other = projects.create(session, "Oil", "style", "", None).id
    with pytest.raises(Conflict), write(engine) as session:
        projects.update(session, other, name="ink")


def test_cards_and_counts(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        empty = projects.create(session, "Oil", "concept", "", None).id
        added = [images.add(session, project_id, picture(f"{n}.png"), None, "you")[0] for n in range(6)]
        captions.save(session, added[0].id, "a cat", "you")
        captions.save(session, added[1].id, " \n", "you")
        runs.create(session, project_id, "train", "first", "0001-ink")
        run = runs.create(session, project_id, "train", "second", "0002-ink")
        verdicts.put(session, VerdictKey(run.id, 10, 0, 42, 100), "keep", "")
    with read(engine) as session:
        newest, oldest = projects.cards(session)
        counted = projects.counts(session, project_id)
    assert (newest.id, newest.image_count, newest.covers, newest.last_run_status) == (empty, 0, (), None)
    assert (oldest.image_count, oldest.captioned_count) == (6, 1)
    assert oldest.covers == tuple(image.sha256 for image in added[:4])
    assert (oldest.last_run_id, oldest.last_run_name, oldest.last_run_status) == (run.id, "second", "queued")
    assert (counted.images, counted.captioned, counted.runs, counted.verdicts) == (6, 1, 2, 1)
