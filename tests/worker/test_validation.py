"""Held-out losses: fixed, cheap, beside their twins, and without a trace in training."""

import hashlib
from pathlib import Path

import pytest
import torch

from app.contract.buckets import fit
from app.contract.events import Metric
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from tests.worker.tiny import equal
from worker.cache import pixels_of
from worker.errors import Interrupted
from worker.families import load
from worker.train import train

NAMES = ("held_out_loss", "held_out_ratio", "train_loss_fixed", "train_ratio_fixed")


def make_run(folder: Path, spec: TrainSpec, held_out: int) -> RunDir:
    """A run whose last pictures are held out."""
    rows = tiny.make_pictures(folder / "pictures", spec)
    split = [row.model_copy(update={"split": "held-out"}) for row in rows[len(rows) - held_out :]]
    return tiny.make_run(folder / "run", spec, [*rows[: len(rows) - held_out], *split])


def metrics_of(run_dir: RunDir, name: str) -> dict[int, float]:
    """A metric's values by step."""
    found = [event for event in tiny.events_of(run_dir, "metric") if isinstance(event, Metric)]
    return {event.step: event.value for event in found if event.name == name}


@pytest.fixture
def spec(base: BaseModelRef) -> TrainSpec:
    """Measured at every fourth step, two timesteps each."""
    return tiny.make_spec(base, sampling__prompts=[], validation__every_steps=4, validation__timesteps=2)


def test_both_losses_are_told_as_shares_of_their_start(spec: TrainSpec, tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, spec, 2)
    train(tiny.context_of(run_dir, spec))
    found = {name: metrics_of(run_dir, name) for name in NAMES}
    assert all(list(found[name]) == [0, 4, 8] for name in NAMES)
    for loss, ratio in (NAMES[:2], NAMES[2:]):
        assert found[ratio] == {step: pytest.approx(value / found[loss][0]) for step, value in found[loss].items()}
        assert found[ratio][8] != 1.0


def test_without_held_out_pictures_nothing_is_measured(spec: TrainSpec, tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, spec, 0)
    train(tiny.context_of(run_dir, spec))
    assert not any(metrics_of(run_dir, name) for name in NAMES)


def test_measuring_leaves_no_trace_in_training(spec: TrainSpec, tmp_path: Path) -> None:
    measured, silent = make_run(tmp_path / "measured", spec, 2), make_run(tmp_path / "silent", spec, 2)
    train(tiny.context_of(measured, spec))
    train(tiny.context_of(silent, tiny.with_changes(spec, validation__every_steps=0)))
    assert equal(tiny.state_of(measured, 8), tiny.state_of(silent, 8))
    assert not metrics_of(silent, NAMES[0])


def test_a_resumed_run_measures_what_an_unbroken_one_does(spec: TrainSpec, tmp_path: Path) -> None:
    unbroken, broken = make_run(tmp_path / "unbroken", spec, 2), make_run(tmp_path / "broken", spec, 2)
    train(tiny.context_of(unbroken, spec))
    with pytest.raises(Interrupted):
        train(tiny.context_of(broken, spec, wants_interrupt=tiny.has_step(broken, 4)))
    train(tiny.context_of(broken, spec, attempt=2))
    for name in NAMES:
        assert metrics_of(broken, name) == metrics_of(unbroken, name)


def plain_loss(base: BaseModelRef, row: DatasetRow) -> float:
    """The base's loss on one picture at a third and two thirds of the schedule, in plain torch."""
    family = load(base, torch.float32)
    vae, signal = family.parts.vae, family.objective.signal
    seed = int.from_bytes(hashlib.sha256(f"held-out/{row.sha256}".encode()).digest()[:8], "big") >> 1
    losses = []
    with torch.no_grad():
        latent = vae.encode(pixels_of(row)).latent_dist.mean * vae.config.scaling_factor
        noise = torch.randn((2, *latent.shape[1:]), generator=torch.Generator().manual_seed(seed))
        texts = family.encode_texts([row.text])
        for number, step in enumerate((333, 666)):
            share = signal[step]
            noisy = share.sqrt() * latent + (1 - share).sqrt() * noise[number : number + 1]
            place = fit(row.size, (row.bucket,))
            answer = family.predict(noisy, torch.tensor([step]), texts, [place])
            losses.append((answer - noise[number]).square().mean())
    return float(torch.stack(losses).mean())


def test_the_loss_is_the_one_worked_out_by_hand(spec: TrainSpec, tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, tiny.with_changes(spec, optimization__steps=1), 1)
    train(tiny.context_of(run_dir, tiny.with_changes(spec, optimization__steps=1)))
    (held_out,) = [row for row in run_dir.read_dataset() if row.split == "held-out"]
    assert metrics_of(run_dir, "held_out_loss")[0] == pytest.approx(plain_loss(spec.base, held_out), rel=1e-4)
