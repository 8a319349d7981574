"""Steps per second of a run with everything on by default, against the plainest loop over the same tiny base."""

import time
from pathlib import Path

import pytest
import torch

from app.contract.events import Progress
from app.contract.families import FamilyKey
from tests.worker import tiny
from worker.families import load
from worker.lora import attach
from worker.train import train

STEPS = 60
LEAST_SHARE = 0.5
"""Of the plain loop's speed. The base is so small that what surrounds the model shows as it never does in earnest."""


def plain_loop_s(base: tiny.BaseModelRef) -> float:
    """Seconds of a step that does nothing but forward, backward and AdamW."""
    family = load(base, torch.float32)
    lora = attach(family, tiny.make_spec(base).network, trains_text=(False, False), seed=1)
    weights = lora.parameters(is_text=False)
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    latents, noise = torch.randn(2, 2, 4, 8, 8)
    places = [tiny.make_place(64, 64)] * 2
    with torch.no_grad():
        texts = family.encode_texts(["a", "b"])
    since = 0.0
    for step in range(STEPS + 10):
        if step == 10:
            since = time.perf_counter()
        timesteps = torch.randint(0, 1000, (2,))
        noisy = family.objective.noisy(latents, noise, timesteps)
        (family.predict(noisy, timesteps, texts, places) - noise).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - since) / STEPS


def run_s(base: tiny.BaseModelRef, folder: Path) -> float:
    """Seconds of a step of a run with the defaults of the settings, from its own report."""
    spec = tiny.make_spec(
        base, optimization={"steps": STEPS + 10, "gradient_checkpointing": False}, sampling={}, saving={}, network={}
    )
    run_dir = tiny.new_run(folder, spec, ((64, 64),) * 8)
    train(tiny.context_of(run_dir, spec))
    events = [event for event in tiny.events_of(run_dir, "progress") if isinstance(event, Progress)]
    first, last = events[0], events[-1]
    return (last.at - first.at).total_seconds() / (last.step - first.step)


@pytest.mark.bench
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("family", sorted(tiny.WRITERS))
def test_a_run_is_not_far_from_a_plain_loop(tmp_path: Path, family: FamilyKey) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tiny.WRITERS[family](tmp_path / "base")
        base = tiny.base_ref(family, tmp_path / "base")
        plain, whole = plain_loop_s(base), run_s(base, tmp_path)
    finally:
        torch.set_num_threads(threads)
    print(f"\n{family}: plain loop {1 / plain:.1f} steps/s, run {1 / whole:.1f} steps/s, share {plain / whole:.2f}")
    assert plain / whole > LEAST_SHARE
