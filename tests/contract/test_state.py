"""The fold: what is known of a run after its events."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.contract.events import (
    AnyEvent,
    CheckpointSaved,
    Claimed,
    Ended,
    EventLog,
    Failed,
    Metric,
    PhaseChanged,
    Progress,
    Queued,
    Resumed,
    SampleDrawn,
    Warned,
)
from app.contract.state import RunState, fold, read_state

START = datetime(2026, 1, 1, tzinfo=UTC)


def stamped(*events: AnyEvent) -> list[AnyEvent]:
    """Give events their seq, a minute apart, and the attempt that each `claimed` begins."""
    attempt, result = 0, []
    for seq, event in enumerate(events, start=1):
        attempt += isinstance(event, Claimed)
        at = START + timedelta(minutes=seq)
        result.append(event.model_copy(update={"seq": seq, "at": at, "attempt": attempt}))
    return result


def progress(step: int, *losses: float) -> Progress:
    """Progress up to a step."""
    return Progress(step=step, steps=100, losses=losses, learning_rate=1e-4, images_per_s=2, eta_s=60)


def sample(step: int, strength: float = 1.0, path: str = "a.png") -> SampleDrawn:
    """A drawn sample."""
    return SampleDrawn(step=step, prompt_index=0, prompt="a cat", seed=1, strength=strength, path=path)


def saved(step: int, sha256: str = "0") -> CheckpointSaved:
    """A checkpoint."""
    return CheckpointSaved(step=step, path=f"{step}", size_bytes=1, sha256=sha256)


CLAIM = Claimed(worker="w", pid=1)


def test_nothing_has_happened() -> None:
    assert fold([]) == RunState()
    assert not fold([]).is_over


def test_a_run_from_queue_to_end() -> None:
    state = fold(
        stamped(
            Queued(),
            CLAIM,
            PhaseChanged(phase="caching", done=3, total=9),
            sample(0),
            progress(2, 0.5, 0.4),
            progress(3, 0.3),
            saved(3),
            Ended(outcome="completed", reason="r", hint="h"),
        )
    )
    assert (state.status, state.outcome, state.reason, state.hint) == ("completed", "completed", "r", "h")
    assert state.is_over
    assert state.losses == ((1, 0.5), (2, 0.4), (3, 0.3))
    assert (state.step, state.steps, state.learning_rate, state.images_per_s) == (3, 100, 1e-4, 2)
    assert [each.step for each in state.samples] == [0]
    assert [each.step for each in state.checkpoints] == [3]
    assert (state.seq, state.attempt, state.phase, state.eta_s) == (8, 1, "", None)
    assert state.queued_at == START + timedelta(minutes=1)
    assert state.claimed_at == START + timedelta(minutes=2)
    assert state.last_at == START + timedelta(minutes=8)


def test_phases_are_shown_as_they_come() -> None:
    state = fold(stamped(Queued(), CLAIM, PhaseChanged(phase="caching", done=3, total=9)))
    assert (state.status, state.phase, state.phase_done, state.phase_total) == ("running", "caching", 3, 9)
    state = fold(stamped(Queued(), CLAIM, PhaseChanged(phase="caching"), progress(1, 0.5)))
    assert (state.phase, state.eta_s) == ("training", 60)


def test_what_was_told_after_the_checkpoint_no_longer_holds() -> None:
    before = stamped(
        Queued(),
        CLAIM,
        progress(4, 0.4, 0.3, 0.2, 0.1),
        sample(2),
        sample(4),
        saved(2),
        saved(4),
        Metric(step=2, name="m", value=2),
        Metric(step=4, name="m", value=4),
    )
    assert [step for step, _ in fold(before).losses] == [1, 2, 3, 4]
    state = fold([*before, *stamped(Warned(message="died"), Queued(), CLAIM, Resumed(from_step=2))])
    assert [step for step, _ in state.losses] == [1, 2]
    assert [each.step for each in state.samples] == [2]
    assert [each.step for each in state.checkpoints] == [2]
    assert [each.step for each in state.metrics] == [2]
    assert (state.step, state.status, state.eta_s) == (2, "running", None)
    assert [each.message for each in state.warnings] == ["died"]
    again = fold([*before, *stamped(CLAIM, Resumed(from_step=2), progress(3, 9.0))])
    assert again.losses == ((1, 0.4), (2, 0.3), (3, 9.0))


def test_told_again_replaces() -> None:
    state = fold(stamped(sample(2, path="old.png"), saved(2, "old"), sample(2, path="new.png"), saved(2, "new")))
    assert [each.path for each in state.samples] == ["new.png"]
    assert [each.sha256 for each in state.checkpoints] == ["new"]


def test_samples_differ_by_strength_and_stand_in_order() -> None:
    state = fold(stamped(sample(5, 1.2), sample(5, -0.5), sample(0)))
    assert [(each.step, each.strength) for each in state.samples] == [(0, 1.0), (5, -0.5), (5, 1.2)]


def test_an_error_lasts_until_the_next_attempt() -> None:
    events = [Queued(), CLAIM, Failed(message="e")]
    error = fold(stamped(*events)).error
    assert error is not None
    assert error.message == "e"
    assert fold(stamped(*events, Queued(), CLAIM)).error is None


def test_queued_again_keeps_its_first_time() -> None:
    state = fold(stamped(Queued(), CLAIM, progress(1, 0.5), Queued(reason="closed")))
    assert (state.status, state.phase, state.eta_s) == ("queued", "", None)
    assert state.queued_at == START + timedelta(minutes=1)


def test_a_file_is_folded_anew_whenever_it_grew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_state(path) == RunState()
    log = EventLog(path, 1)
    log.append(Queued())
    assert read_state(path).status == "queued"
    log.append(CLAIM)
    assert read_state(path).status == "running"
    assert read_state(path) is read_state(path)
