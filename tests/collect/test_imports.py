"""The import: files one by one, folders as a job; bad files are named and the others come in."""

import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.blobs import blob_path, display_path, thumb_path
from app.collect.imports import ImportJobs, ImportProgress, take_file
from app.collect.look import look
from app.config import Settings
from app.errors import Conflict, Invalid
from app.store import images, projects
from app.store.db import read, write
from tests.drawing import picture


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def rows(engine: Engine, project_id: int) -> list[images.ImageRow]:
    with read(engine) as session:
        return images.training_rows(session, project_id)


def test_a_picture_comes_in_once(settings: Settings, engine: Engine, project_id: int) -> None:
    first = take_file(settings, engine, project_id, "cat.png", picture(1))
    again = take_file(settings, engine, project_id, "copy.png", picture(1))
    assert (first.status, again.status) == ("added", "known")
    assert again.image_id == first.image_id
    (row,) = rows(engine, project_id)
    assert blob_path(settings, row.sha256, row.extension).read_bytes() == picture(1)
    assert thumb_path(settings, row.sha256).is_file()
    assert display_path(settings, row.sha256, row.extension).is_file()


@pytest.mark.parametrize("caption_first", [True, False])
def test_a_caption_finds_its_picture(settings: Settings, engine: Engine, project_id: int, caption_first: bool) -> None:
    files = [("Cat.PNG", picture(1)), ("cat.txt", b"a cat")]
    statuses = [
        take_file(settings, engine, project_id, name, data).status
        for name, data in (reversed(files) if caption_first else files)
    ]
    assert statuses == (["waiting", "added"] if caption_first else ["added", "captioned"])
    assert [row.caption for row in rows(engine, project_id)] == ["a cat"]


def test_a_written_caption_is_never_overwritten(settings: Settings, engine: Engine, project_id: int) -> None:
    take_file(settings, engine, project_id, "cat.png", picture(1))
    take_file(settings, engine, project_id, "cat.txt", b"mine")
    outcome = take_file(settings, engine, project_id, "cat.txt", b"another")
    assert outcome.status == "question"
    assert "cat.png has other words already" in outcome.reason
    assert [row.caption for row in rows(engine, project_id)] == ["mine"]


def test_stems_that_begin_alike_are_not_confused(settings: Settings, engine: Engine, project_id: int) -> None:
    take_file(settings, engine, project_id, "cat.2.png", picture(2))
    take_file(settings, engine, project_id, "cat.png", picture(1))
    take_file(settings, engine, project_id, "cat.txt", b"one")
    assert {row.name: row.caption for row in rows(engine, project_id)} == {"cat.2.png": None, "cat.png": "one"}


def test_a_bad_file_is_named_and_leaves_nothing(settings: Settings, engine: Engine, project_id: int) -> None:
    outcome = take_file(settings, engine, project_id, "odd.png", b"<html>")
    assert outcome.status == "refused"
    assert "odd.png" in outcome.reason
    assert rows(engine, project_id) == []


def wait_for_end(jobs: ImportJobs, project_id: int) -> ImportProgress:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        progress = jobs.progress(project_id)
        if progress and progress.is_over:
            return progress
        time.sleep(0.01)
    raise AssertionError("the import did not end")


def folder_of(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for seed in range(count):
        (folder / f"{seed}.png").write_bytes(picture(seed))
        (folder / f"{seed}.txt").write_text(f"number {seed}")
    (folder / "inner" / "deep.webp").write_bytes(picture(99, container="WEBP"))
    (folder / "bad.jpg").write_bytes(b"")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    (folder / ".hidden.png").write_bytes(picture(98))
    return folder


def test_looking_copies_nothing(settings: Settings, tmp_path: Path) -> None:
    seen = look(folder_of(tmp_path, 3))
    assert (seen.pictures, seen.captions, seen.others) == (5, 3, 1)
    assert not settings.blobs.exists() or not any(settings.blobs.iterdir())


@pytest.mark.parametrize("text", ["relative", "/does/not/exist"])
def test_looking_names_what_is_wrong(text: str) -> None:
    with pytest.raises(Invalid, match=text):
        look(Path(text))


def test_a_folder_comes_in_whole(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    jobs = ImportJobs(settings, engine)
    folder = folder_of(tmp_path, 3)
    jobs.start(project_id, [folder])
    progress = wait_for_end(jobs, project_id)
    assert (progress.total, progress.done, progress.added, progress.known) == (6, 6, 4, 0)
    assert [refused.name for refused in progress.refused] == ["bad.jpg", "notes.pdf"]
    assert {row.name: row.caption for row in rows(engine, project_id)} == {
        "0.png": "number 0",
        "1.png": "number 1",
        "2.png": "number 2",
        "deep.webp": None,
    }
    jobs.start(project_id, [folder])
    again = wait_for_end(jobs, project_id)
    assert (again.added, again.known) == (0, 4)
    jobs.close()


def test_cancel_keeps_what_came_in(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    jobs = ImportJobs(settings, engine)
    jobs.start(project_id, [folder_of(tmp_path, 60)])
    with pytest.raises(Conflict):
        jobs.start(project_id, [tmp_path])
    jobs.cancel(project_id)
    progress = wait_for_end(jobs, project_id)
    jobs.close()
    assert progress.was_cancelled
    assert len(rows(engine, project_id)) == progress.added < 61
