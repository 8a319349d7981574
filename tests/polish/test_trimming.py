"""Trimming many: bars that are worth it, straight ones alone, in as many transactions as it takes."""

import pytest
from sqlalchemy import Engine

from app.contract.recipe import Crop, Recipe
from app.polish.trimming import barred, trim
from app.store import images, parts, projects, recipes, undo
from app.store.db import read, write
from app.store.edits import new_step
from app.store.images import NewImage

WITH_BARS = '{"container":"PNG","mode":"RGB","bars":[0.0,0.1,0.0,0.2]}'
THIN = '{"container":"PNG","mode":"RGB","bars":[0.01,0.0,0.0,0.0]}'
NONE = '{"container":"PNG","mode":"RGB","bars":[0.0,0.0,0.0,0.0]}'


def test_all_straight_bars_go_in_parts_of_one_step(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "FIRST", 2)
    facts = [WITH_BARS, THIN, WITH_BARS, NONE, WITH_BARS, None, WITH_BARS, WITH_BARS]
    with write(engine) as session:
        project_id = projects.create(session, "A", "style", "rdct", None).id
        news = [
            NewImage(f"{n:064x}", "png", 10, 100, 50, f"{n}.png", "0" * 16, "f" * 16, each)
            for n, each in enumerate(facts)
        ]
        ids = [image.id for image, _ in images.add_many(session, project_id, [(new, None) for new in news], "you")]
        own = Recipe(crop=Crop(left=0, top=0, width=9, height=9))
        wanted = {ids[4]: own, ids[6]: Recipe(straighten_deg=1), ids[7]: Recipe(flipped=True)}
        recipes.set_recipes(session, new_step(project_id, "you"), wanted)
    with read(engine) as session:
        found = barred(session, project_id)
    assert [(each.image_id, each.crop is not None) for each in found] == [
        (ids[0], True), (ids[2], True), (ids[6], False), (ids[7], True),
    ]  # fmt: skip
    step = new_step(project_id, "ann")
    assert trim(engine, step) == 3
    assert trim(engine, new_step(project_id, "ann")) == 0
    with read(engine) as session:
        crops = [images.get(session, each).recipe.crop for each in ids]
    box = Crop(left=0, top=5, width=100, height=35)
    assert crops == [box, None, box, None, own.crop, None, None, Crop(left=0, top=10, width=100, height=35)]
    done = undo.take_back(engine, project_id, "ann", step.batch)
    assert done is not None
    assert done.said == "Undone: 3 images: cropped to 100 × 35 (ann)"
    assert undo.take_back(engine, project_id, "ann", step.batch) is None
