"""Recipes in the store: one batch a step, revisions that grow, stale saves refused."""

import json

import pytest
from sqlalchemy import Engine, select

from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe
from app.errors import Conflict, NotFound
from app.store import captions, images, projects, recipes
from app.store.db import read, write
from app.store.edits import new_step
from app.store.images import NewImage
from app.store.models import HistoryEntry

TURNED = Recipe(quarter_turns=1)


@pytest.fixture
def ids(engine: Engine) -> list[int]:
    """Five images of 60 × 40 in one project, and one in another."""
    made = []
    with write(engine) as session:
        own = projects.create(session, "A", "style", "rdct", None).id
        other = projects.create(session, "B", "style", "rdct", None).id
        for number in range(6):
            new = NewImage(f"{number:064x}", "png", 10, 60, 40, f"{number}.png")
            image, _ = images.add(session, own if number < 5 else other, new, None, "ann")
            made.append(image.id)
    return made


def entries(engine: Engine) -> list[HistoryEntry]:
    """The recipes' history, oldest first."""
    with read(engine) as session:
        return list(
            session.scalars(select(HistoryEntry).where(HistoryEntry.verb == "recipe").order_by(HistoryEntry.id))
        )


def test_many_recipes_are_one_step_and_equal_ones_none(engine: Engine, ids: list[int]) -> None:
    with write(engine) as session:
        assert recipes.set_recipes(session, new_step(1, "ann"), {ids[0]: TURNED}) == 1
    with write(engine) as session:
        assert recipes.set_recipes(session, new_step(1, "bob"), dict.fromkeys(ids, TURNED)) == 4
    found = entries(engine)
    assert len(found) == 5
    assert len({each.batch for each in found[1:]}) == 1
    assert found[0].batch != found[1].batch
    assert {each.by for each in found[1:]} == {"bob"}
    assert {json.loads(each.after or "") for each in found} == {TURNED.to_json()}
    assert {json.loads(each.before or "") for each in found} == {"{}"}
    with read(engine) as session:
        assert [images.get(session, each).revision for each in ids] == [1, 1, 1, 1, 1, 0]
        assert images.get(session, ids[5]).recipe == Recipe()


def test_a_stale_save_is_refused_and_a_fresh_one_answers_the_new_revision(engine: Engine, ids: list[int]) -> None:
    with write(engine) as session:
        assert recipes.set_recipe(session, ids[0], TURNED, 0, "ann").revision == 1
    with pytest.raises(Conflict, match=r"0\.png was changed"), write(engine) as session:
        recipes.set_recipe(session, ids[0], Recipe(mirrored=True), 0, "bob")
    with pytest.raises(NotFound), write(engine) as session:
        recipes.set_recipe(session, 999, TURNED, 0, "bob")
    assert len(entries(engine)) == 1


def test_only_a_change_of_the_same_part_since_it_was_seen_is_in_the_way(engine: Engine, ids: list[int]) -> None:
    seen, box = Recipe(background="#808080"), Crop(left=0, top=0, width=30, height=20)
    with write(engine) as session:
        recipes.set_recipe(session, ids[0], seen, 0, "ann")
        captions.save(session, ids[0], "a cat", "bob", 1)
        # Words were written since revision 1, and the mask was set by somebody else.
        masked = seen.model_copy(update={"mask": "a" * 64})
        recipes.set_recipe(session, ids[0], masked, 1, "bob", seen=seen)
        wanted = seen.model_copy(update={"crop": box})
        assert recipes.set_recipe(session, ids[0], wanted, 1, "ann", seen=seen).recipe == Recipe(
            background="#808080", mask="a" * 64, crop=box
        )
        # What somebody has done already is no clash.
        recipes.set_recipe(session, ids[0], wanted, 1, "eve", seen=seen)
        for other, words in (
            (seen.model_copy(update={"quarter_turns": 1}), "its crop, its mask"),
            (seen.model_copy(update={"mask": "b" * 64}), "its crop, its mask"),
        ):
            with pytest.raises(Conflict, match=rf"0\.png was changed in the meantime: {words}"):
                recipes.set_recipe(session, ids[0], other, 1, "eve", seen=seen)
    assert len(entries(engine)) == 3


def test_sizes_are_those_that_train(engine: Engine, ids: list[int]) -> None:
    with write(engine) as session:
        crop = Crop(left=0, top=0, width=30, height=20)
        recipes.set_recipes(session, new_step(1, "ann"), {ids[1]: Recipe(crop=crop)})
        images.set_repeats(session, ids[2], 3)
    with read(engine) as session:
        found = recipes.sizes(session, 1)
        some = recipes.sizes(session, 1, [ids[2], ids[5], 999])
    assert [each.id for each in found] == ids[:5]
    assert [each.size for each in found[:2]] == [Size(60, 40), Size(30, 20)]
    assert [(each.id, each.repeats) for each in some] == [(ids[2], 3)]
