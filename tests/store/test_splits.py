"""Splits: set for many as one step, counted, in the history."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.errors import Invalid
from app.store import history, images, splits
from app.store.db import read, write
from app.store.images import NewImage
from app.store.splits import SplitCounts


def test_one_step(engine: Engine, project_id: int, picture: Callable[[str], NewImage]) -> None:
    with write(engine) as session:
        ids = [images.add(session, project_id, picture(f"{n}.png"), None, "you")[0].id for n in range(4)]
        assert splits.set_split(session, project_id, [*ids[:2], 999], "held-out", "you") == 2
        assert splits.set_split(session, project_id, ids[:3], "held-out", "you") == 1
        assert splits.set_split(session, project_id, ids[3:], "regularisation", "you") == 1
        assert splits.set_split(session, project_id + 1, ids, "train", "you") == 0
    with read(engine) as session:
        counted = splits.counts(session, project_id)
        assert counted == SplitCounts(0, 3, 1)
        assert counted.images == 4
        assert splits.ids(session, project_id, "held-out") == ids[:3]
        made = [entry for entry in history.entries(session, project_id) if entry.verb == "split"]
        assert [
            (each.noun_id, json.loads(each.before or ""), json.loads(each.after or "")) for each in reversed(made)
        ] == [
            (ids[0], "train", "held-out"),
            (ids[1], "train", "held-out"),
            (ids[2], "train", "held-out"),
            (ids[3], "train", "regularisation"),
        ]
        assert made[-1].batch == made[-2].batch != made[-3].batch
        assert images.get(session, ids[0]).revision == 1


def test_a_split_that_is_none() -> None:
    assert splits.read_split("held-out") == "held-out"
    with pytest.raises(Invalid, match="no use of an image"):
        splits.read_split("test")
