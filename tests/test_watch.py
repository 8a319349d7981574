"""What the pages say of a run beyond its state."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.contract.events import Claimed, Progress, Queued, Resumed, SampleDrawn
from app.contract.rundir import RunDir
from app.contract.state import RunState, fold
from app.errors import NotFound
from app.launch.start import read_settings
from app.review.grid import build
from app.store.models import Run, RunStatus
from app.watch import log_tail, newest_first, picture_count, queue_of, status_word, thin, took_s


def run(id: int, status: RunStatus, worker: str | None = None) -> Run:
    """A row as the store gives it."""
    return Run(id=id, status=status, worker=worker, name=f"run {id}", claimed_us=None, ended_us=None)


def sample(step: int, prompt_index: int = 0) -> SampleDrawn:
    """A drawn sample."""
    path = f"samples/step-{step:06d}/p{prompt_index}.png"
    return SampleDrawn(step=step, prompt_index=prompt_index, prompt="a cat", seed=1, path=path)


def test_the_queue_counts_who_waits_longer() -> None:
    third = run(3, "queued")
    listed = [run(4, "queued"), third, run(2, "queued"), run(1, "running", "w")]
    queue = queue_of(third, listed, {"w"})
    assert (queue.ahead, queue.has_worker, queue.is_attended) == (1, True, False)
    assert queue.busy_with is listed[-1]


def test_a_dead_worker_is_busy_with_nothing() -> None:
    running = run(1, "running", "dead")
    waiting = run(2, "queued")
    assert queue_of(waiting, [waiting, running], {"other"}).busy_with is None
    assert not queue_of(running, [waiting, running], {"other"}).is_attended
    assert queue_of(running, [waiting, running], {"dead"}).is_attended


def test_a_later_attempt_resumes_until_it_works() -> None:
    events = [Queued(), Claimed(worker="w", pid=1, attempt=2)]
    assert status_word(fold(events)) == "resuming"
    report = Progress(step=1, steps=2, losses=(1.0,), learning_rate=1, images_per_s=1, eta_s=1, attempt=2)
    assert status_word(fold([*events, Resumed(from_step=0, attempt=2), report])) == "running"
    assert status_word(fold([Queued(), Claimed(worker="w", pid=1, attempt=1)])) == "running"
    assert status_word(RunState()) == "queued"


def test_a_run_takes_from_its_first_claim_to_its_end() -> None:
    row = run(1, "completed")
    assert took_s(row) is None
    row.claimed_us, row.ended_us = 1_000_000, 3_500_000
    assert took_s(row) == 2.5
    row.ended_us = None
    assert took_s(row) == pytest.approx(datetime.now(UTC).timestamp() - 1, abs=5)


def test_thinning_keeps_the_mean_and_the_last_step() -> None:
    points = [(step, float(step)) for step in range(1, 12)]
    assert thin(points, 11) == points
    assert thin(points, 5) == [(3, 2.0), (6, 5.0), (9, 8.0), (11, 10.5)]
    assert thin([], 5) == []


def test_samples_stand_baseline_first_and_then_the_newest() -> None:
    state = fold([sample(0), sample(10), sample(20), sample(20, 1), sample(30)])
    grid, hidden = newest_first(build(1, state, {}), limit=2)
    assert [column.step for column in grid.columns] == [0, 30, 20]
    assert hidden == 1
    assert [[cell.step for cell in row.cells] for row in grid.rows] == [[0, 30, 20]] * 2
    assert [cell.path is None for cell in grid.rows[1].cells] == [True, True, False]


def test_the_log_reads_as_a_terminal_shows_it(tmp_path: Path) -> None:
    folder = RunDir(tmp_path)
    assert log_tail(folder) == ""
    folder.log.write_bytes(b"\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\r\nbad \xff byte\n")
    assert log_tail(folder) == "red\n100%\nbad \ufffd byte"
    folder.log.write_text("".join(f"line {number} {'x' * 200}\n" for number in range(1000)))
    lines = log_tail(folder).splitlines()
    assert lines[-1].startswith("line 999 ")
    assert lines[0].startswith("line ")
    assert 100 < len(lines) <= 300


def test_a_run_without_its_folder_is_told_by_name_and_place(tmp_path: Path) -> None:
    folder = RunDir(tmp_path / "0001-gone")
    assert picture_count(folder) == 0
    with pytest.raises(NotFound, match=r"Red cats is gone .*runs/0001-gone"):
        read_settings(folder, "Red cats")
