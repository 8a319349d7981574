"""A person's folders as they may be: pipes, broken links, odd names, and folders that go away."""

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.files import full_path, read_file, shown_name
from app.collect.imports import ImportJobs, ImportProgress, Outcome, import_paths
from app.collect.look import look
from app.collect.sources import PathSource
from app.config import Settings
from app.errors import Invalid
from app.store import images, imports, projects
from app.store.db import read, write
from tests.drawing import picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, links and names of bytes")


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with one good picture among all that is not."""
    folder = tmp_path / "odd"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.png").write_bytes(picture(1))
    (folder / "good.txt").write_text("a cat")
    os.mkfifo(folder / "pipe.png")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "endless.png").symlink_to("/dev/zero")
    (Path(os.fsdecode(os.fsencode(folder) + b"/b\xffd\x1b.png"))).write_bytes(picture(2))
    (folder / "\u202egnp.exe.png").write_bytes(picture(3))
    return folder


def take_all(settings: Settings, engine: Engine, project_id: int, folder: Path) -> list[Outcome]:
    """Import a folder and return what became of each file."""
    outcomes: list[Outcome] = []
    import_paths(settings, engine, project_id, [folder], on_outcome=lambda outcome, _: outcomes.append(outcome))
    return outcomes


def test_an_odd_folder_holds_nothing_up(settings: Settings, engine: Engine, project_id: int, odd: Path) -> None:
    assert look(odd).pictures == 7
    outcomes = take_all(settings, engine, project_id, odd)
    assert {outcome.name: outcome.status for outcome in outcomes} == {
        "good.png": "added",
        "b?d.png": "added",
        "gnp.exe.png": "added",
        "pipe.png": "refused",
        "dangling.png": "refused",
        "loop.png": "refused",
        "endless.png": "refused",
        "sub/up": "refused",
    }
    assert [each.reason for each in outcomes if each.name == "sub/up"] == [
        "up is a link to a folder, which is not followed. Import the folder that it leads to by itself."
    ]
    with read(engine) as session:
        assert {row.name for row in images.training_rows(session, project_id)} == {"good.png", "b?d.png", "gnp.exe.png"}
    assert all(str(odd) not in outcome.reason for outcome in outcomes)


def test_a_file_beyond_all_sense_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "large.png").touch()
    os.truncate(tmp_path / "large.png", 10**12)
    assert len(read_file(tmp_path / "large.png", 1000)) == 1001


def test_a_folder_that_goes_away_is_told_of(settings: Settings, engine: Engine, project_id: int, odd: Path) -> None:
    with write(engine) as session:
        row = imports.create(session, project_id, PathSource.of([odd]).model_dump_json(), "you")
        imports.set_status(session, row.id, "cancelled")
    shutil.rmtree(odd)
    jobs = ImportJobs(settings, engine)
    jobs.go_on(row.id)
    progress = finished(jobs, project_id)
    jobs.close()
    assert progress.is_over
    assert progress.refused
    with pytest.raises(Invalid, match="does not exist"):
        look(odd)


def finished(jobs: ImportJobs, project_id: int) -> ImportProgress:
    """Wait for an import to be over."""
    end = time.monotonic() + 60
    while True:
        progress = jobs.progress(project_id)
        if progress is not None and progress.is_over:
            return progress
        assert time.monotonic() < end, progress
        time.sleep(0.02)


def test_an_import_that_breaks_says_so(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(picture(1))
    jobs = ImportJobs(settings, engine)
    shutil.rmtree(settings.blobs)
    settings.blobs.write_text("a file where the folder was")
    jobs.start(project_id, [tmp_path / "cat.png"])
    progress = finished(jobs, project_id)
    jobs.close()
    assert "It stopped" in progress.refused[0].reason
    assert str(settings.data) not in progress.refused[0].reason


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("../../x.png", "x.png"),
        ("a\\b.png", "b.png"),
        ("\udcff.png", "?.png"),
        ("\x00\u202e.png", ".png"),
        ("/", "unnamed"),
    ],
)
def test_a_shown_name_is_bare_text(raw: str, name: str) -> None:
    assert shown_name(raw) == name


def test_the_home_of_nobody_is_no_path() -> None:
    with pytest.raises(Invalid, match="home of nobody"):
        full_path("~no.such.person/pictures")


CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITIES_3 = 0x20080522


@pytest.fixture
def obeys_permissions() -> Iterator[None]:
    """Let this thread be refused what a folder's permissions refuse, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) != 0:
        pytest.skip("the capabilities of this process cannot be read")
    effective = sets[0]
    sets[0] = effective & ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    assert libc.capset(header, sets) == 0
    yield
    sets[0] = effective
    assert libc.capset(header, sets) == 0


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder with one good picture, and two folders inside that cannot be read."""
    folder = tmp_path / "set"
    for place in ("shut", "open/shut too"):
        (folder / place).mkdir(parents=True)
    (folder / "good.png").write_bytes(picture(1))
    for number in (2, 3):
        (folder / "shut" / f"{number}.png").write_bytes(picture(number))
        (folder / "shut" / f"{number}.txt").write_text(f"number {number}")
    closed = [folder / "shut", folder / "open" / "shut too"]
    for each in closed:
        each.chmod(0)
    yield folder
    for each in closed:
        each.chmod(0o700)


@pytest.mark.usefixtures("obeys_permissions")
def test_a_folder_inside_that_cannot_be_read_is_named_before_and_after(
    settings: Settings, engine: Engine, project_id: int, locked: Path
) -> None:
    seen = look(locked)
    assert (seen.pictures, seen.others) == (1, 2)
    assert [line.partition(":")[0] for line in seen.left] == [
        "The folder shut too cannot be read",
        "The folder shut cannot be read",
    ]
    outcomes = {outcome.name: outcome for outcome in take_all(settings, engine, project_id, locked)}
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "good.png": "added",
        "open/shut too": "refused",
        "shut": "refused",
    }
    assert outcomes["shut"].code == "F01"
    assert outcomes["shut"].reason == (
        "The folder shut cannot be read: Permission denied. Let LoRA Studio read it, then try it again."
    )


@pytest.mark.usefixtures("obeys_permissions")
def test_what_lies_in_such_a_folder_comes_in_once_it_can_be_read(
    settings: Settings, engine: Engine, project_id: int, locked: Path
) -> None:
    take_all(settings, engine, project_id, locked)
    (locked / "shut").chmod(0o700)
    jobs = ImportJobs(settings, engine)
    jobs.retry(1, ["shut", "open/shut too"])
    finished(jobs, project_id)
    jobs.close()
    with read(engine) as session:
        rows = {item.name: (item.outcome, item.message) for item in imports.items(session, 1, imports.Wanted())}
        captions = {row.name: row.caption for row in images.training_rows(session, project_id)}
        row = imports.get(session, 1)
    assert rows["shut"] == ("known", "It can be read now; its 2 files are in this report.")
    assert rows["open/shut too"][0] == "refused"
    assert {name for name, (outcome, _) in rows.items() if outcome == "added"} == {
        "good.png",
        "shut/2.png",
        "shut/3.png",
    }
    assert captions == {"good.png": None, "2.png": "number 2", "3.png": "number 3"}
    assert (row.done, row.total) == (5, 5)


@pytest.mark.usefixtures("obeys_permissions")
def test_the_folder_itself_is_refused_whole(locked: Path) -> None:
    with pytest.raises(PermissionError):
        look(locked / "shut")
