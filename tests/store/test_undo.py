"""Undo and redo: exact bytes after any sequence of edits, across people, images and restarts."""

from collections.abc import Callable
from random import Random

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.store import captions, images, undo
from app.store.db import read, write
from app.store.edits import new_step, write_fields
from app.store.images import NewCaption, NewImage
from app.store.models import Caption, Image

Picture = Callable[[str], NewImage]
PASSED_OVER = {"revision", "updated_us", "added_us"}
RAW = "caf\xe9, red\r\n".encode("cp1252")


def dump(session: Session) -> list[dict[str, object]]:
    """Every image and caption, but for counters and times."""
    return [
        {column.name: getattr(row, column.name) for column in table.__table__.columns if column.name not in PASSED_OVER}
        for table in (Image, Caption)
        for row in session.scalars(select(table).order_by(table.__table__.primary_key.columns.values()[0]))
    ]


def fill(engine: Engine, project_id: int, picture: Picture, count: int = 4) -> list[int]:
    """Images, of which every second came with words in bytes of their own."""
    with write(engine) as session:
        words = NewCaption("café, red\n", RAW, "cp1252", "a.txt")
        arrivals = [(picture(f"{place}.png"), words if place % 2 else None) for place in range(count)]
        return [row.id for row, _ in images.add_many(session, project_id, arrivals, "you", "first")]


def edit_at_random(session: Session, project_id: int, random: Random, picture: Picture, serial: int) -> None:
    """One step of any kind."""
    here = list(session.scalars(select(Image.id).where(Image.project_id == project_id)))
    by = random.choice(["ann", "bob", "wd, accepted by ann"])
    kind = random.choice(["save", "save", "many", "fields", "remove", "add", "repeats"])
    if kind == "add" or not here:
        caption = random.choice([None, "new", NewCaption("é", "é".encode("latin-1"), "latin-1", "n.txt")])
        images.add(session, project_id, picture(f"new {serial}"), caption, by)
    elif kind == "save":
        captions.save(session, random.choice(here), random.choice(["", "a", "b, c", "ä\r\n", "café, red\n"]), by)
    elif kind == "many":
        captions.save_many(
            session, project_id, {each: f"all {serial % 3}" for each in random.sample(here, 2 % len(here) + 1)}, by
        )
    elif kind == "repeats":
        images.set_repeats(session, random.choice(here), random.randrange(1, 4), by)
    elif kind == "remove":
        images.remove(session, random.choice(here), by)
    else:
        columns = random.choice(
            [{"split": "held-out", "licence": "CC0"}, {"licence": "", "no_ai": True}, {"weight": 0.5}]
        )
        write_fields(session, new_step(project_id, by), {each: columns for each in here})


@pytest.mark.parametrize("seed", range(12))
def test_undoing_all_gives_the_exact_bytes_and_redoing_all_too(
    engine: Engine, project_id: int, picture: Picture, seed: int
) -> None:
    random = Random(seed)
    fill(engine, project_id, picture)
    with write(engine) as session:
        first = undo.offers(session, project_id)[0]
        before = dump(session)
    assert first is not None
    with write(engine) as session:
        for serial in range(25):
            if random.random() < 0.25:
                offer = undo.offers(session, project_id)[0]
                if offer is not None and offer.key != first.key:
                    undo.undo(session, project_id, "eve")
            elif random.random() < 0.2:
                undo.redo(session, project_id, "eve")
            else:
                edit_at_random(session, project_id, random, picture, serial)
    with write(engine) as session:
        while undo.redo(session, project_id, "eve"):
            pass
        after = dump(session)
    count = 0
    with write(engine) as session:
        while (offer := undo.offers(session, project_id)[0]) is not None and offer.key != first.key:
            undo.undo(session, project_id, "eve")
            count += 1
        assert dump(session) == before
    assert count > 3
    with write(engine) as session:
        assert sum(1 for _ in iter(lambda: undo.redo(session, project_id, "eve"), None)) == count
        assert dump(session) == after


def test_it_says_what_it_will_do(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        captions.save(session, ids[0], "a", "you")
        undone, redone = undo.offers(session, project_id)
        assert undone is not None
        assert (undone.words, redone) == ("caption of 0.png", None)
        captions.save_many(session, project_id, {ids[0]: "b", ids[1]: "b"}, "ann")
        offer = undo.offers(session, project_id)[0]
        assert offer is not None
        assert offer.words == "2 captions (ann)"
        done = undo.undo(session, project_id, "bob")
        assert done is not None
        assert (done.said, done.image_ids) == ("Undone: 2 captions (ann)", ids[:2])
        assert undo.offers(session, project_id)[1] is not None
        images.remove(session, ids[2], "you")
        undone, redone = undo.offers(session, project_id)
        assert undone is not None
        assert (undone.words, redone) == ("removed image 2.png", None)


def test_an_image_has_an_undo_of_its_own(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        captions.save_many(session, project_id, dict.fromkeys(ids, "all"), "ann")
        captions.save(session, ids[1], "later", "ann")
        undo.undo(session, project_id, "ann", image_id=ids[0])
        assert images.get(session, ids[0]).caption is None
        assert images.get(session, ids[2]).caption == "all"
        undo.undo(session, project_id, "ann")
        undo.undo(session, project_id, "ann")
        assert [images.get(session, each).caption for each in ids] == [None, "café, red\n"] * 2
        undo.redo(session, project_id, "ann")
        assert [images.get(session, each).caption for each in ids] == [None, "all", "all", "all"]


def test_nobody_undoes_over_what_somebody_else_changed_since(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        captions.save(session, ids[0], "mine", "ann")
        captions.save(session, ids[0], "theirs", "bob")
    with pytest.raises(Conflict) as caught, write(engine) as session:
        undo.undo(session, project_id, "ann", of="ann")
    assert caught.value.message == "bob changed the caption of 0.png after this step, so nothing was undone."
    assert caught.value.hint == "Undo that later change first, or set the caption of 0.png by hand."
    with read(engine) as session:
        assert images.get(session, ids[0]).caption == "theirs"


def test_who_wrote_the_words_comes_back_with_them(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        captions.save(session, ids[0], "mine", "ann")
        captions.save(session, ids[0], "theirs", "bob")
        undo.undo(session, project_id, "eve")
        assert session.get_one(Caption, ids[0]).by == "ann"
        undo.redo(session, project_id, "eve")
        assert session.get_one(Caption, ids[0]).by == "bob"
