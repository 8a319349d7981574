"""The running mean: what it is, and that it is what a run draws and saves."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from app.contract.families import FamilyKey
from app.contract.spec import BaseModelRef
from tests.worker import tiny
from tests.worker.tiny import equal
from worker.ema import Mean
from worker.errors import Interrupted
from worker.train import train


def test_the_mean_follows_and_is_shown_for_a_while() -> None:
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    mean = Mean({"w": weight}, decay=0.5)
    for step, value in enumerate((1.0, 2.0, 3.0), start=1):
        with torch.no_grad():
            weight.fill_(value)
        mean.follow(step)
    expected = 0.0
    for step, value in enumerate((1.0, 2.0, 3.0), start=1):
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * value
    assert mean.values["w"].item() == pytest.approx(expected)
    with mean.shown():
        assert weight.item() == pytest.approx(expected)
    assert weight.item() == 3.0


def test_a_run_saves_its_mean_and_resumes_exactly(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    spec = tiny.make_spec(bases["sd15"], optimization__ema_decay=0.9)
    unbroken, broken = tiny.new_run(tmp_path / "unbroken", spec), tiny.new_run(tmp_path / "broken", spec)
    train(tiny.context_of(unbroken, spec))
    with pytest.raises(Interrupted):
        train(tiny.context_of(broken, spec, wants_interrupt=tiny.has_step(broken, 4)))
    train(tiny.context_of(broken, spec, attempt=2))
    state = tiny.state_of(unbroken, 8)
    assert equal(tiny.state_of(broken, 8), state)
    file = load_file(unbroken.lora(8))
    for name in (name for name in file if not name.endswith("alpha")):
        assert torch.equal(file[name], state[f"weights/mean.{name}"].half())
    assert any(not torch.equal(state[f"weights/{name}"].half(), file[name]) for name in file if "lora_up" in name)
    assert tiny.pixels(broken, 8, 0, 1) == tiny.pixels(unbroken, 8, 0, 1)
