"""Clashes: a field that somebody set since is seen by its value, named with the image and who set it."""

import pytest
from sqlalchemy import Engine

from app.store import clashes, history, images, provenance, splits
from app.store.clashes import Clash, Clashed
from app.store.db import read, write
from tests.store.test_undo import Picture, fill


def test_a_change_is_refused_by_the_value_that_it_meets(engine: Engine, project_id: int, picture: Picture) -> None:
    image_id = fill(engine, project_id, picture)[0]
    with write(engine) as session:
        provenance.set_many(session, project_id, [image_id], {"licence": "CC0-1.0", "author": "Ann"}, "bob")
        provenance.set_many(session, project_id, [image_id], {"source": "a book"}, "eve")
        clashes.check(session, image_id, {"licence": "own work"}, {"licence": "CC0-1.0"})
        clashes.check(session, image_id, {"licence": "CC0-1.0"}, {"licence": ""})
        clashes.check(session, image_id, {"licence": "own work"}, {"repeats": 7})
        with pytest.raises(
            Clashed, match=r"^bob set the licence of 0\.png to CC0-1\.0 in the meantime, so yours was not"
        ):
            clashes.check(session, image_id, {"licence": "own work"}, {"licence": ""})
        provenance.set_many(session, project_id, [image_id], {"licence": ""}, "you")
        with pytest.raises(Clashed, match=r"^Somebody took the licence of 0\.png away in the meantime"):
            clashes.check(session, image_id, {"licence": "own work"}, {"licence": "CC0-1.0"})


def test_what_was_set_since_a_point_of_the_history(engine: Engine, project_id: int, picture: Picture) -> None:
    ids = fill(engine, project_id, picture)
    with write(engine) as session:
        provenance.set_many(session, project_id, ids, {"licence": "old"}, "ann")
        images.set_repeats(session, ids[0], 2, "ann")
        then = history.newest(session, project_id)
        provenance.set_many(session, project_id, ids[:2], {"licence": "new", "source": "a book"}, "bob")
        # Set back, and set to what is wanted: neither is in the way, nor is another field.
        provenance.set_many(session, project_id, [ids[1]], {"licence": "old"}, "you")
        provenance.set_many(session, project_id, [ids[2]], {"licence": "mine"}, "bob")
        provenance.set_many(session, project_id, [ids[3]], {"author": "Eve"}, "bob")
        splits.set_split(session, project_id, ids, "held-out", "bob")
    with read(engine) as session:
        found = clashes.since(session, project_id, "licence", dict.fromkeys(ids, "mine"), then)
        assert found == {ids[0]: Clash(ids[0], "0.png", "licence", "new", "bob")}
        assert found[ids[0]].shown == "0.png (new, by bob)"
        assert clashes.since(session, project_id, "repeats", dict.fromkeys(ids, 5), then) == {}
        assert set(clashes.since(session, project_id, "split", dict.fromkeys(ids[:2], "regularisation"), then)) == {
            *ids[:2]
        }
