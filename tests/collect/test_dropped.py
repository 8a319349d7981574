"""Files that come one by one: captions find their pictures by name, in whichever order they come."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app.collect import blobs, demo
from app.collect.decode_child import Measured, measured_of
from app.collect.drop_ends import Ended, end_drop
from app.collect.dropped import Dropper, Outcome, owners, take_file
from app.collect.imports import ImportJobs, progress_of
from app.collect.joining import STANDS
from app.collect.outcomes import question_of
from app.collect.pending import is_exact
from app.collect.pictures import read_picture
from app.config import Settings
from app.store import images, imports, projects, undo, versions
from app.store.db import read, write
from app.store.imports import Wanted
from app.store.models import Import
from tests.collect.fixtures import encoded, noise

PICTURES = [encoded(noise(seed)) for seed in range(3)]


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def drop(settings: Settings, engine: Engine, project_id: int, names: list[str]) -> dict[str, str | None]:
    """Drop pictures and captions; a caption says its own name. Return the caption of each picture."""
    for seed, name in enumerate(names):
        is_text = name.endswith((".txt", ".caption"))
        data = f"words of {name}".encode() if is_text else encoded(noise(seed))
        take_file(settings, engine, project_id, name, data)
    with read(engine) as session:
        return {row.name: row.caption for row in images.training_rows(session, project_id)}


@pytest.mark.parametrize("turns", [False, True])
def test_each_caption_finds_its_picture(settings: Settings, engine: Engine, project_id: int, turns: bool) -> None:
    names = [
        "cat.png",
        "cat.txt",
        "Dog.jpg",
        "dog.caption",
        "a.b.png",
        "a.b.png.txt",
        "e\u0301.png",
        "\u00e9.txt",
        "猫.png",
        "犬.txt",
    ]
    captions = drop(settings, engine, project_id, names[::-1] if turns else names)
    assert captions == {
        "cat.png": "words of cat.txt",
        "Dog.jpg": "words of dog.caption",
        "a.b.png": "words of a.b.png.txt",
        "e\u0301.png": "words of \u00e9.txt",
        "猫.png": None,
    }


@pytest.mark.parametrize("turns", [False, True])
def test_names_that_differ_by_case_keep_their_own(
    settings: Settings, engine: Engine, project_id: int, turns: bool
) -> None:
    names = ["cat.png", "Cat.png", "cat.txt", "Cat.txt"]
    captions = drop(settings, engine, project_id, names[::-1] if turns else names)
    assert captions == {"cat.png": "words of cat.txt", "Cat.png": "words of Cat.txt"}


def test_a_name_as_written_counts_before_one_of_another_case(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    drop(settings, engine, project_id, ["cat.png", "CAT.png"])
    with read(engine) as session:
        rows = images.training_rows(session, project_id)
    assert [row.name for row in owners(rows, "CAT.txt")] == ["CAT.png"]
    assert [row.name for row in owners(rows, "Cat.txt")] == ["cat.png", "CAT.png"]


def test_one_drop_is_one_step_and_undone_as_one(settings: Settings, engine: Engine, project_id: int) -> None:
    files = {"cat.txt": b"a cat", "cat.png": encoded(noise(1)), "dog.png": encoded(noise(2)), "dog.txt": b"a dog"}
    jobs = ImportJobs(settings, engine)
    try:
        for name, data in files.items():
            path = settings.data / name
            path.write_bytes(data)
            jobs.take_dropped(project_id, name, path, "one drop of this browser")
    finally:
        jobs.close()
    with write(engine) as session:
        (step,) = versions.past_steps(session, project_id)
        assert (step.verb, step.images) == ("add", 2)
        undo.undo(session, project_id, "you")
        assert images.training_rows(session, project_id) == []
        undo.redo(session, project_id, "you")
        assert {row.name: row.caption for row in images.training_rows(session, project_id)} == {
            "cat.png": "a cat",
            "dog.png": "a dog",
        }


def test_a_demo_comes_in_as_one_step(settings: Settings, engine: Engine) -> None:
    demo_id = demo.make(settings, engine, demo.demo_of("character"))
    with write(engine) as session:
        (step,) = versions.past_steps(session, demo_id)
        assert (step.verb, step.images) == ("add", 20)
        undo.undo(session, demo_id, "you")
        assert images.training_rows(session, demo_id) == []


class Page:
    """A browser that drops files and says when a drop is over, with captions before pictures as the page does."""

    def __init__(self, settings: Settings, engine: Engine, project_id: int) -> None:
        self.settings, self.engine, self.project_id = settings, engine, project_id

    def send(self, drop: str, name: str, data: bytes) -> Outcome:
        """Send one file of a drop."""
        path = self.settings.data / "sent"
        path.write_bytes(data)
        return self._dropper(drop).take(name, path, self.measure)

    def end(self, drop: str, *unsent: str) -> Ended:
        """Say that all files of a drop were sent."""
        return end_drop(self._dropper(drop), unsent)

    def drop(self, drop: str, files: dict[str, bytes]) -> Ended:
        """Drop files, captions first, and end the drop."""
        for name in sorted(files, key=lambda each: not each.endswith((".txt", ".caption"))):
            self.send(drop, name, files[name])
        return self.end(drop)

    def captions(self) -> list[tuple[str, str | None]]:
        """Every image with its words, in the order in which they came."""
        with read(self.engine) as session:
            return [(row.name, row.caption) for row in images.training_rows(session, self.project_id)]

    def report(self, drop: str) -> dict[str, tuple[str, str, str]]:
        """The rows of a drop's report: outcome, code and what they say, or the captions they ask about."""
        with read(self.engine) as session:
            (report,) = session.scalars(select(Import).where(Import.source == self._dropper(drop).source))
            items = imports.items(session, report.id, Wanted())
            assert (report.done, report.total) == (len(items), len(items))
            return {
                item.name: (
                    item.outcome,
                    item.code,
                    " | ".join(each.text for each in question_of(item).choices)
                    if item.outcome == "question"
                    else item.message,
                )
                for item in items
            }

    def added(self, drop: str) -> int:
        """How many images the report says came in."""
        with read(self.engine) as session:
            (report,) = session.scalars(select(Import).where(Import.source == self._dropper(drop).source))
        return progress_of(self.engine, report.id).added

    @property
    def waiting(self) -> list[str]:
        """The captions that wait on the disk, by name."""
        kept = (self.settings.data / "pending").rglob("*.caption")
        return sorted(path.read_bytes().partition(b"\n")[0].decode() for path in kept)

    def measure(self, path: Path, name: str) -> Measured:
        """Measure a picture in this process."""
        data = path.read_bytes()
        picture = read_picture(data, name)
        blobs.put(self.settings, picture, data)
        return measured_of(picture)

    def _dropper(self, drop: str) -> Dropper:
        return Dropper(self.settings, self.engine, self.project_id, "you", f"step of {drop}", drop)


@pytest.fixture
def page(settings: Settings, engine: Engine, project_id: int) -> Page:
    return Page(settings, engine, project_id)


def test_each_of_two_drops_keeps_its_own_words(page: Page) -> None:
    page.drop("x", {"1.png": PICTURES[0], "1.txt": b"of x"})
    page.drop("y", {"1.png": PICTURES[1], "1.txt": b"of y"})
    assert page.captions() == [("1.png", "of x"), ("1.png", "of y")]
    assert page.waiting == []


def test_words_never_land_on_the_bare_image_of_another_drop(page: Page) -> None:
    page.drop("x", {"1.png": PICTURES[0]})
    page.drop("y", {"1.png": PICTURES[1], "1.txt": b"of y"})
    assert page.captions() == [("1.png", None), ("1.png", "of y")]


def test_words_of_an_image_that_could_not_be_read_wait_for_it(page: Page) -> None:
    page.drop("x", {"1.png": PICTURES[0], "2.png": PICTURES[2]})
    page.send("y", "1.txt", b"of y")
    page.send("y", "2.txt", b"two of y")
    page.send("y", "1.png", b"no picture")
    ended = page.end("y", "2.png")
    assert [each.status for each in ended.outcomes] == ["waiting", "waiting"]
    assert page.captions() == [("1.png", None), ("2.png", None)]
    assert page.waiting == ["1.txt", "2.txt"]
    page.drop("again", {"1.png": PICTURES[1]})
    assert page.captions()[-1] == ("1.png", "of y")
    assert page.waiting == ["2.txt"]


def test_captions_dropped_later_find_the_images_that_are_here(page: Page) -> None:
    page.drop("x", {"1.png": PICTURES[0], "Fox.png": PICTURES[1]})
    ended = page.drop("y", {"1.txt": b"one", "fox.caption": b"a fox", "stray.txt": b"of none"})
    assert ended.captioned == 2
    assert [(each.name, each.status) for each in ended.outcomes][-1] == ("stray.txt", "waiting")
    assert page.captions() == [("1.png", "one"), ("Fox.png", "a fox")]
    ended = page.drop("z", {"STRAY.png": PICTURES[2]})
    assert page.captions()[-1] == ("STRAY.png", "of none")
    assert len(ended.touched) == 1


@pytest.mark.parametrize("names", [("a.txt", "a.png.txt"), ("a.caption", "a.txt"), ("a.png.caption", "a.txt")])
@pytest.mark.parametrize("turns", [False, True])
def test_two_captions_that_wait_are_one_question_with_the_closest_first(
    page: Page, names: tuple[str, str], turns: bool
) -> None:
    other, closest = names
    for name in names[::-1] if turns else names:
        page.send("x", name, f"words of {name}".encode())
    outcome = page.send("x", "a.png", PICTURES[0])
    page.end("x")
    assert (outcome.status, outcome.is_new) == ("question", True)
    assert page.captions() == [("a.png", f"words of {closest}")]
    assert page.report("x") == {"a.png": ("question", "Q-caption", f"words of {closest} | words of {other}")}
    assert page.waiting == []


def test_a_second_caption_after_the_image_is_a_question_and_no_loss(page: Page) -> None:
    page.send("x", "a.png", PICTURES[0])
    told = [page.send("x", name, name.encode()).status for name in ("a.txt", "a.png.txt", "a.caption")]
    assert told == ["captioned", "question", "question"]
    page.end("x")
    assert page.captions() == [("a.png", "a.txt")]
    assert page.report("x") == {"a.png": ("question", "Q-caption", "a.txt | a.png.txt | a.caption")}


def test_changed_words_are_asked_about_with_and_without_their_image(page: Page) -> None:
    page.drop("x", {"a.png": PICTURES[0], "a.txt": b"first"})
    page.drop("y", {"a.png": PICTURES[0], "a.txt": b"second"})
    page.drop("z", {"a.txt": b"third"})
    page.drop("same", {"a.txt": b"first"})
    assert page.captions() == [("a.png", "first")]
    assert page.report("y") == {"a.png": ("question", "Q-known", "first | second")}
    assert page.report("z") == {"a.txt": ("question", "Q-known", "first | third")}
    assert page.report("same")["a.txt"][0] == "known"


def test_pictures_that_share_a_caption_file_both_have_it(page: Page) -> None:
    page.drop("x", {"a.png": PICTURES[0], "a.jpg": PICTURES[1], "a.txt": b"both"})
    assert dict(page.captions()) == {"a.png": "both", "a.jpg": "both"}


def test_a_guessed_encoding_is_told_as_by_path(page: Page) -> None:
    page.drop("x", {"a.png": PICTURES[0], "a.txt": "caf\u00e9".encode("cp1252"), "b.txt": b"", "b.png": PICTURES[1]})
    told = page.report("x")
    assert told["a.png"] == ("added", "F10", "a.txt was read as Western (Windows-1252). Check its letters.")
    assert told["b.png"] == ("added", "F09", "b.txt is empty.")
    late = page.send("y", "c.png", PICTURES[2]), page.send("y", "c.txt", "na\u00efve".encode("cp1252"))
    assert "Windows-1252" in late[1].reason
    page.end("y")
    assert "Windows-1252" in page.report("y")["c.png"][2]


def test_only_images_count_as_added(page: Page) -> None:
    page.drop("earlier", {"old.png": PICTURES[2]})
    files = {"a.png": PICTURES[0], "a.txt": b"a", "README.txt": b"read me", "old.txt": b"old", "bad.png": b"no"}
    page.drop("x", files)
    assert page.added("x") == 1
    told = page.report("x")
    assert {name: row[:2] for name, row in told.items()} == {
        "a.png": ("added", ""),
        "README.txt": ("refused", "F09"),
        "old.txt": ("known", ""),
        "bad.png": ("refused", "F01"),
    }
    assert told["old.txt"][2] == "Its words are the caption of old.png now."


def test_a_drop_whose_page_was_closed_lets_its_captions_wait(page: Page, settings: Settings) -> None:
    page.send("x", "a.txt", b"left behind")
    (root,) = (settings.data / "pending").glob("*/drop-*")
    page.drop("y", {"a.png": PICTURES[0]})
    assert page.captions() == [("a.png", None)]
    os.utime(root, (1, 1))
    page.drop("z", {"b.png": PICTURES[1]})
    page.drop("w", {"a.png": PICTURES[0]})
    assert page.captions()[0] == ("a.png", "left behind")
    assert page.waiting == []


def test_the_end_of_a_drop_that_never_was_changes_nothing(page: Page) -> None:
    assert page.end("never") == Ended()


def test_the_very_name_counts_before_one_that_is_alike() -> None:
    assert is_exact("a.txt", "a.png")
    assert is_exact("a.png.txt", "a.png")
    assert not is_exact("A.txt", "a.png")


def test_a_question_says_that_words_stand_meanwhile(page: Page, engine: Engine) -> None:
    page.drop("x", {"a.png": PICTURES[0], "a.txt": b"one"})
    outcome = page.drop("y", {"a.txt": b"two"}).outcomes[0]
    assert (outcome.status, outcome.report_id) == ("question", 2)
    with read(engine) as session:
        (item,) = imports.items(session, 2, Wanted("question"))
    assert (item.hint, item.image_id) == (STANDS, outcome.image_id)


def test_words_of_an_image_that_is_removed_before_the_end_wait_for_it(page: Page) -> None:
    page.drop("earlier", {"Fox.txt": b"a fox"})
    for name, data in (("cat.txt", b"a cat"), ("Cat.png", PICTURES[0]), ("fox.png", PICTURES[1])):
        page.send("x", name, data)
    with write(page.engine) as session:
        for row in images.training_rows(session, page.project_id):
            images.remove(session, row.id, "you")
    page.end("x")
    assert page.waiting == ["Fox.txt", "cat.txt"]
