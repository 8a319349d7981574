"""Several processes on one run: the same order and, within rounding, the same result as one process alone."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from app.contract.events import read_events
from app.contract.families import FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import read_state
from tests.worker import tiny
from worker.errors import BadSpec
from worker.run import ROOT
from worker.team import Team
from worker.train import train


@pytest.fixture
def spec(bases: dict[FamilyKey, BaseModelRef]) -> TrainSpec:
    """Updates of two batches each, which two processes share."""
    return tiny.make_spec(
        bases["sd15"],
        optimization__accumulation=2,
        optimization__steps=4,
        sampling__every_steps=4,
        saving__every_steps=2,
        data__shuffles_tags=True,
        data__mirrors=True,
        validation={"every_steps": 4, "timesteps": 2},
    )


def make_run(folder: Path, spec: TrainSpec) -> RunDir:
    """A run with a held-out picture."""
    rows = tiny.make_pictures(folder / "pictures", spec)
    return tiny.make_run(folder / "run", spec, [*rows[:-1], rows[-1].model_copy(update={"split": "held-out"})])


def launch(run_dir: RunDir, processes: int = 2) -> "subprocess.Popen[str]":
    """Start the processes as a person does, with accelerate's own launcher; without a GPU they share the CPU."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
        *("--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no"),
        *("--dynamo_backend", "no", "--main_process_port", str(port), "-m", "worker.distributed", str(run_dir.path)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_what_one_does(spec: TrainSpec, tmp_path: Path) -> None:
    alone, together = make_run(tmp_path / "alone", spec), make_run(tmp_path / "together", spec)
    train(tiny.context_of(alone, spec))
    said, _ = launch(together).communicate(timeout=240)
    state = read_state(together.events)
    assert state.outcome == "completed", said
    assert "Process 2 of 2 is here." in said
    assert tiny.losses_of(together) == pytest.approx(tiny.losses_of(alone), rel=1e-3)
    ours, theirs = load_file(together.lora(4)), load_file(alone.lora(4))
    assert ours.keys() == theirs.keys()
    # Adam's first steps have the size of the rate whatever the gradient's, so rounding shows.
    assert all(torch.allclose(ours[name].float(), theirs[name].float(), atol=2e-3) for name in theirs)
    seqs = [event.seq for event in read_events(together.events)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert [saved.step for saved in state.checkpoints] == [2, 4]
    assert len(state.samples) == 4
    assert {metric.step for metric in state.metrics if metric.name == "held_out_loss"} == {0, 4}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_stop_reaches_every_process(spec: TrainSpec, tmp_path: Path) -> None:
    spec = tiny.with_changes(spec, optimization__steps=100_000, sampling__prompts=[])
    run_dir = make_run(tmp_path, spec)
    processes = launch(run_dir)
    while processes.poll() is None and not run_dir.checkpoint(2).exists():
        with suppress(subprocess.TimeoutExpired):
            processes.wait(0.2)
    run_dir.stop.touch()
    said, _ = processes.communicate(timeout=120)
    state = read_state(run_dir.events)
    assert (state.outcome, processes.returncode) == ("stopped", 0), said
    assert state.checkpoints[-1].step == state.losses[-1][0]


def test_batches_that_cannot_be_shared_are_refused() -> None:
    Team().check_share(1)
    Team(rank=1, size=2).check_share(4)
    with pytest.raises(BadSpec, match=r"3 batches .* which 2 processes cannot share"):
        Team(rank=0, size=2).check_share(3)
