"""Versions: a name for a point, what differs between two, and the way back in one step."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from app.errors import Conflict, Invalid, NotFound
from app.store import captions, images, undo, versions
from app.store.db import write
from app.store.edits import new_step, write_fields
from app.store.images import NewImage
from tests.store.test_undo import dump, fill

Picture = Callable[[str], NewImage]


def test_a_version_is_a_named_point(engine: Engine, project_id: int, picture: Picture) -> None:
    fill(engine, project_id, picture)
    with write(engine) as session:
        row = versions.save(session, project_id, "  first  cut ", "ann")
        assert (row.name, row.by) == ("first cut", "ann")
        assert versions.get(session, project_id, row.id) is row
        with pytest.raises(Conflict, match="first cut already"):
            versions.save(session, project_id, "first cut", "bob")
        with pytest.raises(Invalid, match="needs a name"):
            versions.save(session, project_id, " ", "bob")
        with pytest.raises(NotFound):
            versions.get(session, project_id + 1, row.id)
        assert versions.past_steps(session, project_id)[0].images == 4


def test_two_versions_differ_by_what_was_done(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        old = versions.save(session, project_id, "old", "ann")
        captions.save(session, ids[0], "new words", "ann")
        captions.save(session, ids[1], "twice", "ann")
        captions.save(session, ids[1], "café, red\n", "ann")
        images.set_repeats(session, ids[1], 3, "ann")
        write_fields(session, new_step(project_id, "ann"), {ids[1]: {"licence": "CC0", "no_ai": True}})
        images.remove(session, ids[2], "ann")
        images.add(session, project_id, picture("late.png"), "late", "ann")
        new = versions.save(session, project_id, "new", "ann")
        captions.save(session, ids[3], "after both", "ann")
        before = versions.state_at(session, project_id, old.history_id)
        after = versions.state_at(session, project_id, new.history_id)
    found = versions.differences(before, after)
    assert {(each.name, each.kind, each.field, each.before, each.after) for each in found} == {
        ("0.png", "caption", "caption", "", "new words"),
        ("1.png", "field", "repeats", "1", "3"),
        ("1.png", "field", "licence", "", "CC0"),
        ("1.png", "field", "no_ai", "False", "True"),
        ("2.png", "removed", "", "", ""),
        ("late.png", "added", "", "", "late"),
    }
    assert versions.differences(after, after) == []


def test_restoring_is_one_step_that_can_be_undone(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        old = versions.save(session, project_id, "old", "ann")
        then = versions.state_at(session, project_id, old.history_id)
        captions.save_many(session, project_id, dict.fromkeys(ids, "all"), "ann")
        images.remove(session, ids[2], "ann")
        images.add(session, project_id, picture("late.png"), "late", "ann")
        now = dump(session)
    assert versions.restore(engine, project_id, old.history_id, "bob") == 5
    with write(engine) as session:
        assert versions.differences(versions.state_at(session, project_id, 10**9), then) == []
        undo.undo(session, project_id, "bob")
        assert dump(session) == now


def test_restoring_keeps_an_image_that_was_removed_and_added_again(
    engine: Engine, project_id: int, picture: Picture
) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        captions.save(session, ids[0], "old words", "ann")
        images.set_repeats(session, ids[0], 3, "ann")
        old = versions.save(session, project_id, "old", "ann")
        images.remove(session, ids[0], "ann")
        renamed = replace(picture("0.png"), name="Other.png")
        again, _ = images.add(session, project_id, renamed, "new words", "ann")
        now = dump(session)
    for _ in range(2):
        versions.restore(engine, project_id, old.history_id, "bob")
        with write(engine) as session:
            row = images.get(session, again.id)
            assert (row.sha256, row.name, row.caption, row.repeats) == (renamed.sha256, "0.png", "old words", 3)
            assert [each.id for each in images.starting_with(session, project_id, "0.PNG")] == [again.id]
            assert images.present(session, project_id, [*ids, again.id]) == {*ids[1:], again.id}
    with write(engine) as session:
        undo.undo(session, project_id, "bob")
        assert dump(session) == now
