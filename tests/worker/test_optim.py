"""The learning rate at every step, and what the optimizer trains at which rate."""

from math import cos, pi

import pytest
import torch

from app.contract.spec import BaseModelRef, Network, Optimization
from worker.families import load
from worker.lora import attach
from worker.optim import is_finite, is_overflowing, make_optimizer, set_rates, share_of_peak


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
    lora = attach(family, Network(rank=2, alpha=1), trains_text=True, seed=1)
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
