"""The demos: pictures that ship, the same every time, with captions and a word on whose they are."""

import pytest
from sqlalchemy import Engine, select

from app.collect.demo import DEMOS, OPENMOJI, Demo, demo_of, make, project_of, stands_in
from app.collect.pictures import read_picture
from app.config import Settings
from app.errors import NotFound
from app.store import images, projects, provenance
from app.store.db import read, write
from app.store.models import Caption, HistoryEntry
from tests.drawing import bundled_base


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.key)
def test_pictures_are_whole_different_and_captioned(demo: Demo) -> None:
    drawn = demo.drawings()
    assert drawn == demo.drawings()
    hashes = {read_picture(data, name).sha256 for name, data, _ in drawn}
    assert len(hashes) == len(drawn) >= 20
    assert all(caption for _, _, caption in drawn)
    assert not any(demo.trigger_word in caption for _, _, caption in drawn)
    assert "CC" in demo.attribution


def test_other_peoples_pictures_carry_their_licence() -> None:
    assert "CC BY-SA 4.0" in (OPENMOJI / "README.md").read_text("utf-8")


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.key)
def test_a_demo_is_made_once(settings: Settings, engine: Engine, demo: Demo) -> None:
    base = bundled_base(engine)
    project_id = make(settings, engine, demo)
    assert make(settings, engine, demo) == project_id
    with read(engine) as session:
        rows = images.training_rows(session, project_id)
        project = projects.get(session, project_id)
    assert (project.purpose, project.base_id) == (demo.purpose, base.id)
    assert [row.caption for row in rows] == [caption for _, _, caption in demo.drawings()]


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.key)
def test_a_demo_is_known_by_its_images(settings: Settings, engine: Engine, demo: Demo) -> None:
    project_id = make(settings, engine, demo)
    with write(engine) as session:
        projects.update(session, project_id, name="My own words")
        # The trigger word alone makes no demo.
        projects.create(session, "Another", demo.purpose, demo.trigger_word, None)
    with read(engine) as session:
        known = {each.key: project_of(session, each) for each in DEMOS}
        assert [key for key, found in known.items() if found] == [demo.key]
        assert stands_in(session, project_id, demo)
    assert make(settings, engine, demo) == project_id


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.key)
def test_a_demo_says_whose_pictures_and_whose_words_they_are(settings: Settings, engine: Engine, demo: Demo) -> None:
    bundled_base(engine)
    project_id = make(settings, engine, demo)
    with read(engine) as session:
        origins = provenance.of_project(session, project_id)
        captions = [session.get_one(Caption, image_id) for image_id in origins]
        steps = list(session.scalars(select(HistoryEntry).where(HistoryEntry.project_id == project_id)))
    assert {caption.by for caption in captions} == {"the demo"}
    assert {entry.by for entry in steps} == {"the demo"}
    assert len({entry.batch for entry in steps}) == 1
    assert all(each.source and each.author and each.licence in demo.attribution for each in origins.values())


def test_an_unknown_demo() -> None:
    with pytest.raises(NotFound, match="landscape"):
        demo_of("landscape")
