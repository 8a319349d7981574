"""Disagreements in memory: counted by tag, and the same after any edit as when read anew."""

from random import Random

import pytest
from sqlalchemy import Engine

from app.contract.buckets import Size
from app.contract.suggestions import DOUBT, Answer, Looked
from app.label.desk import Desk, Frame
from app.label.disagreements import VIEWS, Disagreements
from app.label.suggestions import TagCount, View
from app.store import captions, images, projects, runs, suggestions
from app.store.db import read, write
from app.store.edits import new_step, remove_images
from app.store.images import NewImage
from app.store.suggestions import Taken

FRAME = Frame("inkstyle", (Size(64, 64),))
WORDS = ("cat", "Red_Hat", "red hat", "grass", "sky", "fox")


@pytest.fixture
def ids(engine: Engine) -> list[int]:
    """Six images without words, and a tag run."""
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "inkstyle", None).id
        news = [NewImage(f"{at:064x}", "png", 10, 64, 64, f"{at}.png") for at in range(6)]
        found = [images.add(session, project_id, new, None, "you")[0].id for new in news]
        runs.create(session, project_id, "tag", "Tags", "0001-tags")
    return found


def say(engine: Engine, place: int, *answers: tuple[str, float, str], model: str = "wd") -> None:
    """Let a model have said tags of an image."""
    said = tuple(Answer(kind="tag", text=text, confidence=sure, category=kind) for text, sure, kind in answers)
    with write(engine) as session:
        suggestions.take(session, Taken(1, 1, model), [Looked(sha256=f"{place:064x}", name="x", answers=said)])


def reached(engine: Engine, desk: Desk) -> Disagreements:
    """Where captions and models disagree now."""
    with read(engine) as session:
        return desk.disagreements(session, 1, desk.table(session, 1, FRAME))


def told(found: Disagreements) -> dict[View, list[TagCount]]:
    """All that it counts."""
    return {view: list(found.counts(view)) for view in VIEWS}


def test_tags_are_counted_by_image_over_all_models(engine: Engine, ids: list[int]) -> None:
    say(engine, 0, ("cat", 0.8, "general"), ("sky", 0.1, DOUBT))
    say(engine, 1, ("Cat", 0.4, "general"), ("dog", 0.99, "general"))
    say(engine, 1, ("cat", 0.9, "general"), model="other")
    with write(engine) as session:
        captions.save(session, ids[0], "sky", "ana")
    found = reached(engine, Desk())
    assert [(each.key, each.images, round(each.confidence, 2)) for each in found.counts("missing")] == [
        ("cat", 2, 0.7),
        ("dog", 1, 0.99),
    ]
    assert [each.text for each in found.counts("doubted")] == ["sky"]
    assert list(found.of_tag("missing", "CAT")) == ids[:2]


def test_whatever_is_edited_the_kept_counts_are_those_of_a_fresh_reading(engine: Engine, ids: list[int]) -> None:
    random, desk = Random(5), Desk()
    left = list(ids)
    for turn in range(60):
        act = random.choice(("say", "save", "save", "settle", "dismiss", "allow", "remove"))
        word = random.choice(WORDS)
        if act == "say":
            sure, kind = random.random(), random.choice(("general", DOUBT))
            say(engine, random.randrange(6), (word, sure, kind), (random.choice(WORDS), sure, "general"))
        elif act == "dismiss":
            suggestions.dismiss_tag(engine, 1, word, "ana")
        elif act == "allow":
            suggestions.allow_tag(engine, 1, word)
        else:
            with write(engine) as session:
                if act == "save":
                    words = ", ".join(random.sample(WORDS, 3))
                    captions.save(session, random.choice(left), words, "ana")
                elif act == "settle" and (rows := suggestions.of_project(session, 1)):
                    suggestions.settle(session, [random.choice(rows).id], random.choice(("dismissed", "accepted")))
                elif act == "remove" and turn > 40 and len(left) > 2:
                    remove_images(session, new_step(1, "ana"), [left.pop()])
        assert told(reached(engine, desk)) == told(reached(engine, Desk())), (turn, act)


def test_nothing_is_read_again_where_nothing_changed(engine: Engine, ids: list[int]) -> None:
    say(engine, 0, ("cat", 0.8, "general"))
    desk = Desk()
    first = reached(engine, desk)
    assert reached(engine, desk) is first
    with write(engine) as session:
        suggestions.settle(session, [1], "dismissed")
    assert reached(engine, desk) is first
    assert first.counts("missing") == []
