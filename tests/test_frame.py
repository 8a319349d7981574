"""The frame of a page about one image: neighbours, place and project, gathered once for all such pages."""

from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.frame import frame_of
from app.store import images, projects
from app.store.db import read, write
from tests.drawing import picture


def test_an_image_stands_among_its_neighbours(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "", None).id
    ids = [take_file(settings, engine, project_id, f"{n}.png", picture(n, 600, 400)).image_id for n in range(3)]
    with read(engine) as session:
        frames = [frame_of(session, images.get(session, each)) for each in ids if each]
    assert [(each.previous_id, each.row.id, each.next_id) for each in frames] == [
        (None, ids[0], ids[1]),
        (ids[0], ids[1], ids[2]),
        (ids[1], ids[2], None),
    ]
    assert [(each.position, each.total, each.counts.images) for each in frames] == [(1, 3, 3), (2, 3, 3), (3, 3, 3)]
    assert frames[0].project.name == "Ink"
    assert frames[0].place.fit.bucket.aspect > 1
    assert frames[0].caption_url == f"/projects/{project_id}/label"
