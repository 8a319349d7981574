"""Steps in words: how many of what, or whose, and of recipes what changed."""

from sqlalchemy import Engine, select

from app.contract.recipe import Recipe
from app.store import images, recipes, undo
from app.store.db import read, write
from app.store.edits import new_step, write_fields
from app.store.models import HistoryEntry
from app.store.step_words import say
from tests.store.test_undo import Picture, fill

TURNED = Recipe(quarter_turns=1)


def said(engine: Engine, *, batch: str | None = None, undoes: str | None = None) -> str:
    """A step by its name, or the one that took it back."""
    which = HistoryEntry.undoes == undoes if undoes else HistoryEntry.batch == batch
    with read(engine) as session:
        return say(session, list(session.scalars(select(HistoryEntry).where(which).order_by(HistoryEntry.id))))


def test_a_step_says_what_it_did_and_to_whom(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture, 3)
    one, many, split = new_step(project_id, "you"), new_step(project_id, "ann"), new_step(project_id, "you")
    with write(engine) as session:
        recipes.set_recipes(session, one, {ids[0]: TURNED})
        recipes.set_recipes(session, many, dict.fromkeys(ids, Recipe(straighten_deg=2)))
        write_fields(session, split, {each: {"split": "held-out", "repeats": 2} for each in ids[:2]})
        name = images.get(session, ids[0]).name
    assert said(engine, batch=one.batch) == f"{name}: turned right"
    assert said(engine, batch=many.batch) == "3 images: turned or mirrored, straightened (ann)"
    assert said(engine, batch=split.batch) == "2 numbers of repeats, 2 splits"
    with write(engine) as session:
        undo.undo(session, project_id, "you", ids[1])
        undo.undo(session, project_id, "you", ids[1])
        images.remove(session, ids[0], "you")
    # What is told of an undo is the step it took back.
    assert said(engine, undoes=many.batch).endswith(": straightened 2°")
    assert said(engine, batch=one.batch) == f"image {ids[0]}: turned right"


def test_a_step_is_undone_by_its_name_whatever_came_after_it(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture, 3)
    first, second = new_step(project_id, "ann"), new_step(project_id, "bob")
    with write(engine) as session:
        recipes.set_recipes(session, first, dict.fromkeys(ids, TURNED))
        recipes.set_recipes(session, second, {ids[0]: Recipe(mirrored=True)})
    done = undo.take_back(engine, project_id, "ann", first.batch)
    assert done is not None
    assert done.said.startswith("Undone: 2 images: turned right (ann).")
    with read(engine) as session:
        assert undo.waiting(session, project_id, second.batch) is not None
        assert undo.waiting(session, project_id, "no such step") is None
        now = [images.get(session, each).recipe for each in ids]
    assert now == [Recipe(mirrored=True), Recipe(), Recipe()]


def test_of_a_kind_other_steps_are_passed_over(engine: Engine, project_id: int, picture: Picture) -> None:
    (image_id,) = fill(engine, project_id, picture, 1)
    with write(engine) as session:
        recipes.set_recipes(session, new_step(project_id, "you"), {image_id: TURNED})
        images.set_repeats(session, image_id, 3, "you")
        assert undo.undo(session, project_id, "you", image_id, kind="recipe")
        assert undo.undo(session, project_id, "you", image_id, kind="recipe") is None
        assert undo.redo(session, project_id, "you", image_id, kind="recipe")
        row = images.get(session, image_id)
    assert (row.recipe, row.repeats) == (TURNED, 3)
