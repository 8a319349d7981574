"""What is told of training: losses in order, other numbers now and then, and an end when they are no numbers."""

from math import inf, nan
from pathlib import Path

import pytest
import torch

from app.contract.events import EventLog, Metric, Progress, read_events
from worker.errors import NonFiniteLoss
from worker.progress import Reporter


def reporter_of(folder: Path, *, checks_gradients: bool = True) -> Reporter:
    """A reporter of ten steps; the pictures of a step are named by it."""
    log = EventLog(folder / "events.jsonl", 1)
    return Reporter(log, 10, torch.device("cpu"), lambda step: [f"{step}.png"], checks_gradients=checks_gradients)


def record(reporter: Reporter, losses: list[float], norms: list[float]) -> None:
    """Record steps from the first on."""
    for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), start=1):
        reporter.record(step, torch.tensor(loss), torch.tensor(norm), 2, 1e-3)


def test_losses_and_numbers_are_told(tmp_path: Path) -> None:
    reporter = reporter_of(tmp_path)
    record(reporter, [1.0, 2.0, 3.0], [0.1, 0.2, 0.3])
    reporter.flush()
    reporter.measure()
    events = read_events(tmp_path / "events.jsonl")
    progress = [event for event in events if isinstance(event, Progress)]
    assert [loss for event in progress for loss in event.losses] == [1.0, 2.0, 3.0]
    told = {event.name: event.value for event in events if isinstance(event, Metric)}
    assert told.keys() == {"grad_norm", "learning_rate", "images_per_s"}
    assert (told["grad_norm"], told["learning_rate"]) == (pytest.approx(0.3), 1e-3)


@pytest.mark.parametrize(
    ("losses", "norms", "message", "told"),
    [
        ([1.0, nan, 1.0], [0.1, nan, 0.1], r"The loss of step 2 is not a number; its pictures: 1\.png", [1.0]),
        ([1.0, 2.0, nan], [0.1, inf, nan], r"The gradient of step 2 is not a number; its pictures: 1\.png", [1.0, 2.0]),
    ],
)
def test_the_first_that_is_no_number_is_named(
    tmp_path: Path, losses: list[float], norms: list[float], message: str, told: list[float]
) -> None:
    reporter = reporter_of(tmp_path)

    def tell() -> None:
        record(reporter, losses, norms)
        reporter.flush()

    with pytest.raises(NonFiniteLoss, match=message) as error:
        tell()
    assert "Lower the learning rate, now 0.001" in error.value.hint
    events = read_events(tmp_path / "events.jsonl")
    assert [loss for event in events if isinstance(event, Progress) for loss in event.losses] == told


def test_gradients_that_overflow_fp16_are_the_scalers_business(tmp_path: Path) -> None:
    reporter = reporter_of(tmp_path, checks_gradients=False)
    record(reporter, [1.0, 2.0], [inf, 0.1])
    reporter.flush()
