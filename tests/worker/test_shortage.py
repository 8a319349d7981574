"""Too little memory, for real: an allocator that is asked for more than there is, from inside of the work it breaks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from app.contract.events import Failed, Resumed, Warned
from app.contract.families import FamilyKey
from app.contract.lean import Lean
from app.contract.memory import GB
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import read_state
from tests.worker import tiny
from tests.worker.tiny import equal, pixels
from worker.child import main
from worker.errors import COMPLETED, OUT_OF_MEMORY, OutOfMemory, is_out_of_memory
from worker.memory import on_device
from worker.render import render
from worker.shortage import less_memory, one_by_one, out_of_memory_in_words, tried
from worker.train import train

CPU = torch.device("cpu")
TOO_MUCH = 2**60
Condition = Callable[[nn.Module, torch.Tensor], bool]


@pytest.fixture(scope="session")
def base(bases: dict[FamilyKey, BaseModelRef]) -> BaseModelRef:
    """One family is enough where nothing is asked of it but that it trains."""
    return bases["sd15"]


def allocate_too_much() -> torch.Tensor:
    """Ask the allocator itself for more than any computer has."""
    return torch.empty(TOO_MUCH)


@contextmanager
def short_of_memory(when: Condition, kind: type[nn.Module] = UNet2DConditionModel) -> Iterator[list[nn.Module]]:
    """Memory runs out before a model answers, whenever the condition of it and its input holds; yields those times."""
    times: list[nn.Module] = []

    def ask(model: nn.Module, inputs: Any) -> None:
        if isinstance(model, kind) and when(model, inputs[0] if inputs else torch.empty(0)):
            times.append(model)
            allocate_too_much()

    handle = register_module_forward_pre_hook(ask)
    try:
        yield times
    finally:
        handle.remove()


def is_drawing(_model: nn.Module, _inputs: torch.Tensor) -> bool:
    """Samples and held-out losses want no gradients."""
    return not torch.is_grad_enabled()


def of_several(model: nn.Module, inputs: torch.Tensor) -> bool:
    """A layer of a drawing denoiser that is asked for more than one answer at once."""
    return is_drawing(model, inputs) and len(inputs) > 1


def at_step(number: int) -> Condition:
    """At the training step of this number, the first being one."""
    count = iter(range(1, 1_000_000))
    return lambda _model, _inputs: torch.is_grad_enabled() and next(count) == number


def sdxl(**optimization: object) -> TrainSpec:
    return TrainSpec.model_validate(
        {
            "name": "x",
            "project": "x",
            "purpose": "style",
            "trigger_word": "x",
            "base": BaseModelRef(name="b", path="/b", family="sdxl", sha256="0" * 64),
            "data": {"resolution_px": 1024},
            "optimization": optimization,
        }
    )


def warnings_of(run_dir: RunDir) -> list[str]:
    return [event.message for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]


def test_the_allocators_own_errors_are_told_from_others() -> None:
    with pytest.raises(RuntimeError) as told:
        allocate_too_much()
    assert is_out_of_memory(told.value)
    with pytest.raises(MemoryError) as python:
        bytearray(2**62)
    assert is_out_of_memory(python.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(OSError(28, "No space left on device"))
    assert tried(allocate_too_much, CPU) is None
    assert tried(lambda: 3, CPU) == 3
    with pytest.raises(RuntimeError, match="else"), short_of_memory(is_drawing):
        tried(lambda: (_ for _ in ()).throw(RuntimeError("something else")), CPU)


class Heavy(nn.Linear):
    """A layer for which memory runs out when it is moved for the first time."""

    times = 0

    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        self.times += 1
        if self.times == 1:
            allocate_too_much()
        return super()._apply(fn, recurse)


def test_a_model_that_is_half_moved_when_memory_runs_out_goes_home() -> None:
    model = nn.Sequential(nn.Linear(2, 2), Heavy(2, 2))
    with pytest.raises(RuntimeError, match="allocate"), on_device([model], CPU):
        pass
    assert isinstance(model[1], Heavy)
    assert model[1].times == 2


def test_running_out_is_told_with_the_change_that_fits(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    with pytest.raises(OutOfMemory) as told, out_of_memory_in_words(sdxl(batch=4), CPU, run_dir):
        allocate_too_much()
    assert told.value.message.startswith("Memory ran out in training: batch 4 at 1,024 px takes more main memory")
    assert told.value.hint.startswith("Turn on gradient checkpointing: about ") or "batch" in told.value.hint
    with pytest.raises(RuntimeError, match="else"), out_of_memory_in_words(sdxl(), CPU, run_dir):
        raise RuntimeError("something else")


def test_a_run_that_should_have_fitted_is_told_the_cheapest_change() -> None:
    assert less_memory(sdxl(gradient_checkpointing=False, batch=1), 8 * GB).startswith("Turn on gradient checkpointing")
    least = sdxl(batch=1, optimizer="adamw-8bit", base_storage="nf4", offloads_blocks=True)
    smallest = least.model_copy(update={"data": least.data.model_copy(update={"resolution_px": 512})})
    assert "more memory" in less_memory(smallest, GB / 2)


def test_answers_one_by_one_are_the_answers(bases: dict[FamilyKey, BaseModelRef]) -> None:
    model = UNet2DConditionModel.from_pretrained(Path(bases["sdxl"].path) / "unet")
    assert isinstance(model, UNet2DConditionModel)
    added = {"text_embeds": torch.randn(2, 24), "time_ids": torch.randn(2, 6)}
    asked: dict[str, Any] = {"encoder_hidden_states": torch.randn(2, 77, 40), "added_cond_kwargs": added}
    noisy, sizes = torch.randn(2, 4, 8, 8), []
    with torch.no_grad():
        (expected,) = model(noisy, torch.tensor(7), return_dict=False, **asked)
        handle = model.conv_in.register_forward_pre_hook(lambda _layer, inputs: sizes.append(len(inputs[0])))
        with one_by_one(model, 2):
            (found,) = model(noisy, torch.tensor(7), return_dict=False, **asked)
        handle.remove()
    assert sizes == [1, 1]
    assert torch.allclose(found, expected, atol=1e-5)
    assert "forward" not in model.__dict__


def test_samples_that_cannot_be_drawn_are_left_out_and_training_is_as_ever(
    trained: tuple[RunDir, TrainSpec], tmp_path: Path
) -> None:
    unbroken, spec = trained
    run_dir = tiny.new_run(tmp_path, spec)
    with short_of_memory(is_drawing):
        train(tiny.context_of(run_dir, spec))
    assert warnings_of(run_dir) == [
        f"2 samples of step {step} left out: memory ran out at 64 × 64 px, also when drawn in smaller pieces. "
        "Training goes on."
        for step in (0, 4, 8)
    ]
    assert not tiny.events_of(run_dir, "sample")
    assert tiny.losses_of(run_dir) == tiny.losses_of(unbroken)
    assert equal(tiny.state_of(run_dir, 8), tiny.state_of(unbroken, 8))


def test_a_sample_is_drawn_in_smaller_pieces_when_it_cannot_be_drawn_whole(
    trained: tuple[RunDir, TrainSpec], tmp_path: Path
) -> None:
    """Memory is enough for one answer of the denoiser at a time, which makes the same picture."""
    unbroken, spec = trained
    run_dir = tiny.new_run(tmp_path, spec)

    with short_of_memory(of_several, ResnetBlock2D) as times:
        train(tiny.context_of(run_dir, spec))
    assert len(times) == 6
    assert not warnings_of(run_dir)
    assert equal(tiny.state_of(run_dir, 8), tiny.state_of(unbroken, 8))
    for step in (0, 8):
        ours, whole = pixels(run_dir, step, 0, 1), pixels(unbroken, step, 0, 1)
        assert max(abs(one - other) for one, other in zip(ours, whole, strict=True)) <= 2


def test_a_sample_of_absurd_size_ends_in_a_warning(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(base)
    huge = spec.sampling.model_copy(update={"width_px": 2**30, "height_px": 2**30})
    run_dir = tiny.new_run(tmp_path, spec)
    absurd = spec.model_copy(update={"sampling": huge})
    train(tiny.context_of(run_dir, absurd))
    assert [message.partition(" left out")[0] for message in warnings_of(run_dir)] == [
        f"2 samples of step {step}" for step in (0, 4, 8)
    ]
    assert len(tiny.losses_of(run_dir)) == 8


def held_out(folder: Path, spec: TrainSpec) -> RunDir:
    """A run with two pictures held out."""
    rows = tiny.make_pictures(folder / "pictures", spec)
    rows = [row.model_copy(update={"split": "held-out"}) if number < 2 else row for number, row in enumerate(rows)]
    return tiny.make_run(folder / "run", spec, rows)


def test_held_out_losses_are_measured_in_smaller_pieces_or_left_out(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(base, validation__every_steps=4, sampling__prompts=[], optimization__steps=4)

    def losses(
        name: str, when: Condition, kind: type[nn.Module] = UNet2DConditionModel
    ) -> tuple[list[float], list[str]]:
        run_dir = held_out(tmp_path / name, spec)
        with short_of_memory(when, kind):
            train(tiny.context_of(run_dir, spec))
        assert len(tiny.losses_of(run_dir)) == 4
        state = read_state(run_dir.events)
        return [each.value for each in state.metrics if each.name == "held_out_loss"], warnings_of(run_dir)

    whole, _ = losses("whole", lambda _model, _noisy: False)
    pieces, warned = losses("pieces", of_several, ResnetBlock2D)
    assert len(whole) == 2
    assert pieces == pytest.approx(whole, rel=1e-4)
    assert not warned
    none, warned = losses("none", is_drawing)
    assert not none
    assert warned == [
        f"Held-out loss of step {step} left out: memory ran out, also one timestep at a time. Training goes on."
        for step in (0, 4)
    ]


def test_running_out_in_a_step_saves_what_was_learnt_and_says_what_would_fit(
    base: BaseModelRef, tmp_path: Path
) -> None:
    """Through the child, as the studio runs it; the next attempt ends as an unbroken run would have."""
    spec = tiny.make_spec(base, sampling__prompts=[])
    unbroken = tiny.new_run(tmp_path / "unbroken", spec)
    train(tiny.context_of(unbroken, spec))
    run_dir = tiny.new_run(tmp_path, spec)
    with short_of_memory(at_step(7)) as times:
        train_or_fail = tiny.context_of(run_dir, spec)
        with pytest.raises(OutOfMemory) as told:
            train(train_or_fail)
    assert len(times) == 1
    assert told.value.message == (
        "Memory ran out in step 7: batch 2 at 64 px takes more main memory than this computer has free."
    )
    assert "by our reckoning" in told.value.hint
    assert [saved.step for saved in read_state(run_dir.events).checkpoints] == [4, 6]
    assert not any(bool(tensor.isnan().any()) for tensor in load_file(run_dir.lora(6)).values())
    train(tiny.context_of(run_dir, spec, attempt=2))
    assert equal(tiny.state_of(run_dir, 8), tiny.state_of(unbroken, 8))


def test_a_run_goes_on_with_less_memory_than_its_settings_say(base: BaseModelRef, tmp_path: Path) -> None:
    """Its checkpoint stays good: the settings it was started with are still those of its spec."""
    spec = tiny.make_spec(base, sampling__prompts=[])
    unbroken = tiny.new_run(tmp_path / "unbroken", spec)
    train(tiny.context_of(unbroken, spec))
    run_dir = tiny.new_run(tmp_path, spec)
    with short_of_memory(at_step(7)):
        assert main(run_dir.path, 1) == OUT_OF_MEMORY
    run_dir.lean.write_text(Lean(batch=1, accumulation=2, gradient_checkpointing=True).model_dump_json())
    asked: list[int] = []

    def count(_model: nn.Module, noisy: torch.Tensor) -> bool:
        asked.append(len(noisy))
        return False

    with short_of_memory(count):
        assert main(run_dir.path, 2) == COMPLETED
    assert set(asked) == {1}
    assert len(asked) == 4
    resumed = [event.from_step for event in tiny.events_of(run_dir, "resumed") if isinstance(event, Resumed)]
    assert resumed == [6]
    assert tiny.losses_of(run_dir)[:6] == tiny.losses_of(unbroken)[:6]
    assert [saved.step for saved in read_state(run_dir.events).checkpoints] == [4, 6, 8]


def test_running_out_in_the_first_step_leaves_nothing_half(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(base, sampling__prompts=[])
    run_dir = tiny.new_run(tmp_path, spec)
    with short_of_memory(at_step(1)):
        assert main(run_dir.path, 1) == OUT_OF_MEMORY
    (failed,) = [event for event in tiny.events_of(run_dir, "error") if isinstance(event, Failed)]
    assert failed.message.startswith("Memory ran out in step 1: batch 2 at 64 px")
    assert not read_state(run_dir.events).checkpoints


def test_running_out_inside_an_update_keeps_the_checkpoint_before_it(
    base: BaseModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the weights may be those of the next step: none of that is saved."""
    spec = tiny.make_spec(base, sampling__prompts=[])
    run_dir = tiny.new_run(tmp_path, spec)
    count, step = iter(range(1, 100)), torch.optim.AdamW.step

    def runs_out(self: torch.optim.AdamW) -> None:
        if next(count) == 6:
            allocate_too_much()
        step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", runs_out)
    with pytest.raises(OutOfMemory, match="in step 6"):
        train(tiny.context_of(run_dir, spec))
    assert [saved.step for saved in read_state(run_dir.events).checkpoints] == [4]


def test_a_picture_is_encoded_in_tiles_or_named(
    base: BaseModelRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny.make_spec(base, sampling__prompts=[])
    fails = iter((True,))
    encode = AutoencoderKL.encode

    def once(self: AutoencoderKL, pixels: torch.Tensor) -> Any:
        if next(fails, False):
            allocate_too_much()
        return encode(self, pixels)

    monkeypatch.setattr(AutoencoderKL, "encode", once)
    run_dir = tiny.new_run(tmp_path / "tiles", spec)
    train(tiny.context_of(run_dir, spec))
    assert len(tiny.losses_of(run_dir)) == 8
    fails = iter(lambda: True, False)
    run_dir = tiny.new_run(tmp_path / "named", spec)
    with pytest.raises(OutOfMemory, match=r"picture-0\.png was encoded at 64 × 64 px, also in tiles"):
        train(tiny.context_of(run_dir, spec))


def test_a_picture_too_large_to_decode_is_left_out_by_name(base: BaseModelRef, tmp_path: Path) -> None:
    """A bucket that nobody could hold: Pillow says so, and the others train."""
    spec = tiny.make_spec(base, sampling__prompts=[])
    rows = tiny.make_pictures(tmp_path / "pictures", spec, ((64, 64),) * 30)
    wide: DatasetRow = rows[-1]
    assert wide.name == "picture-29.png"
    huge = wide.model_copy(update={"split": "held-out", "bucket": wide.bucket.__class__(2**26, 2**26)})
    run_dir = tiny.make_run(tmp_path / "run", spec, [*rows[:-1], huge])
    train(tiny.context_of(run_dir, spec))
    (warned,) = warnings_of(run_dir)
    assert "picture-29.png" in warned
    assert len(tiny.losses_of(run_dir)) == 8


def test_strengths_that_cannot_be_drawn_end_in_words(trained: tuple[RunDir, TrainSpec], tmp_path: Path) -> None:
    run_dir, spec = trained
    sweep = tiny.render_spec(spec, run_dir, 8, (1.0,))
    folder = tiny.make_run(tmp_path / "sweep", sweep, [])
    with short_of_memory(is_drawing), pytest.raises(OutOfMemory, match="a sample of 64 × 64 px was drawn"):
        render(tiny.context_of(folder, sweep))
