"""Suggestions in the store: taken in once, renewed by a later run, settled by people."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select, text

from app.contract.suggestions import DOUBT, Answer, Looked
from app.errors import NotFound
from app.store import captions, images, parts, runs, suggestions
from app.store.db import read, write
from app.store.images import NewImage
from app.store.models import Suggestion
from app.store.parts import Unfinished
from app.store.suggestions import Taken


@pytest.fixture
def image_ids(engine: Engine, project_id: int, picture: Callable[[str], NewImage]) -> list[int]:
    with write(engine) as session:
        return [images.add(session, project_id, picture(name), None, "you")[0].id for name in ("a.png", "b.png")]


def line(name: str, *answers: Answer, note: str = "") -> Looked:
    return Looked(sha256=name.encode().hex().ljust(64, "0")[:64], name=name, answers=answers, note=note)


def tag(text: str, confidence: float = 0.9, category: str = "general") -> Answer:
    return Answer(kind="tag", text=text, category=category, confidence=confidence)


def start(engine: Engine, project_id: int, name: str = "0001-tags") -> Taken:
    with write(engine) as session:
        return Taken(project_id, runs.create(session, project_id, "tag", name, name).id, "wd")


def texts(engine: Engine, image_id: int) -> list[tuple[str, float]]:
    with read(engine) as session:
        return [(row.text, row.confidence) for row in suggestions.of_image(session, image_id)]


def test_answers_are_taken_once(engine: Engine, project_id: int, image_ids: list[int]) -> None:
    taken = start(engine, project_id)
    lines = [line("a.png", tag("red"), tag("cat", 0.5)), line("b.png", note="unreadable"), line("gone.png", tag("red"))]
    for expected in (2, 0):
        with write(engine) as session:
            assert suggestions.take(session, taken, lines) == expected
    assert texts(engine, image_ids[0]) == [("red", 0.9), ("cat", 0.5)]
    assert texts(engine, image_ids[1]) == []
    with read(engine) as session:
        assert [row.text for row in suggestions.of_project(session, project_id)] == ["cat", "red"]
        assert suggestions.of_runs(session, project_id) == {taken.run_id: 2}
        assert suggestions.images_seen_by(session, project_id, "wd") == {image_ids[0]}
        assert images.get(session, image_ids[0]).caption is None


def test_a_later_run_has_the_last_word_on_what_is_open(engine: Engine, project_id: int, image_ids: list[int]) -> None:
    first, second = start(engine, project_id), start(engine, project_id, "0002-tags")
    with write(engine) as session:
        suggestions.take(session, first, [line("a.png", tag("red"), tag("cat"), tag("dog"), tag("sun"))])
        by_text = {row.text: row.id for row in suggestions.of_image(session, image_ids[0])}
        suggestions.settle(session, [by_text["cat"]], "accepted")
        suggestions.settle(session, [by_text["dog"]], "dismissed")
        assert suggestions.take(session, second, [line("a.png", tag("red", 0.7), tag("dog"), tag("sky"))]) == 1
    assert texts(engine, image_ids[0]) == [("cat", 0.9), ("sky", 0.9), ("red", 0.7)]
    with read(engine) as session:
        assert suggestions.get(session, by_text["cat"]).state == "accepted"
        assert suggestions.get(session, by_text["dog"]).state == "dismissed"
        with pytest.raises(NotFound):
            suggestions.get(session, by_text["sun"])


def test_another_model_stands_beside(engine: Engine, project_id: int, image_ids: list[int]) -> None:
    first = start(engine, project_id)
    second = Taken(project_id, start(engine, project_id, "0002-tags").run_id, "other")
    with write(engine) as session:
        suggestions.take(session, first, [line("a.png", tag("red"))])
        suggestions.take(session, second, [line("a.png", tag("red", 0.4))])
    assert texts(engine, image_ids[0]) == [("red", 0.9), ("red", 0.4)]


def test_a_tag_nobody_wants_stays_away_until_it_is_allowed(
    engine: Engine, project_id: int, image_ids: list[int]
) -> None:
    first, second = start(engine, project_id), start(engine, project_id, "0002-tags")
    with write(engine) as session:
        suggestions.take(session, first, [line("a.png", tag("Long_Hair"), tag("red"))])
    assert suggestions.dismiss_tag(engine, project_id, "long hair", "ana") == 1
    with write(engine) as session:
        suggestions.take(session, second, [line("b.png", tag("long hair"), tag("red"))])
    assert [text for text, _ in texts(engine, image_ids[0])] == ["red"]
    assert [text for text, _ in texts(engine, image_ids[1])] == ["red"]
    with read(engine) as session:
        assert suggestions.dismissed(session, project_id) == ["long hair"]
    assert suggestions.allow_tag(engine, project_id, "long hair") == 1
    with read(engine) as session:
        assert suggestions.dismissed(session, project_id) == []
    assert {text for text, _ in texts(engine, image_ids[0])} == {"red", "Long_Hair"}


def test_doubts_are_no_suggestions_and_go_with_their_image(
    engine: Engine, project_id: int, image_ids: list[int]
) -> None:
    taken = start(engine, project_id)
    with write(engine) as session:
        captions.save(session, image_ids[0], "blue", "you")
        suggestions.take(session, taken, [line("a.png", tag("blue", 0.1, DOUBT), tag("red"))])
    assert suggestions.dismiss_tag(engine, project_id, "blue", "you") == 0
    with write(engine) as session:
        assert suggestions.authors(session, project_id) == [(image_ids[0], "blue", "you"), (image_ids[1], "", "")]
        images.remove(session, image_ids[0], "you")
    with read(engine) as session:
        assert suggestions.of_project(session, project_id) == []


def test_many_images_are_taken_in_pieces(engine: Engine, project_id: int, picture: Callable[[str], NewImage]) -> None:
    names = [f"{place}.png" for place in range(suggestions.CHUNK + 3)]
    with write(engine) as session:
        for name in names:
            images.add(session, project_id, picture(name), None, "you")
    taken = start(engine, project_id)
    with write(engine) as session:
        assert suggestions.take(session, taken, [line(name, tag("red")) for name in names]) == len(names)
        assert suggestions.take(session, taken, [line(name, tag("red")) for name in names]) == 0
        suggestions.settle(session, [row.id for row in suggestions.of_project(session, project_id)], "dismissed")
        assert suggestions.of_project(session, project_id) == []


def test_a_tag_is_dismissed_and_allowed_in_parts_and_gone_on_with_after_a_stop(
    engine: Engine, project_id: int, image_ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(parts, name, 1)
    taken = start(engine, project_id)
    with write(engine) as session:
        suggestions.take(session, taken, [line(name, tag("red")) for name in ("a.png", "b.png")])

    def states() -> list[str]:
        with read(engine) as session:
            return list(session.scalars(select(Suggestion.state).order_by(Suggestion.image_id)))

    def guarded(act: Callable[[], int], way_on: str) -> None:
        with write(engine) as session:
            guard = f"WHEN NEW.image_id = {image_ids[1]} BEGIN SELECT RAISE(ABORT, 'no'); END"
            session.execute(text(f"CREATE TRIGGER guard BEFORE UPDATE ON suggestion {guard}"))
        with pytest.raises(Unfinished, match="1 of 2 images were dealt with") as caught:
            act()
        assert caught.value.hint.startswith("The last one is as it was. ")
        assert way_on in caught.value.hint
        with write(engine) as session:
            session.execute(text("DROP TRIGGER guard"))

    def dismiss() -> int:
        return suggestions.dismiss_tag(engine, project_id, "red", "ana")

    def allow() -> int:
        return suggestions.allow_tag(engine, project_id, "red")

    guarded(dismiss, "Dismiss “red” again for the rest")
    assert states() == ["dismissed", "open"]
    assert dismiss() == 1
    guarded(allow, "Allow “red” again for the rest")
    assert states() == ["open", "dismissed"]
    with read(engine) as session:
        # It still stands among those that may be allowed.
        assert suggestions.dismissed(session, project_id) == ["red"]
    assert allow() == 1
    assert states() == ["open", "open"]
    with pytest.raises(NotFound):
        suggestions.dismiss_tag(engine, 99, "red", "ana")
