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


def test_a_save_that_knows_less_than_the_store_is_refused(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), None, "you")
        captions.save(session, image.id, "theirs", "ann", base_revision=0)
        with pytest.raises(captions.Stale, match=r"ann changed a\.png in the meantime") as refused:
            captions.save(session, image.id, "mine", "bob", base_revision=0)
        assert (refused.value.text, refused.value.by, refused.value.revision) == ("theirs", "ann", 1)
        captions.save(session, image.id, "theirs", "bob", base_revision=0)
        captions.save(session, image.id, "mine", "bob", base_revision=1)
        assert images.get(session, image.id).revision == 2


def test_the_bytes_a_caption_came_as_go_with_its_first_edit(engine: Engine, project_id: int, picture: Make) -> None:
    came = images.NewCaption("é", b"\xe9", "latin-1", "a.txt")
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), came, "you")
        assert captions.save(session, image.id, "é", "ann").raw == b"\xe9"
        assert captions.save(session, image.id, "è", "ann").raw is None


def test_many_captions_are_one_step(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        ids = [images.add(session, project_id, picture(f"{at}.png"), None, "you")[0].id for at in range(3)]
        batch = captions.save_many(session, project_id, dict.fromkeys(ids, "all"), "ann")
        latest = history.entries(session, project_id, 3)
        assert {entry.batch for entry in latest} == {batch}
        assert [images.get(session, each).caption for each in ids] == ["all"] * 3
