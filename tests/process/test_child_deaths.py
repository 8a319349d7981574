"""A run's child dies or fails: the run goes on where that helps, and ends in words where it does not."""

import pytest

from app.contract.events import Failed, Resumed
from tests.process.conftest import MOMENTS, Moment, Studio, claims, is_alive, kill
from tests.process.toy_trainer import Toy


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.label)
def test_a_killed_child_is_replaced_and_nothing_is_lost_or_told_twice(working: Studio, moment: Moment) -> None:
    run = moment.reach(working)
    kill(run.child_pid)
    row = working.ends(run)
    run.completes()
    assert (row.status, row.attempt, len(claims(run))) == ("completed", 2, 2)
    assert tuple(event.from_step for event in run.events if isinstance(event, Resumed)) == moment.goes_on_from
    (warning,) = run.state.warnings
    assert "SIGKILL" in warning.message


def test_a_run_that_always_dies_fails_in_words_after_three(working: Studio) -> None:
    run = working.queue(toy=Toy(fault="kill", fault_step=6))
    row = working.ends(run)
    run.checks_out()
    # The first attempt reached a checkpoint, so it is not one of the three.
    assert (row.status, row.attempt) == ("failed", 4)
    assert "3 times in a row" in row.reason
    assert "SIGKILL" in row.reason
    assert str(run.run_dir.log) in run.state.hint
    assert [saved.step for saved in run.state.checkpoints] == [4]


def test_last_words_are_passed_on(working: Studio) -> None:
    run = working.queue(toy=Toy(fault="exit", fault_step=1, fault_attempts=1))
    working.ends(run)
    run.completes()
    assert "exit code 3" in run.state.warnings[0].message
    assert "a last word" in run.state.warnings[0].message


def test_a_hung_child_is_ended_and_shows_where_it_hung(working: Studio) -> None:
    run = working.queue(toy=Toy(fault="hang", fault_step=6, fault_attempts=1))
    working.ends(run)
    run.completes()
    assert "no sign of life" in run.state.warnings[0].message
    assert "go_wrong" in run.run_dir.log.read_text()


def test_a_broken_gpu_gets_a_new_process(working: Studio) -> None:
    run = working.queue(toy=Toy(fault="cuda", fault_step=6, fault_attempts=1))
    row = working.ends(run)
    run.completes()
    assert row.attempt == 2
    assert "device-side assert" in run.state.warnings[0].message


@pytest.mark.parametrize(
    ("fault", "words", "way_out"),
    [("memory", "Memory ran out: tried to allocate 20 GiB", "lower resolution"), ("bug", "ZeroDivisionError", "log")],
)
def test_what_would_only_happen_again_fails_at_once(working: Studio, fault: str, words: str, way_out: str) -> None:
    run = working.queue(toy=Toy(fault=fault, fault_step=5))
    row = working.ends(run)
    run.checks_out()
    assert (row.status, row.attempt) == ("failed", 1)
    assert words in row.reason
    assert way_out in run.state.hint
    assert [event.message for event in run.events if isinstance(event, Failed)] == [row.reason]
    assert "Traceback" in run.run_dir.log.read_text()
    assert not is_alive(run.child_pid)
