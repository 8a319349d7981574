"""Imports in the store: reports, words that images had, and what transparency means."""

import pytest
from sqlalchemy import Engine

from app.errors import Invalid, NotFound
from app.store import alpha, arrivals, captions, history, images, imports
from app.store.db import read, write
from app.store.images import NewCaption, NewImage
from app.store.imports import NewItem, Tally, Wanted
from app.store.models import Caption


def new(number: int, *, uses_alpha: bool = False) -> NewImage:
    """A picture that came in."""
    facts = '{"container":"PNG","mode":"RGBA","uses_alpha":true}' if uses_alpha else '{"container":"PNG","mode":"RGB"}'
    name = f"fox-{number}.png"
    return NewImage(f"{number:064x}", "png", 10, 64, 48, name, "0" * 16, "f" * 16, facts, uses_alpha)


def test_a_report_counts_filters_and_pages(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        row = imports.create(session, project_id, "{}", "you")
        items = [
            NewItem(f"{number}.png", "refused" if number % 2 else "added", "F01" if number % 2 else "")
            for number in range(6)
        ]
        imports.add_items(session, row.id, items)
        imports.put_trouble(session, row.id, NewItem("the import", "refused", "stopped"))
    with read(engine) as session:
        assert imports.get(session, row.id).done == 6
        assert imports.tallies(session, row.id) == [
            Tally("added", "", 3),
            Tally("refused", "F01", 3),
            Tally("refused", "stopped", 1),
        ]
        shown = imports.items(session, row.id, Wanted("refused", "F01", limit=2))
        rest = imports.items(session, row.id, Wanted("refused", "F01", after_id=shown[-1].id))
        assert [item.name for item in (*shown, *rest)] == ["1.png", "3.png", "5.png"]
        assert set(imports.refused_names(session, row.id)) == {"1.png", "3.png", "5.png"}
        with pytest.raises(NotFound):
            imports.item(session, row.id + 1, shown[0].id)
    with write(engine) as session:
        imports.clear_trouble(session, row.id)
        imports.forget(session, row.id)
    with read(engine) as session, pytest.raises(NotFound):
        imports.get(session, row.id)


def test_many_come_in_as_one_batch(engine: Engine, project_id: int) -> None:
    arriving = [(new(number), NewCaption(f"fox {number}", b"raw", "cp932", "a.txt")) for number in (1, 2, 3, 2)]
    with write(engine) as session:
        added = images.add_many(session, project_id, arriving, "you", "one-batch")
        again = images.add_many(session, project_id, arriving[:1], "you")
    assert [is_new for _, is_new in added] == [True, True, True, False]
    assert [is_new for _, is_new in again] == [False]
    with read(engine) as session:
        entries = history.entries(session, project_id)
        caption = session.get(Caption, added[0][0].id)
    assert {(entry.noun, entry.verb, entry.batch) for entry in entries if entry.noun != "project"} >= {
        ("image", "add", "one-batch"),
        ("caption", "import", "one-batch"),
    }
    assert caption is not None
    assert (caption.raw, caption.encoding, caption.came_from) == (b"raw", "cp932", "a.txt")


def test_words_that_an_image_ever_had(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        image, _ = images.add(session, project_id, new(1), "first", "you")
        captions.save(session, image.id, "second", "you")
        arrivals.adopt_caption(session, image.id, NewCaption("third", b"third", "utf-8", "a.txt"), "you")
        arrivals.offer(session, image.id, "a prompt", "file")
        arrivals.offer(session, image.id, "a prompt", "file")
    with read(engine) as session:
        known = arrivals.known_words(session, project_id, [image.id])[image.id]
        ((copied, words),) = arrivals.copies(session, project_id)
    assert (known.current, known.had) == ("third", {"first", "second", "third"})
    assert words is not None
    assert (copied.name, words.raw) == ("fox-1.png", b"third")


def test_transparency_is_decided_for_those_that_have_it(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        images.add_many(session, project_id, [(new(1), None), (new(2, uses_alpha=True), None)], "you")
        assert alpha.state(session, project_id).count == 1
        assert alpha.examples(session, project_id) == [new(2).sha256]
    with pytest.raises(Invalid, match="no colour"):
        alpha.decide(engine, project_id, "flatten", "white")
    assert alpha.decide(engine, project_id, "mask", "#808080") == 1
    assert alpha.decide(engine, project_id, "mask", "#808080") == 0
    with write(engine) as session:
        images.add(session, project_id, new(3, uses_alpha=True), None, "you")
    with read(engine) as session:
        recipes = [(row.recipe.alpha, row.recipe.background) for row in images.training_rows(session, project_id)]
    assert recipes == [("flatten", "#ffffff"), ("mask", "#808080"), ("mask", "#808080")]
