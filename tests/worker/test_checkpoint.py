"""Checkpoints: resumed equals unbroken, and no damage goes unsaid."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from app.contract.events import Resumed, SampleDrawn, Warned, read_events
from app.contract.families import FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import fold
from tests.worker import tiny
from tests.worker.tiny import equal, pixels
from worker.errors import Interrupted
from worker.train import train

STEPS = 8


@pytest.mark.parametrize("questions", [14, 25], ids=["before the first save", "between saves"])
def test_resumed_equals_unbroken(trained: tuple[RunDir, TrainSpec], tmp_path: Path, questions: int) -> None:
    unbroken, spec = trained
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.after_questions(questions)))
    (broken_at,) = [step for step in range(1, STEPS) if step != 4 and run_dir.checkpoint(step).exists()]
    train(tiny.context_of(run_dir, spec, attempt=2))
    assert equal(tiny.state_of(run_dir, STEPS), tiny.state_of(unbroken, STEPS))
    assert equal(load_file(run_dir.lora(STEPS)), load_file(unbroken.lora(STEPS)))
    for index, prompt in enumerate(spec.sampling.prompts):
        assert pixels(run_dir, 8, index, prompt.seed) == pixels(unbroken, 8, index, prompt.seed)
    state = fold(read_events(run_dir.events))
    assert [loss for _, loss in state.losses] == tiny.losses_of(unbroken)
    assert [event.from_step for event in tiny.events_of(run_dir, "resumed") if isinstance(event, Resumed)] == [
        broken_at
    ]
    assert len(state.samples) == 6


def test_resuming_draws_the_samples_that_are_missing(trained: tuple[RunDir, TrainSpec], tmp_path: Path) -> None:
    unbroken, spec = trained
    run_dir = tiny.new_run(tmp_path, spec)
    second = run_dir.sample(4, 0, 1, 1.0)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=second.is_file))
    assert not run_dir.sample(4, 1, 2, 1.0).exists()
    train(tiny.context_of(run_dir, spec, attempt=2))
    drawn = [event for event in tiny.events_of(run_dir, "sample") if isinstance(event, SampleDrawn)]
    assert [(event.step, event.prompt_index) for event in drawn] == [(s, i) for s in (0, 4, 8) for i in (0, 1)]
    assert pixels(run_dir, 4, 1, 2) == pixels(unbroken, 4, 1, 2)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: list[tuple[str, Callable[[Path], None]]] = [
    ("state/weights.safetensors", flip),
    ("state/optimizer.safetensors", truncate),
    ("state/numbers.json", Path.unlink),
    ("lora.safetensors", flip),
    ("manifest.json", truncate),
]


@pytest.fixture(scope="module")
def short(bases: dict[FamilyKey, BaseModelRef]) -> TrainSpec:
    """Six steps with three checkpoints and no samples."""
    return tiny.make_spec(bases["sd15"], sampling__prompts=[], saving__every_steps=2, optimization__steps=6)


@pytest.fixture(scope="module")
def short_lora(short: TrainSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What an unbroken run of it ends with."""
    run_dir = tiny.new_run(tmp_path_factory.mktemp("short"), short)
    train(tiny.context_of(run_dir, short))
    return load_file(run_dir.lora(6))


@pytest.mark.parametrize(("name", "spoil"), FAULTS, ids=[f"{spoil.__name__} {name}" for name, spoil in FAULTS])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    short: TrainSpec,
    short_lora: dict[str, torch.Tensor],
    tmp_path: Path,
    name: str,
    spoil: Callable[[Path], None],
) -> None:
    spec = short
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.has_step(run_dir, 4)))
    spoil(run_dir.checkpoint(4) / name)
    train(tiny.context_of(run_dir, spec, attempt=2))
    (warning,) = [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]
    assert warning.message.startswith("The checkpoint of step 4 is not used: ")
    assert [event.from_step for event in tiny.events_of(run_dir, "resumed") if isinstance(event, Resumed)] == [2]
    assert equal(load_file(run_dir.lora(6)), short_lora)


def test_without_a_good_checkpoint_it_starts_again_and_says_so(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    spec = tiny.make_spec(bases["sd15"], sampling__prompts=[], optimization__steps=5)
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.has_step(run_dir, 4)))
    flip(run_dir.checkpoint(4) / "state" / "weights.safetensors")
    train(tiny.context_of(run_dir, spec, attempt=2))
    assert len(tiny.events_of(run_dir, "warning")) == 1
    state = fold(read_events(run_dir.events))
    assert [step for step, _ in state.losses] == [1, 2, 3, 4, 5]
    assert [event.from_step for event in tiny.events_of(run_dir, "resumed") if isinstance(event, Resumed)] == [0]


def test_resuming_under_other_circumstances_is_said(short: TrainSpec, tmp_path: Path) -> None:
    run_dir = tiny.new_run(tmp_path, short)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, short, wants_interrupt=tiny.has_step(run_dir, 4)))
    manifest = run_dir.checkpoint(4) / "manifest.json"
    said = json.loads(manifest.read_text())
    said["circumstances"] |= {"torch": "1.0"}
    manifest.write_text(json.dumps(said))
    train(tiny.context_of(run_dir, short, attempt=2))
    (warning,) = [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]
    assert warning.hint.startswith("torch 1.0 then, ")


def test_a_checkpoint_of_other_settings_is_not_used(short: TrainSpec, tmp_path: Path) -> None:
    run_dir = tiny.new_run(tmp_path, short)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, short, wants_interrupt=tiny.has_step(run_dir, 2)))
    other = short.model_copy(update={"network": short.network.model_copy(update={"rank": 2})})
    run_dir.spec.write_text(other.model_dump_json())
    train(tiny.context_of(run_dir, other, attempt=2))
    (warning,) = [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]
    assert "of other settings" in warning.message
    assert [event.from_step for event in tiny.events_of(run_dir, "resumed") if isinstance(event, Resumed)] == [0]


def test_a_checkpoint_whose_event_was_lost_is_told_again(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    spec = tiny.make_spec(bases["sd15"], sampling__prompts=[], optimization__steps=5)
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.has_step(run_dir, 4)))
    lines = run_dir.events.read_text().splitlines()
    run_dir.events.write_text("".join(f"{line}\n" for line in lines if '"checkpoint"' not in line))
    train(tiny.context_of(run_dir, spec, attempt=2))
    assert [saved.step for saved in fold(read_events(run_dir.events)).checkpoints] == [4, 5]


def test_old_resume_states_go_and_their_lora_files_stay(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    spec = tiny.make_spec(bases["sd15"], sampling__prompts=[], saving__every_steps=2, saving__keep_states=2)
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    kept = {step: (run_dir.checkpoint(step) / "state").exists() for step in (2, 4, 6, 8)}
    assert kept == {2: False, 4: False, 6: True, 8: True}
    assert all(run_dir.lora(step).is_file() for step in kept)


def test_a_damaged_checkpoint_takes_no_place_among_the_states_kept(short: TrainSpec, tmp_path: Path) -> None:
    """It lies beyond the steps that are trained again, until training has passed it."""
    spec = short.model_copy(update={"saving": short.saving.model_copy(update={"keep_states": 1})})
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.has_step(run_dir, 4)))
    flip(run_dir.checkpoint(4) / "state" / "weights.safetensors")

    def has_saved_again() -> bool:
        told = [event.type for event in read_events(run_dir.events)]
        return "resumed" in told and "checkpoint" in told[told.index("resumed") :]

    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, attempt=2, wants_interrupt=has_saved_again))
    train(tiny.context_of(run_dir, spec, attempt=3))
    assert [event.from_step for event in tiny.events_of(run_dir, "resumed") if isinstance(event, Resumed)] == [0, 2]


EVERYTHING: dict[str, dict[str, object]] = {
    "data": {
        "data__shuffles_tags": True, "data__tag_dropout": 0.3, "data__caption_dropout": 0.3, "data__mirrors": True,
        "data__lines": "any", "data__uses_wildcards": True, "data__max_chunks": 2, "data__clip_skip": 2,
        "optimization__accumulation": 2, "optimization__noise_offset": 0.1, "optimization__multires_noise": 0.3,
        "optimization__timestep_sampling": "logit-normal", "optimization__loss": "huber",
    },
    "network": {
        "network__conv_rank": 2, "network__uses_dora": True, "network__is_rank_stabilised": True,
        "network__dropout": 0.2,
        "network__blocks": [{"prefix": "mid_block", "rank": 2, "learning_rate_scale": 0.5}],
        "optimization__text_encoder_learning_rate": 1e-3, "optimization__text_encoder_stop_step": 3,
        "optimization__ema_decay": 0.9, "optimization__weighting": "debiased",
    },
    "storage": {
        "optimization__base_storage": "int8", "optimization__offloads_blocks": True,
        "optimization__gradient_checkpointing": True, "optimization__precision": "bf16", "network__dropout": 0.2,
    },
}  # fmt: skip


@pytest.mark.parametrize("settings", EVERYTHING)
def test_resumed_equals_unbroken_whatever_is_switched_on(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path, settings: str
) -> None:
    """Twice in a row, then on to a larger total."""
    more = {
        "optimization__schedule": "constant",
        "sampling__prompts": [],
        "saving__every_steps": 2,
        "optimization__steps": 6,
    }
    spec = tiny.make_spec(bases["sd15"], **more, **EVERYTHING[settings])
    unbroken = tiny.new_run(tmp_path / "unbroken", spec, tiny.SIZES[:3])
    train(tiny.context_of(unbroken, spec))
    shorter = tiny.with_changes(spec, optimization__steps=5)
    broken = tiny.new_run(tmp_path / "broken", shorter, tiny.SIZES[:3])
    for attempt, step in enumerate((2, 4), start=1):
        with pytest.raises(Interrupted):
            train(tiny.context_of(broken, shorter, attempt=attempt, wants_interrupt=tiny.has_step(broken, step)))
    train(tiny.context_of(broken, shorter, attempt=3))
    broken.spec.write_text(spec.model_dump_json())
    train(tiny.context_of(broken, spec, attempt=4))
    assert [each.from_step for each in tiny.events_of(broken, "resumed") if isinstance(each, Resumed)] == [2, 4, 5]
    assert equal(tiny.state_of(broken, 6), tiny.state_of(unbroken, 6))
    assert equal(load_file(broken.lora(6)), load_file(unbroken.lora(6)))
