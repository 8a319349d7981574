"""Captions: byte for byte, and every change in the history."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.errors import NotFound
from app.store import captions, history, images
from app.store.db import read, write
from app.store.images import NewImage

Make = Callable[[str], NewImage]


def test_words_are_kept_as_written(engine: Engine, project_id: int, picture: Make) -> None:
    text = "  été, 猫,\r\n\t‮right‬ 🎨 "
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), None, "you")
        assert images.get(session, image.id).caption is None
        captions.save(session, image.id, text, "you")
    with read(engine) as session:
        assert images.get(session, image.id).caption == text


def test_only_changes_are_history(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), None, "you")
        for text in ("a", "a", "", "", "b"):
            captions.save(session, image.id, text, "api")
        edits = [edit for edit in history.entries(session, project_id, 10) if edit.noun == "caption"]
        assert history.newest(session, project_id) == edits[0].id
    changes = [(edit.before, edit.after, edit.by) for edit in reversed(edits)]
    assert changes == [(None, '"a"', "api"), ('"a"', '""', "api"), ('""', '"b"', "api")]


def test_an_unknown_image_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound), write(engine) as session:
        captions.save(session, 9, "a", "you")


def test_history_begins_at_zero(engine: Engine, project_id: int) -> None:
    with read(engine) as session:
        assert history.newest(session, project_id) == 0
