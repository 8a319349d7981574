"""The worker dies, is closed or meets what another left half done: no run is lost, none is done twice."""

import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.contract.events import Claimed, Ended, EventLog, Queued, Resumed, Warned
from app.store import runs
from app.store.db import write
from app.store.workers import live_workers
from tests.process.conftest import MOMENTS, Moment, Studio, ToyRun, claims, is_alive, make_studio, until
from tests.process.toy_trainer import Toy
from worker.deaths import CLOSED


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.label)
def test_a_killed_worker_takes_its_child_along_and_the_next_one_completes_the_run(
    studio: Studio, moment: Moment
) -> None:
    first = studio.start_worker()
    run = moment.reach(studio)
    child = run.child_pid
    first.kill()
    first.wait()
    until(lambda: not is_alive(child), "the child to die with its parent", 10)
    assert studio.row(run).status == "running"
    assert live_workers(studio.settings.data) == set()
    studio.start_worker()
    row = studio.ends(run)
    run.completes()
    assert (row.status, row.attempt) == ("completed", 2)
    assert tuple(event.from_step for event in run.events if isinstance(event, Resumed)) == moment.goes_on_from
    assert "without warning" in run.state.warnings[0].message


def test_a_worker_told_to_end_saves_and_queues_again(studio: Studio) -> None:
    run = studio.queue(steps=200, every=1000, toy=Toy(step_s=0.05))
    worker = studio.start_worker()
    run.reaches(3)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    was_left_in_order(studio, run)
    (run.run_dir.path / "toy.json").write_text("{}")
    studio.start_worker()
    assert studio.ends(run).status == "completed"
    run.completes()


def test_a_worker_whose_server_died_saves_and_queues_again(studio: Studio) -> None:
    run = studio.queue(steps=200, every=1000, toy=Toy(step_s=0.05))
    worker = studio.start_worker()
    run.reaches(3)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    was_left_in_order(studio, run)


def was_left_in_order(studio: Studio, run: ToyRun) -> None:
    """The run waits with what it had, and the worker left nothing of its own."""
    row = studio.row(run)
    assert (row.status, row.worker, row.reason) == ("queued", None, CLOSED)
    last = run.events[-1]
    assert isinstance(last, Queued)
    assert last.reason == CLOSED
    assert [saved.step for saved in run.state.checkpoints] == [run.state.step]
    assert list((studio.settings.data / "workers").iterdir()) == []


def test_a_child_that_does_not_listen_does_not_keep_the_worker_from_closing(studio: Studio) -> None:
    run = studio.queue(steps=10_000, every=10_000, toy=Toy(step_s=0.02, fault="deaf"))
    worker = studio.start_worker()
    run.reaches(1)
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    # The child alone would go on for minutes.
    assert worker.wait(60) == 0
    assert time.monotonic() - started > 2.5
    assert not is_alive(run.child_pid)
    assert studio.row(run).status == "queued"


def leave_orphan(studio: Studio) -> ToyRun:
    """A run that a worker claimed which does not live."""
    run = studio.queue()
    with write(studio.engine) as session:
        claimed = runs.claim(session, "dead")
    assert claimed is not None
    assert claimed.id == run.run_id
    return run


def begin(run: ToyRun) -> EventLog:
    """What the dead worker wrote first."""
    log = EventLog(run.run_dir.events, 1)
    log.append(Claimed(worker="dead", pid=1))
    return log


@dataclass(frozen=True)
class Ruin:
    """A studio in which a worker died in every possible place, and the next one has cleaned up."""

    studio: Studio
    claimed: ToyRun
    ended: ToyRun
    torn: ToyRun
    killer: ToyRun
    gone: ToyRun
    gone_in_queue: ToyRun
    damaged: ToyRun


@pytest.fixture(scope="module")
def ruin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruin]:
    """Make the ruin, and wait until all its runs are over."""
    studio = make_studio(tmp_path_factory.mktemp("ruin"))
    claimed, ended, torn, killer, gone, damaged = (leave_orphan(studio) for _ in range(6))
    begin(ended).append(Ended(outcome="failed", reason="the loss is not a number"))
    begin(torn)
    with torn.run_dir.events.open("ab") as file:
        file.write(b'{"seq":3,"type":"progr')
    for _ in range(2):
        begin(killer).append(Queued(reason="It starts again."))
    begin(killer)
    with damaged.run_dir.events.open("ab") as file:
        file.write(bytes(100) + b"\n")
    gone_in_queue = studio.queue()
    for run in (gone, gone_in_queue):
        shutil.rmtree(run.run_dir.path)
    studio.start_worker()
    for run in (claimed, ended, torn, killer, gone, gone_in_queue, damaged):
        studio.ends(run)
    yield Ruin(studio, claimed, ended, torn, killer, gone, gone_in_queue, damaged)
    studio.close()


def test_a_worker_that_died_right_after_its_claim(ruin: Ruin) -> None:
    assert ruin.studio.row(ruin.claimed).attempt == 2
    ruin.claimed.completes()


def test_a_worker_that_died_between_the_last_event_and_the_row(ruin: Ruin) -> None:
    row = ruin.studio.row(ruin.ended)
    assert (row.status, row.reason, row.attempt) == ("failed", "the loss is not a number", 1)
    assert len(ruin.ended.events) == 3


def test_a_worker_that_died_in_the_middle_of_an_event(ruin: Ruin) -> None:
    ruin.torn.completes()
    assert len(claims(ruin.torn)) == 2


def test_a_run_that_kills_its_worker_fails_at_last(ruin: Ruin) -> None:
    row = ruin.studio.row(ruin.killer)
    assert row.status == "failed"
    assert "3 times in a row" in row.reason
    assert len(claims(ruin.killer)) == 3


def test_a_run_whose_folder_is_gone_fails_in_words(ruin: Ruin) -> None:
    for run in (ruin.gone, ruin.gone_in_queue):
        row = ruin.studio.row(run)
        assert row.status == "failed"
        assert str(run.run_dir.path) in row.reason
        assert not run.run_dir.path.exists()


def test_a_run_whose_events_a_power_cut_damaged_goes_on_and_says_so(ruin: Ruin) -> None:
    assert ruin.studio.row(ruin.damaged).status == "completed"
    warnings = [event.message for event in ruin.damaged.events if isinstance(event, Warned)]
    assert any("damaged" in message for message in warnings)
