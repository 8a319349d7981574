"""Transparency: what was decided for a project, and what was set of single images by hand."""

from sqlalchemy import Engine

from app.contract.recipe import Recipe
from app.store import alpha, images, projects, recipes, undo
from app.store.db import read, write
from app.store.edits import new_step
from tests.store.test_imports import new


def colours(engine: Engine, project_id: int) -> list[tuple[str, str]]:
    """What transparent parts mean in each image."""
    with read(engine) as session:
        return [(row.recipe.alpha, row.recipe.background) for row in images.training_rows(session, project_id)]


def test_what_was_set_by_hand_outlives_another_decision(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        made = images.add_many(session, project_id, [(new(each, uses_alpha=True), None) for each in (1, 2, 3)], "you")
        ids = [image.id for image, _ in made]
    alpha.decide(engine, project_id, "flatten", "#808080")
    own = Recipe(background="#112233")
    with write(engine) as session:
        recipes.set_recipes(session, new_step(project_id, "ann"), {ids[0]: own, ids[1]: own})
        # Only what stands counts: this one is as it was decided.
        undo.undo(session, project_id, "ann", ids[1])
        assert alpha.state(session, project_id).own == 1
    assert alpha.decide(engine, project_id, "mask", "#000000") == 2
    decided = ("mask", "#000000")
    assert colours(engine, project_id) == [("flatten", "#112233"), decided, decided]
    # Set by hand to what was decided before, it is by hand all the same; other steps are none of this.
    with write(engine) as session:
        wanted = {
            ids[1]: Recipe(background="#808080"),
            ids[2]: Recipe(quarter_turns=1, alpha="mask", background="#000000"),
        }
        recipes.set_recipes(session, new_step(project_id, "ann"), wanted)
    assert alpha.decide(engine, project_id, "flatten", "#ffffff") == 1
    assert colours(engine, project_id) == [("flatten", "#112233"), ("flatten", "#808080"), ("flatten", "#ffffff")]
    with read(engine) as session:
        assert alpha.state(session, project_id).own == 2


def test_an_untouched_image_has_what_was_decided_only_where_it_is_transparent(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        project = projects.get(session, project_id)
        assert alpha.untouched(project, uses_alpha=True) == Recipe()
        made = images.add_many(session, project_id, [(new(1), None), (new(2, uses_alpha=True), None)], "you")
        ids = [image.id for image, _ in made]
        assert alpha.transparent(session, project_id, ids) == {ids[1]}
    alpha.decide(engine, project_id, "mask", "#808080")
    with read(engine) as session:
        project = projects.get(session, project_id)
        assert alpha.untouched(project, uses_alpha=False) == Recipe()
        assert alpha.untouched(project, uses_alpha=True) == Recipe(alpha="mask", background="#808080")
