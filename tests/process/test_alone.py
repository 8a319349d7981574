"""`python -m worker run DIR`: a run without store and server."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import ROOT
from tests.process.conftest import ToyRun, claims, is_alive, make_folder, until
from tests.process.toy_trainer import Toy

LIGHT = """
import sys
import worker.run, worker.child
print(sorted({"sqlalchemy", "alembic", "torch", "app.store", "fastapi"} & set(sys.modules)))
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    """Run a folder alone, with the toy as its child."""
    command = [sys.executable, "-m", "tests.process.toy_worker", "alone", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a process and return its exit code and words."""
    words = process.communicate(timeout=30)[1]
    return process.returncode, words


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[ToyRun]:
    """A run that takes a while; nothing may work on it afterwards."""
    run = make_folder(tmp_path / "0001-slow", 400, 1000, Toy(step_s=0.05))
    yield run
    assert not is_alive(run.child_pid)


def test_completes_and_is_over_when_run_again(tmp_path: Path) -> None:
    run = make_folder(tmp_path / "0001-toy", 10, 4, Toy(fault="kill", fault_step=6, fault_attempts=1))
    assert finish(start(run.run_dir.path))[0] == 0
    run.completes()
    assert len(claims(run)) == 2
    count = len(run.events)
    assert finish(start(run.run_dir.path))[0] == 0
    assert len(run.events) == count
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001-toy"]


def test_ctrl_c_saves_and_the_next_call_goes_on(slow: ToyRun) -> None:
    process = start(slow.run_dir.path)
    slow.reaches(3)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 11
    assert len(slow.state.checkpoints) == 1
    (slow.run_dir.path / "toy.json").write_text("{}")
    assert finish(start(slow.run_dir.path))[0] == 0
    slow.completes()


def test_a_second_one_is_refused(slow: ToyRun) -> None:
    first = start(slow.run_dir.path)
    slow.reaches(1)
    code, words = finish(start(slow.run_dir.path))
    assert code == 3
    assert "Another worker is at work" in words
    slow.run_dir.stop.touch()
    assert finish(first)[0] == 10
    slow.checks_out()
    assert len(claims(slow)) == 1


def test_kill_takes_the_child_along(slow: ToyRun) -> None:
    process = start(slow.run_dir.path)
    slow.reaches(1)
    process.kill()
    finish(process)
    until(lambda: not is_alive(slow.child_pid), "the child to die with its parent", 10)


def real(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The real command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_folder_that_is_no_run_is_said_so(tmp_path: Path) -> None:
    done = real("run", str(tmp_path))
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "spec.json" in done.stderr


def test_the_real_child_tells_of_settings_it_cannot_read(tmp_path: Path) -> None:
    run = make_folder(tmp_path / "0001-toy", 10, 4, Toy())
    run.run_dir.spec.write_text('{"kind": "train"}')
    done = real("run", str(run.run_dir.path))
    assert done.returncode == 1
    assert "settings cannot be read" in run.state.reason
    assert str(run.run_dir.spec) in run.state.hint
    run.checks_out()


def test_needs_no_store_and_loads_no_torch_before_its_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_store_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is not a database" * 100)
    done = real("--data", str(tmp_path))
    assert done.returncode == 1
    assert "not a database" in done.stderr
    assert "Traceback" not in done.stderr
