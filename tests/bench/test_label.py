"""How fast labeling is at 20,000 images and 100,000 vocabulary rows."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import quantiles

import pytest
from sqlalchemy import Engine, insert

from app.contract.buckets import make_buckets
from app.label.bulk import Wish, plan
from app.label.desk import Desk, Frame
from app.label.terms import matching
from app.routes import disagreements
from app.routes.disagreements import Asked, TagSettled
from app.store import captions, projects, undo
from app.store.db import read, write
from app.store.edits import Words, new_step, write_captions
from app.store.models import Blob, Caption, Image, Suggestion

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

IMAGES = 20_000
ROWS = 100_000
SUGGESTED = 5
FILTER_MS, COMPLETION_MS, BULK_MS, DOUBTS_MS = 150, 30, 2000, 300
# A busy machine is slower for the same work; the limits themselves are printed beside what was measured.
ROOM = 1.5
FILTERS = ("cat", "is:untagged", 'tag:"word 17" -word', "w:>512 OR trigger:missing", "df:<3 tags:>5", "bucket:512x512")


@pytest.fixture
def large_id(engine: Engine) -> int:
    """A project with 20,000 captioned images."""
    random = Random(1)
    words = [f"word {place}" for place in range(3000)]
    with write(engine) as session:
        project_id = projects.create(session, "Large", "style", "lrgx", None).id
        hashes = [f"{place:064x}" for place in range(IMAGES)]
        common = {"extension": "png", "size_bytes": 1, "height_px": 512}
        blobs = [
            {"sha256": each, "width_px": 400 + at % 400, "phash": each[-16:], **common}
            for at, each in enumerate(hashes)
        ]
        session.execute(insert(Blob), blobs)
        image_rows = [
            {
                "id": at,
                "project_id": project_id,
                "sha256": each,
                "name": f"{at}.png",
                "name_key": f"{at}.png",
                "added_us": 1,
            }
            for at, each in enumerate(hashes, 1)
        ]
        session.execute(insert(Image), image_rows)
        texts = [", ".join(["lrgx", *random.sample(words, 14)]) for _ in hashes]
        session.execute(
            insert(Caption),
            [{"image_id": at, "text": text, "by": "ann", "updated_us": 1} for at, text in enumerate(texts, 1)],
        )
    return project_id


def ms(work: Callable[[], object]) -> float:
    """How much of one core's time something takes; what else runs on the machine does not count."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def test_labeling_keeps_up_with_a_person(
    engine: Engine, large_id: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk, frame = Desk(), Frame("lrgx", make_buckets(512, 64))
    vocabulary = tmp_path / "large.csv"
    vocabulary.write_text("".join(f'{word}_{at},0,{ROWS - at},"other_{at}"\n' for at, word in _words(ROWS)), "utf-8")

    def table() -> object:
        with read(engine) as session:
            return desk.table(session, large_id, frame)

    told = [("first read of all images", ms(table), 0.0)]
    told += [
        (f"filter {text} (again)", _second(lambda text=text: _found(engine, desk, large_id, frame, text)), FILTER_MS)
        for text in FILTERS
    ]
    with write(engine) as session:
        captions.save(session, 1, "changed", "ann")
    told.append(("filter after a save", ms(lambda: _found(engine, desk, large_id, frame, "cat")), FILTER_MS))
    with read(engine) as session:
        made = desk.table(session, large_id, frame)
    told.append(("completion built", ms(lambda: desk.completion(large_id, made, [vocabulary])), 0.0))
    typed = [word[:length] for _, word in _words(200) for length in range(1, 6)] + ["w", "wo", "word 1", "other", "o"]
    times = [ms(lambda text=text: desk.completion(large_id, made, [vocabulary]).find(text)) for text in typed]
    told.append(("completion, p95", quantiles(times, n=20)[-1], COMPLETION_MS))
    told.append(("completion, worst", max(times), 0.0))
    told.append(("bulk edit of all", ms(lambda: _bulk(engine, desk, large_id, frame)), BULK_MS))
    told.append(("undo of it", ms(lambda: _undo(engine, large_id)), 0.0))
    with capsys.disabled():
        print()
        for name, took_ms, limit_ms in told:
            print(f"  {name:<44}{took_ms:9.1f} ms" + (f"   limit {limit_ms:.0f} ms" if limit_ms else ""))
    assert all(took_ms <= limit_ms * ROOM for _, took_ms, limit_ms in told if limit_ms)


def test_disagreements_keep_up_with_a_person(engine: Engine, large_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    desk, random = Desk(), Random(3)
    words = [f"word {place}" for place in range(3000)]
    rows = [
        {"image_id": at, "kind": "tag", "text": word, "category": random.choice(("general", "general", "doubt"))}
        | {"confidence": random.random(), "model": "wd", "state": "open", "at_us": at}
        for at in range(1, IMAGES + 1)
        for word in random.sample(words, SUGGESTED)
    ]
    with write(engine) as session:
        session.execute(insert(Suggestion), rows)

    def table() -> object:
        with read(engine) as session:
            return disagreements._table(session, desk, large_id, Asked("missing"))

    def tag() -> object:
        with read(engine) as session:
            return disagreements._show_page(session, desk, large_id, "missing", "word 1")

    def settle() -> None:
        with write(engine) as session:
            sent = TagSettled(tag="word 1", choice="accept")
            assert disagreements._settle(session, desk, large_id, sent, "ann")

    told = [("disagreements, first read of all", ms(table), 0.0), ("disagreements, table again", ms(table), DOUBTS_MS)]
    told += [("images of one tag", ms(tag), DOUBTS_MS), ("a tag added where it is missing", ms(settle), DOUBTS_MS)]
    told.append(("disagreements, table after that", ms(table), DOUBTS_MS))
    with capsys.disabled():
        print()
        for name, took_ms, limit_ms in told:
            print(f"  {name:<44}{took_ms:9.1f} ms" + (f"   limit {limit_ms:.0f} ms" if limit_ms else ""))
    assert all(took_ms <= limit_ms for _, took_ms, limit_ms in told if limit_ms)


def _words(count: int) -> list[tuple[int, str]]:
    random = Random(2)
    letters = "abcdefghijklmnoprstuw"
    return [
        (at, "".join(random.choices(letters, k=5)) + "_" + "".join(random.choices(letters, k=4))) for at in range(count)
    ]


def _second(work: Callable[[], object]) -> float:
    work()
    return ms(work)


def _found(engine: Engine, desk: Desk, project_id: int, frame: Frame, text: str) -> list[int]:
    with read(engine) as session:
        return matching(desk.table(session, project_id, frame), text)


def _bulk(engine: Engine, desk: Desk, project_id: int, frame: Frame) -> None:
    with write(engine) as session:
        made = desk.table(session, project_id, frame)
        changes = plan(made, [row.id for row in made.rows], Wish("add", tags="new tag"))
        assert len(changes) == IMAGES
        words = {each.image_id: Words(str(each.after), "ann") for each in changes}
        write_captions(session, new_step(project_id, "ann"), words)


def _undo(engine: Engine, project_id: int) -> None:
    with write(engine) as session:
        assert undo.undo(session, project_id, "ann")
