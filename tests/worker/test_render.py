"""Render runs: a checkpoint's prompts at several strengths."""

from pathlib import Path

import pytest
from PIL import Image

from app.contract.events import SampleDrawn
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from worker.errors import BadSpec, Interrupted, ModelMissing
from worker.render import render
from worker.train import train

STRENGTHS = (-1.0, 0.0, 0.5, 1.0)


def shown(path: Path) -> list[int]:
    """The bytes of a picture."""
    with Image.open(path) as image:
        return list(image.tobytes())


def apart(first: list[int], second: list[int]) -> float:
    """Mean difference of two pictures, of 255."""
    return sum(abs(one - other) for one, other in zip(first, second, strict=True)) / len(first)


def test_strength_zero_is_the_base_and_one_is_what_training_drew(
    trained: tuple[RunDir, TrainSpec], tmp_path: Path
) -> None:
    source, spec = trained
    sweep = tiny.render_spec(spec, source, 8, STRENGTHS)
    run_dir = tiny.make_run(tmp_path / "sweep", sweep, [])
    render(tiny.context_of(run_dir, sweep))
    drawn = [event for event in tiny.events_of(run_dir, "sample") if isinstance(event, SampleDrawn)]
    assert [(event.strength, event.prompt_index) for event in drawn] == [(s, i) for s in STRENGTHS for i in (0, 1)]
    for index, prompt in enumerate(spec.sampling.prompts):
        at = {strength: shown(run_dir.sample(8, index, prompt.seed, strength)) for strength in STRENGTHS}
        base, trained_one = (shown(source.sample(step, index, prompt.seed, 1.0)) for step in (0, 8))
        assert at[0.0] == base
        assert apart(at[1.0], trained_one) < apart(trained_one, base) / 10
        assert 0 < apart(at[0.5], base) < apart(at[1.0], base)
        assert apart(at[-1.0], at[1.0]) > apart(at[1.0], base)


def test_a_lora_without_text_encoder_layers_is_swept_too(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(base, optimization__steps=4, optimization__warmup_steps=0)
    source = tiny.new_run(tmp_path / "source", spec)
    train(tiny.context_of(source, spec))
    sweep = tiny.render_spec(spec, source, 4, (0.0, 1.0))
    run_dir = tiny.make_run(tmp_path / "sweep", sweep, [])
    render(tiny.context_of(run_dir, sweep))
    zero, one = (shown(run_dir.sample(4, 0, 1, strength)) for strength in (0.0, 1.0))
    base_one, trained_one = (shown(source.sample(step, 0, 1, 1.0)) for step in (0, 4))
    assert zero == base_one
    assert apart(one, trained_one) < apart(trained_one, base_one) / 10


def test_another_attempt_draws_only_what_is_missing(trained: tuple[RunDir, TrainSpec], tmp_path: Path) -> None:
    source, spec = trained
    sweep = tiny.render_spec(spec, source, 4, (0.0, 1.0))
    run_dir = tiny.make_run(tmp_path / "sweep", sweep, [])
    second = run_dir.sample(4, 1, 2, 0.0)
    with pytest.raises(Interrupted):
        render(tiny.context_of(run_dir, sweep, wants_interrupt=second.is_file))
    render(tiny.context_of(run_dir, sweep, attempt=2))
    drawn = [event for event in tiny.events_of(run_dir, "sample") if isinstance(event, SampleDrawn)]
    assert [(event.strength, event.prompt_index) for event in drawn] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_lora_that_is_gone_or_changed_is_refused(trained: tuple[RunDir, TrainSpec], tmp_path: Path) -> None:
    source, spec = trained
    sweep = tiny.render_spec(spec, source, 8, (1.0,))
    gone = sweep.model_copy(update={"lora_path": str(tmp_path / "gone.safetensors")})
    changed = sweep.model_copy(update={"lora_sha256": "0" * 64})
    for number, (bad, reason) in enumerate(((gone, "is gone"), (changed, "its content changed"))):
        with pytest.raises(ModelMissing, match=reason):
            render(tiny.context_of(tiny.make_run(tmp_path / str(number), bad, []), bad))


def test_a_lora_of_another_family_or_kind_of_run_is_refused(
    trained: tuple[RunDir, TrainSpec], bases: dict[str, BaseModelRef], tmp_path: Path
) -> None:
    source, spec = trained
    other = next(base for family, base in bases.items() if family != spec.base.family)
    sweep = tiny.render_spec(spec, source, 8, (1.0,)).model_copy(update={"base": other})
    with pytest.raises(BadSpec, match=f"is for {spec.base.family}, the base model {other.name} is {other.family}"):
        render(tiny.context_of(tiny.make_run(tmp_path / "a", sweep, []), sweep))
    with pytest.raises(BadSpec, match="kind is train"):
        render(tiny.context_of(source, spec))
    with pytest.raises(BadSpec, match="kind is render"):
        train(tiny.context_of(tiny.make_run(tmp_path / "b", sweep, []), sweep))
