"""Where an image trains: the bucket of the base's resolution, and the box of it that is kept."""

import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.contract.buckets import Size
from app.inspect.reading import read_facts
from app.label.desk import Desk
from app.launch.draft import draft
from app.launch.subject import subject_of
from app.place import Target, place_of, target_of
from app.store import bases, images, projects
from app.store.db import read, write
from app.table import table_of
from tests.drawing import picture, project_with_images


def test_the_kept_box_is_in_the_images_own_pixels() -> None:
    place = place_of(Size(1000, 2100), Target(512, 64, "base"))
    assert (place.fit.bucket.width, place.fit.bucket.height) == (320, 704)
    assert (place.kept.left, place.kept.top, place.kept.width, place.kept.height) == (21, 0, 955, 2100)
    assert (place.lost_pct, place.lost_at) == (4, "left and right")


@pytest.mark.parametrize(("size", "lost_pct"), [(Size(512, 512), 0), (Size(512, 514), 1)])
def test_anything_that_is_cut_counts_as_one_percent(size: Size, lost_pct: int) -> None:
    assert place_of(size, Target(512, 64, "")).lost_pct == lost_pct


def test_the_target_is_the_base_or_what_sd15_would_ask_for(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        bare = projects.create(session, "Bare", "style", "", None)
    based_id = project_with_images(settings, engine, 1)
    with read(engine) as session:
        assert target_of(session, bare) == Target(512, 64, "")
        assert target_of(session, projects.get(session, based_id)).base_name


def test_every_page_shows_what_the_project_was_trained_with_last(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    take_file(settings, engine, project_id, "small.png", picture(7, 40, 30))
    for is_on in (True, False):
        with write(engine) as session:
            projects.remember_enlarges(session, project_id, is_on)
        with read(engine) as session:
            project = projects.get(session, project_id)
            small = images.training_rows(session, project_id)[-1]
            target = target_of(session, project)
            place = place_of(small.size, target)
            found = next(at for row, at in read_facts(session, settings, project_id).fits() if row.id == small.id)
            table = table_of(session, Desk(), project_id)
            base = bases.get(session, project.base_id or 0)
            made = draft(subject_of(session, project_id, base), None, {})
        assert place.fit == found == table.place(table.by_id[small.id])
        assert place.fit.upscaled is is_on
        assert made.spec is not None
        assert made.spec.data.enlarges is is_on
        assert made.spec.data.buckets.fit(small.size) == place.fit
