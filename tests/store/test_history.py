"""The history: one entry an edit, many at once, in their order."""

import json

from sqlalchemy import Engine

from app.store import history
from app.store.db import write
from app.store.history import Edit, record, record_many


def test_many_edits_are_written_in_their_order(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        before = history.newest(session, project_id)
        first = record(session, Edit(project_id, "ann", "caption", 1, "save", None, "é", "b1"))
        record_many(
            session,
            [Edit(project_id, "ann", "image", at, "repeats", 1, at, "b2", undoes="b1") for at in range(2, 5)],
        )
        record_many(session, [])
        latest = history.entries(session, project_id, 4)
        assert first > before
        assert [entry.noun_id for entry in latest] == [4, 3, 2, 1]
        assert [json.loads(entry.after or "") for entry in latest] == [4, 3, 2, "é"]
        assert {entry.undoes for entry in latest} == {"b1", None}
        assert history.newest(session, project_id) == latest[0].id
