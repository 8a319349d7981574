"""Accepting into the store: what is added, what is never overwritten, and the one step of the history."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine
from sqlalchemy import text as sql

from app.contract.buckets import Size
from app.contract.suggestions import DOUBT, Answer, Looked
from app.errors import Conflict
from app.label import accepting
from app.label.accepting import Wish
from app.label.desk import Desk, Frame
from app.label.rows import Table
from app.label.suggestions import Seen, View
from app.store import captions, history, images, parts, projects, runs, suggestions, undo
from app.store.db import read, write
from app.store.images import NewImage
from app.store.parts import Unfinished
from app.store.suggestions import Taken

TEXTS = {"a": "red, cat", "b": "A fox sleeps in the long grass.", "c": None, "d": "old words"}


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    """Four images: tags, a sentence, no caption, and words that a model wrote."""
    found = {}
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "inkstyle", None).id
        for name, text in TEXTS.items():
            new = NewImage(name.encode().hex().ljust(64, "0"), "png", 10, 64, 64, f"{name}.png")
            found[name] = images.add(session, project_id, new, None, "you")[0].id
            if text:
                captions.save(session, found[name], text, "blip, accepted by ana" if name == "d" else "ana")
        runs.create(session, project_id, "tag", "Tags", "0001-tags")
    return found


def suggest(engine: Engine, name: str, answers: Sequence[Answer], model: str = "wd") -> None:
    with write(engine) as session:
        suggestions.take(
            session, Taken(1, 1, model), [Looked(sha256=name.encode().hex().ljust(64, "0"), name=name, answers=answers)]
        )


def tag(text: str, confidence: float = 0.9, category: str = "general") -> Answer:
    return Answer(kind="tag", text=text, confidence=confidence, category=category)


def words(text: str) -> Answer:
    return Answer(kind="caption", text=text, confidence=1.0)


def caption(engine: Engine, image_id: int) -> str | None:
    with read(engine) as session:
        return images.get(session, image_id).caption


def first_id(engine: Engine, image_id: int, text: str) -> int:
    with read(engine) as session:
        return next(row.id for row in suggestions.of_image(session, image_id) if row.text == text)


def test_one_tag_is_added_and_is_a_ghost_again_once_it_is_taken_out(engine: Engine, ids: dict[str, int]) -> None:
    suggest(engine, "a", [tag("grass"), tag("red")])
    with write(engine) as session:
        assert [each.text for each in accepting.open_of(session, ids["a"])] == ["grass"]
        assert accepting.accept(session, first_id(engine, ids["a"], "grass"), "ana") == ids["a"]
        assert accepting.open_of(session, ids["a"]) == []
    assert caption(engine, ids["a"]) == "red, cat, grass"
    with write(engine) as session:
        (entry,) = history.entries(session, 1, 1)
        assert (entry.by, entry.before, entry.after) == (
            "wd added, accepted by ana",
            '"red, cat"',
            '"red, cat, grass"',
        )
        assert entry.batch is not None
        captions.save(session, ids["a"], "red, cat", "ana")
        assert [each.text for each in accepting.open_of(session, ids["a"])] == ["grass"]


def test_a_caption_needs_to_be_told_what_to_do_with_the_old_one(engine: Engine, ids: dict[str, int]) -> None:
    suggest(engine, "a", [words("A red cat.")])
    suggestion = first_id(engine, ids["a"], "A red cat.")
    with pytest.raises(Conflict), write(engine) as session:
        accepting.accept(session, suggestion, "ana")
    assert caption(engine, ids["a"]) == "red, cat"
    with write(engine) as session:
        accepting.accept(session, suggestion, "ana", "line")
    assert caption(engine, ids["a"]) == "red, cat\nA red cat."
    with write(engine) as session:
        accepting.accept(session, suggestion, "ana", "replace")
        assert accepting.open_of(session, ids["a"]) == []
    assert caption(engine, ids["a"]) == "A red cat."


def test_an_image_takes_what_is_sure_enough(engine: Engine, ids: dict[str, int]) -> None:
    suggest(engine, "a", [tag("grass", 0.6), tag("sun", 0.3), words("A cat.")])
    suggest(engine, "c", [words("A dog.")])
    with write(engine) as session:
        assert accepting.accept_image(session, ids["a"], 0.5, "ana") == 1
        assert accepting.accept_image(session, ids["c"], 0.5, "ana") == 1
        assert accepting.accept_image(session, ids["b"], 0.5, "ana") == 0
    assert caption(engine, ids["a"]) == "red, cat, grass"
    assert caption(engine, ids["c"]) == "A dog."


def test_dismissing_here_and_everywhere(engine: Engine, ids: dict[str, int]) -> None:
    for name in ("a", "b"):
        suggest(engine, name, [tag("grass"), tag("sun")])
    with write(engine) as session:
        assert accepting.dismiss(session, first_id(engine, ids["a"], "sun")) == ids["a"]
    grass = first_id(engine, ids["a"], "grass")
    assert accepting.dismiss_everywhere(engine, grass, "ana") == (ids["a"], 2)
    with read(engine) as session:
        assert accepting.open_of(session, ids["a"]) == []
        assert [each.text for each in accepting.open_of(session, ids["b"])] == ["sun"]
    assert caption(engine, ids["a"]) == "red, cat"


def test_a_persons_words_are_never_overwritten(engine: Engine, ids: dict[str, int]) -> None:
    for name in TEXTS:
        suggest(engine, name, [words("A model's words."), tag("fox"), tag("sun", 0.4)])
    with write(engine) as session:
        for overwrites, changed, kept in (("empty", {"c"}, 3), ("models", {"c", "d"}, 2)):
            planned = accepting.plan(session, 1, Wish("caption", "", 0.5, overwrites))  # type: ignore[arg-type]
            assert {change.image_id for change in planned.changes} == {ids[name] for name in changed}
            assert (planned.by_person, planned.by_model, planned.empty, planned.kept) == (2, 1, 1, kept)
        planned = accepting.plan(session, 1, Wish("tag", "wd", 0.5))
        # The sentence says fox already.
        assert (len(planned.changes), planned.suggestions) == (3, 3)
        assert accepting.plan(session, 1, Wish("tag", "other", 0.5)).changes == ()
    assert accepting.carry_out(engine, planned.changes, "ana") == 3
    with read(engine) as session:
        batches = {entry.batch for entry in history.entries(session, 1, 3)}
    assert len(batches) == 1
    assert caption(engine, ids["a"]) == "red, cat, fox"
    assert caption(engine, ids["b"]) == TEXTS["b"]
    assert caption(engine, ids["c"]) == "fox"
    assert caption(engine, ids["d"]) == "old words, fox"
    # Words of people stay theirs although tags were added to them: no model's caption replaces them afterwards.
    with read(engine) as session:
        later = accepting.plan(session, 1, Wish("caption", "", 0.5, "models"))
    assert {change.image_id for change in later.changes} == {ids["c"], ids["d"]}
    assert (later.by_person, later.kept) == (2, 2)
    # Nor once that was undone and done again.
    with write(engine) as session:
        undo.undo(session, 1, "ana")
        assert images.get(session, ids["a"]).caption == "red, cat"
        undo.redo(session, 1, "ana")
        assert images.get(session, ids["a"]).caption == "red, cat, fox"
        again = accepting.plan(session, 1, Wish("caption", "", 0.5, "models"))
    assert {change.image_id for change in again.changes} == {ids["c"], ids["d"]}


def test_doubts_are_let_stand_in_parts(engine: Engine, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(parts, name, 1)
    for name in ("a", "d"):
        suggest(engine, name, [tag("red", 0.1, DOUBT)])
    with read(engine) as session:
        found = {ids[name]: [accepting.seen(suggestions.of_image(session, ids[name])[0])] for name in ("a", "d")}
    first, last = ids["a"], ids["d"]
    with write(engine) as session:
        guard = f"WHEN NEW.image_id = {last} BEGIN SELECT RAISE(ABORT, 'no'); END"
        session.execute(sql(f"CREATE TRIGGER guard BEFORE UPDATE ON suggestion {guard}"))
    with pytest.raises(Unfinished, match="1 of 2 images") as caught:
        accepting.let_stand(engine, found)
    assert "Let the captions stand again" in caught.value.hint
    with read(engine) as session:
        assert suggestions.of_image(session, first) == []
        assert len(suggestions.of_image(session, last)) == 1
    with write(engine) as session:
        session.execute(sql("DROP TRIGGER guard"))
    assert accepting.let_stand(engine, found) == 2
    with read(engine) as session:
        assert suggestions.of_project(session, 1) == []


def test_a_disagreement_over_a_tag_is_settled_either_way(engine: Engine, ids: dict[str, int]) -> None:
    suggest(engine, "a", [tag("grass"), tag("red", 0.1, DOUBT)])
    suggest(engine, "d", [tag("grass", 0.5), tag("old words", 0.2, DOUBT)])
    desk = Desk()

    def found(view: View, tag: str) -> tuple[Table, dict[int, Sequence[Seen]]]:
        with read(engine) as session:
            table = desk.table(session, 1, Frame("inkstyle", (Size(64, 64),)))
            return table, dict(desk.disagreements(session, 1, table).of_tag(view, tag))

    def agree(view: View, tag: str) -> int:
        return accepting.carry_out(engine, accepting.tag_changes(*found(view, tag), view), "ana")

    assert agree("missing", "Grass") == 2
    assert agree("doubted", "red") == 1
    standing = found("doubted", "old_words")[1]
    assert accepting.let_stand(engine, standing) == 1
    for view, text in (("missing", "grass"), ("doubted", "red"), ("doubted", "old words")):
        assert found(view, text)[1] == {}  # type: ignore[arg-type]  # the views by name
    assert suggestions.dismiss_tag(engine, 1, "grass", "ana") == 2
    assert caption(engine, ids["a"]) == "cat, grass"
    assert caption(engine, ids["d"]) == "old words, grass"
