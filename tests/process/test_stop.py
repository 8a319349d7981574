"""A person stops a run: it saves first, and is ended when it does not listen."""

from tests.process.conftest import Studio, claims, is_alive
from tests.process.toy_trainer import Toy, weights_after


def test_a_stopped_run_saves_where_it_is(working: Studio) -> None:
    run = working.queue(steps=1000, every=1000, toy=Toy(step_s=0.02))
    run.reaches(5)
    run.run_dir.stop.touch()
    row = working.ends(run)
    run.checks_out()
    assert row.status == run.state.outcome == "stopped"
    (saved,) = run.state.checkpoints
    assert saved.step == run.state.step >= 5
    assert run.run_dir.lora(saved.step).read_text() == weights_after(saved.step)


def test_a_run_that_does_not_listen_is_ended(working: Studio) -> None:
    run = working.queue(steps=100_000, every=100_000, toy=Toy(step_s=0.02, fault="deaf"))
    run.reaches(1)
    run.run_dir.stop.touch()
    row = working.ends(run)
    run.checks_out()
    assert row.status == "stopped"
    assert "did not react" in row.reason
    assert not is_alive(run.child_pid)


def test_a_run_stopped_in_the_queue_never_starts(working: Studio) -> None:
    before = working.queue(steps=1000, every=1000, toy=Toy(step_s=0.02))
    run, next_run = working.queue(), working.queue()
    run.run_dir.stop.touch()
    before.run_dir.stop.touch()
    assert working.ends(run).status == "stopped"
    assert run.state.step == 0
    assert not (run.run_dir.path / "toy.pid").exists()
    working.ends(next_run)
    next_run.completes()


def test_a_run_that_dies_after_it_was_stopped_does_not_start_again(working: Studio) -> None:
    run = working.queue(toy=Toy(step_s=0.1, fault="hang", fault_step=2))
    run.reaches(2)
    run.run_dir.stop.touch()
    assert working.ends(run).status == "stopped"
    assert len(claims(run)) == 1
