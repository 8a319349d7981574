"""Provenance: set for many as one step, checked, counted, in the history."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.errors import Invalid, NotFound
from app.store import history, images, provenance
from app.store.db import read, write
from app.store.images import NewImage
from app.store.provenance import Change, Provenance, Share


def test_one_step(engine: Engine, project_id: int, picture: Callable[[str], NewImage]) -> None:
    with write(engine) as session:
        ids = [images.add(session, project_id, picture(f"{n}.png"), None, "you")[0].id for n in range(3)]
        change = Change(source="  a   book ", licence="CC0-1.0", no_ai=True)
        assert provenance.set_many(session, project_id, [*ids[:2], 999], change, "Ida") == 2
        assert provenance.set_many(session, project_id, ids[:2], change, "Ida") == 0
        assert provenance.set_many(session, project_id, ids[:1], Change(collected_on="2024-05", source=""), "you") == 1
    with read(engine) as session:
        assert provenance.get(session, ids[0]) == Provenance("", "", "CC0-1.0", "2024-05", True)
        assert provenance.of_project(session, project_id)[ids[1]] == Provenance("a book", "", "CC0-1.0", "", True)
        assert provenance.shares(session, project_id, "licence") == [Share("CC0-1.0", 2), Share("", 1)]
        made = [entry for entry in history.entries(session, project_id) if entry.verb == "provenance"]
        assert len(made) == 3
        assert (json.loads(made[0].before or ""), json.loads(made[0].after or "")) == (
            {"collected_on": "", "source": "a book"},
            {"collected_on": "2024-05", "source": ""},
        )
        assert made[1].batch == made[2].batch != made[0].batch
        assert made[1].by == "Ida"
        assert images.get(session, ids[0]).revision == 2
        with pytest.raises(NotFound):
            provenance.get(session, 999)


@pytest.mark.parametrize("day", ["2024", "2024-02", "2024-02-29"])
def test_dates(day: str) -> None:
    assert provenance.checked(Change(collected_on=f" {day} ")) == {"collected_on": day}


@pytest.mark.parametrize("day", ["yesterday", "2023-02-29", "2024-13", "0000", "24-05-17", "2024-5"])
def test_what_is_no_date(day: str) -> None:
    with pytest.raises(Invalid) as refused:
        provenance.checked(Change(collected_on=day))
    assert refused.value.field == "collected_on"


def test_far_too_long() -> None:
    with pytest.raises(Invalid, match="longer than"):
        provenance.checked(Change(source="x" * 3000))
