"""What filters look at, and filters with a name; the desk re-reads only what changed."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.errors import Invalid, NotFound
from app.label.desk import Desk, Frame
from app.label.rows import Table
from app.store import captions, filters, images
from app.store.db import read, write
from app.store.images import NewImage
from tests.store.test_undo import fill

Picture = Callable[[str], NewImage]
FRAME = Frame("inkstyle", ())


def table(engine: Engine, desk: Desk, project_id: int) -> Table:
    """The table as it is now."""
    with read(engine) as session:
        return desk.table(session, project_id, FRAME)


def test_the_table_follows_every_edit(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    desk = Desk()
    first = table(engine, desk, project_id)
    assert table(engine, desk, project_id) is first
    assert [row.writer for row in first.rows] == ["", "import"] * 2
    with write(engine) as session:
        captions.save(session, ids[1], "words", "wd, accepted by ann")
        images.remove(session, ids[2], "ann")
        images.add(session, project_id, picture("late.png"), "late", "ann")
    second = table(engine, desk, project_id)
    assert [row.caption for row in second.rows] == ["", "words", "café, red\n", "late"]
    assert second.rows[0] is first.rows[0]
    assert second.by_id[ids[1]].writer == "model"
    desk.bulk_jobs.close()


def test_filters_get_names(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        filters.save(session, project_id, " Zebras ", "zebra")
        filters.save(session, project_id, "ants", "ant")
        again = filters.save(session, project_id, "Zebras", "zebra OR horse")
        assert [(each.name, each.text) for each in filters.saved(session, project_id)] == [
            ("ants", "ant"),
            ("Zebras", "zebra OR horse"),
        ]
        with pytest.raises(Invalid, match="under a name"):
            filters.save(session, project_id, " ", "x")
        filters.forget(session, project_id, again.id)
        with pytest.raises(NotFound):
            filters.forget(session, project_id, again.id)
