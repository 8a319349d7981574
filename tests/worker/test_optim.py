"""The learning rate at every step, and what the optimizer trains at which rate."""

from math import cos, pi
from pathlib import Path
from typing import get_args

import pytest
import pytorch_optimizer
import torch
from safetensors.torch import load_file

from app.contract.events import Resumed, Warned
from app.contract.families import FamilyKey
from app.contract.optimizers import NEEDS_NVIDIA, missing_package
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, Network, Optimization, Optimizer
from tests.worker import tiny
from tests.worker.tiny import equal
from worker.errors import BadSpec, Interrupted
from worker.families import load
from worker.lora import attach
from worker.optim import (
    MAKERS,
    averaged,
    check_optimizer,
    is_finite,
    is_overflowing,
    make_optimizer,
    optimizer_name,
    set_rates,
    share_of_peak,
)
from worker.train import train


def test_warmup_rises_and_never_is_zero() -> None:
    settings = Optimization(steps=10, warmup_steps=4, schedule="constant")
    shares = [share_of_peak(settings, step) for step in range(10)]
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


def test_cosine_falls_from_the_peak_towards_zero() -> None:
    settings = Optimization(steps=10, warmup_steps=2, schedule="cosine")
    shares = [share_of_peak(settings, step) for step in range(2, 10)]
    assert shares == pytest.approx([(1 + cos(pi * place / 8)) / 2 for place in range(8)])


def test_warmup_longer_than_the_run_still_rises() -> None:
    settings = Optimization(steps=3, warmup_steps=9, schedule="cosine")
    assert [share_of_peak(settings, step) for step in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_text_encoders_have_a_rate_of_their_own(base: BaseModelRef) -> None:
    family = load(base, torch.float32)
    lora = attach(family, Network(rank=2, alpha=1), trains_text=(True, False), seed=1)
    settings = Optimization(learning_rate=1e-3, text_encoder_learning_rate=1e-5, warmup_steps=0, schedule="constant")
    optimizer = make_optimizer(lora, settings)
    assert set_rates(optimizer, settings, 0) == 1e-3
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-5]
    assert [len(group["params"]) for group in optimizer.param_groups] == [
        len(lora.parameters(is_text=False)),
        len(lora.parameters(is_text=True)),
    ]
    assert is_finite(lora)
    with torch.no_grad():
        lora.modules[-1].up[0, 0] = float("inf")
    assert not is_finite(lora)


def test_gradients_that_overflow_at_every_scale_are_noticed() -> None:
    """Else each step would be skipped, and a LoRA that learnt nothing would count as trained."""
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cpu")

    def go(factor: float, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            scaler.scale((weight * factor).sum()).backward()
            scaler.step(optimizer)
            scaler.update()

    assert not is_overflowing(None)
    go(1e36, 10)
    go(1.0, 1)
    assert not is_overflowing(scaler)
    before = weight.detach().clone()
    go(float("inf"), 40)
    assert torch.equal(weight, before)
    assert is_overflowing(scaler)


def shares(**settings: object) -> list[float]:
    """The share of the peak at every step of a run of ten."""
    whole = Optimization.model_validate({"steps": 10, **settings})
    return [share_of_peak(whole, step) for step in range(10)]


def test_schedules_fall_as_they_are_named() -> None:
    assert shares(schedule="linear") == pytest.approx([1 - place / 10 for place in range(10)])
    assert shares(schedule="rex") == pytest.approx([(1 - x / 10) / (1 - x / 20) for x in range(10)])
    half = [(1 + cos(pi * place / 5)) / 2 for place in range(5)]
    assert shares(schedule="cosine-restarts", schedule_cycles=2) == pytest.approx(half * 2)
    assert shares(schedule="constant", warmup_steps=1) == pytest.approx([0.5, *[1] * 9])


def test_every_encoder_and_block_has_its_rate(bases: dict[FamilyKey, BaseModelRef]) -> None:
    network = Network.model_validate(
        {"rank": 2, "alpha": 1, "blocks": [{"prefix": "mid_block", "learning_rate_scale": 0.1}]}
    )
    settings = Optimization(
        learning_rate=1e-3, text_encoder_learning_rate=2e-5, text_encoder_2_learning_rate=3e-5, schedule="constant"
    )
    lora = attach(load(bases["sdxl"], torch.float32), network, trains_text=(True, True), seed=1)
    optimizer = make_optimizer(lora, settings)
    set_rates(optimizer, settings, 5)
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    for module in lora.modules:
        expected = {0: 2e-5, 1: 3e-5, None: 1e-4 if "middle_block" in module.file_name else 1e-3}[module.encoder]
        assert [rates[id(weight)] for weight in module.weights] == pytest.approx([expected] * 2)


OPTIMIZERS: list[Optimizer] = [
    "adafactor", "lion", "prodigy", "adamw-schedule-free", "prodigy-schedule-free", "came"
]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_equals_unbroken_with_every_optimizer(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path, optimizer: Optimizer
) -> None:
    """Twice in a row, and on to a larger total."""
    if optimizer == "prodigy-schedule-free":
        pytest.importorskip("prodigyplus")
    spec = tiny.make_spec(
        bases["sd15"],
        sampling__every_steps=3,
        saving__every_steps=2,
        optimization__optimizer=optimizer,
        optimization__schedule="constant",
        optimization__learning_rate=1.0 if "prodigy" in optimizer else 1e-3,
    )
    unbroken = tiny.new_run(tmp_path / "unbroken", spec)
    train(tiny.context_of(unbroken, spec))
    shorter = tiny.with_changes(spec, optimization__steps=6)
    broken = tiny.new_run(tmp_path / "broken", shorter)
    for attempt, step in enumerate((2, 4), start=1):
        with pytest.raises(Interrupted):
            train(tiny.context_of(broken, shorter, attempt=attempt, wants_interrupt=tiny.has_step(broken, step)))
    train(tiny.context_of(broken, shorter, attempt=3))
    broken.spec.write_text(spec.model_dump_json())
    train(tiny.context_of(broken, spec, attempt=4))
    resumed = [event.from_step for event in tiny.events_of(broken, "resumed") if isinstance(event, Resumed)]
    assert resumed == [2, 4, 6]
    assert equal(tiny.state_of(broken, 8), tiny.state_of(unbroken, 8))
    assert equal(load_file(broken.lora(8)), load_file(unbroken.lora(8)))
    assert tiny.pixels(broken, 8, 0, 1) == tiny.pixels(unbroken, 8, 0, 1)
    assert tiny.pixels(unbroken, 8, 0, 1) != tiny.pixels(unbroken, 0, 0, 1)


def test_a_schedule_free_run_saves_what_it_stands_for(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    """The file holds the averaged weights, the state those that are trained."""
    spec = tiny.make_spec(bases["sd15"], sampling__prompts=[], optimization__optimizer="adamw-schedule-free")
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    file, state = load_file(run_dir.lora(8)), tiny.state_of(run_dir, 8)
    ups = [name for name in file if name.endswith("lora_up.weight")]
    assert any(not torch.equal(file[name], state[f"weights/{name}"].half()) for name in ups)


def test_showing_the_average_puts_back_every_bit() -> None:
    weight = torch.nn.Parameter(torch.randn(50))
    optimizer = pytorch_optimizer.ScheduleFreeAdamW([weight], lr=0.1)
    for _ in range(5):
        (weight.square().sum()).backward()
        optimizer.step()
    before = weight.detach().clone()
    with averaged(optimizer):
        assert not torch.equal(weight, before)
    assert torch.equal(weight, before)


def run_of(base: BaseModelRef, folder: Path, **changes: object) -> list[Warned]:
    """Train three steps and return what was warned of."""
    spec = tiny.make_spec(base, sampling__prompts=[], optimization__steps=3, **changes)
    run_dir = tiny.new_run(folder, spec)
    train(tiny.context_of(run_dir, spec))
    return [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]


REFUSED: dict[str, dict[str, object]] = {
    "finds one rate for all weights": {
        "optimization__optimizer": "prodigy", "optimization__text_encoder_learning_rate": 0.5
    },
    "keeps a mean of the weights itself": {
        "optimization__optimizer": "adamw-schedule-free", "optimization__ema_decay": 0.9
    },
    "leave nothing to train at": {"optimization__min_timestep": 500, "optimization__max_timestep": 400},
    "learning rate of 0": {"network__blocks": [{"prefix": p, "learning_rate_scale": 0} for p in
                                               ("down_blocks", "mid_block", "up_blocks")]},
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_carried_out_is_refused_before_training(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path, reason: str
) -> None:
    with pytest.raises(BadSpec, match=reason) as told:
        run_of(bases["sd15"], tmp_path, **REFUSED[reason])
    assert told.value.hint


def test_eight_bit_needs_its_library_and_a_gpu(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine may have both")
    with pytest.raises(BadSpec, match=r"adamw-8bit needs (the package bitsandbytes|an NVIDIA GPU)") as told:
        run_of(bases["sd15"], tmp_path, optimization__optimizer="adamw-8bit")
    assert "adamw" in told.value.hint
    # Not even the base was looked at.
    assert not tiny.events_of(RunDir(tmp_path / "run"), "phase")


def test_a_library_that_is_there_but_does_not_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a system that it has no compiled parts for."""
    (tmp_path / "bitsandbytes.py").write_text("raise RuntimeError('no compiled parts for this machine')")
    monkeypatch.syspath_prepend(tmp_path)
    check_optimizer("adamw-8bit", torch.device("cuda"))
    with pytest.raises(BadSpec, match="an NVIDIA GPU"):
        check_optimizer("adamw-8bit", torch.device("cpu"))
    with pytest.raises(BadSpec, match="cannot be loaded: no compiled parts") as told:
        MAKERS["adamw-8bit"]([], Optimization())
    assert told.value.hint.endswith("choose adamw.")


def test_every_optimizer_of_the_settings_can_be_made_or_says_what_it_needs(
    bases: dict[FamilyKey, BaseModelRef],
) -> None:
    lora = attach(load(bases["sd15"], torch.float32), Network(rank=2, alpha=1), trains_text=(False,), seed=1)
    for key in get_args(Optimizer):
        if missing_package(key) or key in NEEDS_NVIDIA:
            with pytest.raises(BadSpec, match=f"{key} needs"):
                check_optimizer(key, torch.device("cpu"))
            continue
        check_optimizer(key, torch.device("cpu"))
        made = make_optimizer(lora, Optimization.model_validate({"optimizer": key}))
        assert f"{type(made).__name__}" == optimizer_name(key).rpartition(".")[2]


def test_a_small_rate_for_prodigy_is_said_to_be_odd(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    (warning,) = run_of(bases["sd15"], tmp_path, optimization__optimizer="prodigy", optimization__learning_rate=1e-4)
    assert "A learning rate of 1 is meant for it" in warning.message
