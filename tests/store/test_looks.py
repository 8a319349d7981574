"""Looks: every recipe under which an original is shown, in all projects, and originals that no image has."""

import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import images, looks, projects
from app.store.db import read, write
from app.store.models import Image
from tests.drawing import picture


@pytest.fixture
def twice(settings: Settings, engine: Engine) -> str:
    """One picture in two projects, turned in the second."""
    ids = []
    for name in ("Cats", "More cats"):
        with write(engine) as session:
            project_id = projects.create(session, name, "style", "", None).id
        ids.append(take_file(settings, engine, project_id, "cat.png", picture(1)).image_id)
    with write(engine) as session:
        turned = session.get_one(Image, ids[1])
        turned.recipe = '{"quarter_turns":1}'
        return turned.sha256


def test_all_looks_of_an_original(engine: Engine, twice: str) -> None:
    with read(engine) as session:
        found = looks.of_originals(session, {twice, "0" * 64})
    assert sorted((each.sha256, each.recipe) for each in found) == [(twice, '{"quarter_turns":1}'), (twice, "{}")]
    assert {(each.extension, each.size_bytes, each.subject_mask) for each in found} == {("png", len(picture(1)), None)}


def test_an_original_whose_images_are_gone(engine: Engine, twice: str) -> None:
    with write(engine) as session:
        for image_id in (1, 2):
            images.remove(session, image_id, "you")
    with read(engine) as session:
        (look,) = looks.of_originals(session, [twice])
    assert look.recipe is None
