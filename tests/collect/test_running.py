"""One import run in this thread: unpacking is told of and can be cancelled, and what it was read as is kept."""

import threading
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import Engine

from app.collect.archives import Watch
from app.collect.decoders import Decoders
from app.collect.fetch import Fetch
from app.collect.imports import ImportJobs
from app.collect.plans import Workshop
from app.collect.running import folder_of, import_paths, run_one
from app.collect.sources import source_of, told_of
from app.config import Settings
from app.store import images, imports, projects
from app.store.db import read, write
from app.store.models import Import
from tests.drawing import picture
from tests.studio import until


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Five pictures in a folder of kohya's, and one other file."""
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as made:
        for number in range(5):
            made.writestr(f"3_fox/{number}.png", picture(number))
        made.writestr("notes.md", "x")
    return tmp_path / "set.zip"


def begun(engine: Engine, project_id: int, path: Path) -> Import:
    with write(engine) as session:
        return imports.create(session, project_id, source_of([path]).model_dump_json(), "you")


def test_unpacking_is_counted_and_can_be_cancelled(
    settings: Settings, engine: Engine, project_id: int, archive: Path
) -> None:
    row, told, is_over = begun(engine, project_id, archive), [], threading.Event()

    def unpacked(done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            is_over.set()

    decoders, folder = Decoders(settings, 1), folder_of(settings, row.id)
    assert run_one(Workshop(settings, engine, decoders, Fetch(), folder, Watch(is_over.is_set, unpacked)), row)
    assert told == [(0, 6), (1, 6), (2, 6)]
    assert not (folder / "files").exists()
    with read(engine) as session:
        assert imports.get(session, row.id).status == "cancelled"
        assert images.training_rows(session, project_id) == []
    assert run_one(Workshop(settings, engine, decoders, Fetch(), folder), row)
    decoders.close()
    with read(engine) as session:
        assert [each.repeats for each in images.training_rows(session, project_id)] == [3] * 5


def test_what_it_was_read_as_and_what_is_left_out_are_kept(
    settings: Settings, engine: Engine, project_id: int, archive: Path
) -> None:
    import_paths(settings, engine, project_id, [archive], on_outcome=lambda *_: None)
    with read(engine) as session:
        (row,) = imports.listed(session, project_id)
    read_as, notes = told_of(row.source)
    assert read_as == ("kohya folder 3_fox: 3 repeats, class fox",)
    assert notes == ("1 other file is passed over, being neither image nor caption nor a list of them: notes.md.",)


def test_what_another_process_runs_is_left_to_it(
    settings: Settings, engine: Engine, project_id: int, archive: Path
) -> None:
    with write(engine) as session:
        other = projects.create(session, "Dogs", "style", "", None).id
    row, behind = begun(engine, project_id, archive), begun(engine, other, archive)
    folder = folder_of(settings, row.id)
    folder.mkdir(parents=True)

    def status(import_id: int) -> str:
        with read(engine) as session:
            return imports.get(session, import_id).status

    jobs = ImportJobs(settings, engine)
    with FileLock(folder / ".lock"):
        jobs.resume()
        until(lambda: status(behind.id) == "done", "the import behind it", 60)
    jobs.close()
    assert status(row.id) == "running"
