"""Undo where somebody changed an image since: it goes around that image, or says by name why it does not go."""

from typing import Literal

import pytest
from sqlalchemy import Engine

from app.errors import Conflict
from app.store import captions, images, provenance, undo
from app.store.db import read, write
from app.store.edits import new_step, write_fields
from tests.store.test_undo import Picture, fill


def test_a_refused_undo_names_what_was_changed_and_how_it_stands(
    engine: Engine, project_id: int, picture: Picture
) -> None:
    ids = fill(engine, project_id, picture)

    def refused(verb: str) -> tuple[str, str]:
        act = undo.undo if verb == "undo" else undo.redo
        with pytest.raises(Conflict) as caught, write(engine) as session:
            act(session, project_id, "ann", of="ann")
        return caught.value.message, caught.value.hint

    with write(engine) as session:
        images.set_repeats(session, ids[0], 3, "ann")
        images.set_repeats(session, ids[0], 9, "bob")
    assert refused("undo") == (
        "bob changed the number of repeats of 0.png after this step (it is 9 now), so nothing was undone.",
        "Undo that later change first, or set the number of repeats of 0.png by hand.",
    )
    with write(engine) as session:
        images.remove(session, ids[0], "you")
    assert refused("undo") == (
        "Somebody removed 0.png after this step, so nothing was undone.",
        "Undo that first: it brings 0.png back.",
    )
    with write(engine) as session:
        provenance.set_many(session, project_id, [ids[1]], {"author": "Ann"}, "ann")
        undo.undo(session, project_id, "ann", of="ann")
        provenance.set_many(session, project_id, [ids[1]], {"author": "Eve"}, "bob")
    assert (
        refused("redo")[0] == "bob changed the source or licence of 1.png after this step, so nothing was done again."
    )


def test_a_step_that_somebody_else_came_between_is_undone_around_their_image(
    engine: Engine, project_id: int, picture: Picture
) -> None:
    ids = fill(engine, project_id, picture)
    step = new_step(project_id, "ann")

    def repeats() -> list[int]:
        with read(engine) as session:
            return [images.get(session, each).repeats for each in ids]

    def travel(verb: Literal["undo", "redo"]) -> str:
        done = undo.travel(engine, project_id, "ann", verb)
        return done.said if done else ""

    with write(engine) as session:
        write_fields(session, step, {ids[0]: {"repeats": 4}, ids[1]: {"repeats": 4}})
        images.set_repeats(session, ids[0], 9, "bob")
        captions.save(session, ids[1], "other words", "bob")
        write_fields(session, step, {ids[2]: {"repeats": 4}, ids[3]: {"repeats": 4}})
    assert travel("undo") == (
        "Undone: 3 numbers of repeats (ann). Left, since somebody changed it later: "
        "0.png (number of repeats, by bob). Once that is undone, this can be too."
    )
    assert repeats() == [9, 1, 1, 1]
    travel("redo")
    assert repeats() == [9, 4, 4, 4]
    travel("undo")
    # What was changed in between comes next, then what was left.
    assert travel("undo") == "Undone: caption of 1.png (bob)"
    assert travel("undo") == "Undone: number of repeats of 0.png (bob)"
    assert travel("undo") == "Undone: number of repeats of 0.png (ann)"
    assert repeats() == [1, 1, 1, 1]


def test_an_image_that_was_removed_while_a_step_went_on_is_left_until_it_is_back(
    engine: Engine, project_id: int, picture: Picture
) -> None:
    ids = fill(engine, project_id, picture)
    step = new_step(project_id, "ann")
    with write(engine) as session:
        write_fields(session, step, {ids[0]: {"repeats": 4}})
        images.remove(session, ids[0], "bob")
        write_fields(session, step, {ids[1]: {"repeats": 4}})
    for said in ("0.png (removed, by bob)", "Undone: removed image 0.png", "Undone: number of repeats of 0.png"):
        done = undo.travel(engine, project_id, "ann", "undo")
        assert done is not None
        assert said in done.said
    with read(engine) as session:
        assert [images.get(session, each).repeats for each in ids[:2]] == [1, 1]
