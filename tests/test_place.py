"""Where an image trains: the bucket of the base's resolution, and the box of it that is kept."""

import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.buckets import Size
from app.place import Target, place_of, target_of
from app.store import projects
from app.store.db import read, write
from tests.drawing import project_with_images


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
