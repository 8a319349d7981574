"""Relations: decisions are kept, replaced and taken back."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.errors import Invalid
from app.store import captions, history, images, relations
from app.store.db import read, write
from app.store.images import NewImage

Picture = Callable[[str], NewImage]


def test_decide_again_and_undo(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        relations.decide(session, project_id, ("b" * 64, "a" * 64), "better", "b" * 64, "you")
        relations.decide(session, project_id, ("a" * 64, "c" * 64), "alternate", None, "you")
        relations.decide(session, project_id, ("a" * 64, "b" * 64), "unrelated", None, "Ida")
    with read(engine) as session:
        made = relations.decisions(session, project_id)
    assert [(each.low_sha256[0], each.high_sha256[0], each.kinship, each.better_sha256, each.by) for each in made] == [
        ("a", "c", "alternate", None, "you"),
        ("a", "b", "unrelated", None, "Ida"),
    ]
    with write(engine) as session:
        assert relations.undo(session, project_id) == ("a" * 64, "b" * 64)
        assert relations.undo(session, project_id) == ("a" * 64, "c" * 64)
        assert relations.undo(session, project_id) is None
    with read(engine) as session:
        verbs = [entry.verb for entry in history.entries(session, project_id) if entry.noun == "relation"]
    assert verbs == ["take-back", "take-back", "decide", "decide", "decide"]


def test_which_is_better_must_be_said(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        for kinship, better in (("better", None), ("better", "c" * 64), ("same", "a" * 64)):
            with pytest.raises(Invalid, match="which of the two"):
                relations.decide(session, project_id, ("a" * 64, "b" * 64), kinship, better, "you")  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            relations.decide(session, project_id, ("a" * 64, "a" * 64), "same", None, "you")


def test_what_is_compared(engine: Engine, project_id: int, picture: Picture) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("cat.png"), None, "you")
        captions.save(session, image.id, "a cat", "you")
        sha256 = image.sha256
    with read(engine) as session:
        found = relations.candidate(session, project_id, sha256)
        assert found is not None
        assert (found.name, found.caption, found.width_px, found.split) == ("cat.png", "a cat", 640, "train")
        assert relations.candidate(session, project_id, "f" * 64) is None
        assert [(each.name, each.phash) for each in relations.likely(session, project_id)] == [("cat.png", None)]
