"""Images: one row a content, stable order, captions kept, removal remembered."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select

from app.errors import Invalid, NotFound
from app.store import captions, history, images, projects
from app.store.db import read, write
from app.store.images import NewImage
from app.store.models import Blob, Caption

Make = Callable[[str], NewImage]


def test_the_same_content_is_one_image_in_a_project_and_one_blob_in_all(
    engine: Engine, project_id: int, picture: Make
) -> None:
    with write(engine) as session:
        other = projects.create(session, "Oil", "style", "", None).id
        first, is_new = images.add(session, project_id, picture("a.png"), None, "you")
        again, is_new_again = images.add(session, project_id, picture("a.png"), None, "you")
        elsewhere, is_new_elsewhere = images.add(session, other, picture("a.png"), None, "you")
        assert (is_new, is_new_again, is_new_elsewhere) == (True, False, True)
        assert first.id == again.id != elsewhere.id
        assert len(session.scalars(select(Blob)).all()) == 1


def test_an_unknown_project_takes_no_images(engine: Engine, picture: Make) -> None:
    with pytest.raises(NotFound), write(engine) as session:
        images.add(session, 7, picture("a.png"), None, "you")


def test_an_import_caption_never_replaces_words(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), "from the folder ", "import")
        images.add(session, project_id, picture("a.png"), "another", "import")
    with read(engine) as session:
        assert images.get(session, image.id).caption == "from the folder "
    with write(engine) as session:
        captions.save(session, image.id, "", "you")
        images.add(session, project_id, picture("a.png"), "another", "import")
        verbs = [(edit.noun, edit.verb) for edit in reversed(history.entries(session, project_id, 10))]
        assert images.get(session, image.id).caption == "another"
    assert verbs == [("image", "add"), ("caption", "import"), ("caption", "save"), ("caption", "import")]


def test_pages_follow_each_other_without_gap_or_repeat(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        for number in range(25):
            images.add(session, project_id, picture(f"{number}.png"), None, "you")
    with read(engine) as session:
        seen: list[int] = []
        while rows := images.page(session, project_id, seen[-1] if seen else 0, limit=10):
            seen += [row.id for row in rows]
        assert seen == sorted(set(seen))
        assert seen == [row.id for row in images.training_rows(session, project_id)]
        assert len(seen) == 25


def test_neighbours_stay_in_the_project(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        other = projects.create(session, "Oil", "style", "", None).id
        first, _ = images.add(session, project_id, picture("a.png"), None, "you")
        images.add(session, other, picture("b.png"), None, "you")
        last, _ = images.add(session, project_id, picture("c.png"), None, "you")
        assert images.neighbours(session, images.get(session, first.id)) == (None, last.id, 1, 2)
        assert images.neighbours(session, images.get(session, last.id)) == (first.id, None, 2, 2)


def test_names_are_found_by_prefix_whatever_their_case(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        for name in ("Ähre.PNG", "50%_off.png", "50x_off.png"):
            images.add(session, project_id, picture(name), None, "you")
        assert [row.name for row in images.starting_with(session, project_id, "ähre.")] == ["Ähre.PNG"]
        assert [row.name for row in images.starting_with(session, project_id, "50%_OFF.")] == ["50%_off.png"]


def test_repeats_have_bounds(engine: Engine, project_id: int, picture: Make) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), None, "you")
        assert images.set_repeats(session, image.id, 3).repeats == 3
    for repeats in (0, 1001):
        with pytest.raises(Invalid), write(engine) as session:
            images.set_repeats(session, image.id, repeats)
    with read(engine) as session:
        assert images.get(session, image.id).repeats == 3


def test_a_removed_image_stays_in_the_history_and_its_id_is_not_given_again(
    engine: Engine, project_id: int, picture: Make
) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, picture("a.png"), "a cat", "you")
        images.remove(session, image.id, "you")
        newest = history.entries(session, project_id, 1)[0]
        again, is_new = images.add(session, project_id, picture("a.png"), None, "you")
        assert session.get(Caption, again.id) is None
        assert session.get(Blob, image.sha256) is not None
    assert (newest.noun_id, newest.verb) == (image.id, "remove")
    assert newest.before is not None
    told = {"name": "a.png", "sha256": image.sha256, "repeats": 1, "caption": "a cat"}
    assert told.items() <= json.loads(newest.before).items()
    assert is_new
    assert again.id > image.id
    with read(engine) as session, pytest.raises(NotFound):
        images.get(session, image.id)
