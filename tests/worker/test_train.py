"""The battery: every family goes the whole way, and every promise of the trainer is held on it."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from app.contract.events import read_events
from app.contract.families import FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import fold
from tests.worker import tiny
from tests.worker.tiny import equal, pixels
from worker.cache import Conditioning
from worker.errors import BadSpec, Interrupted, NonFiniteLoss, Stopped
from worker.families import load
from worker.memory import choose_machine
from worker.sampling import Painter
from worker.train import train

GOLDEN: dict[FamilyKey, list[float]] = {
    "sd15": [1.0396, 1.0433, 0.9371, 0.9624, 0.9120, 1.0349, 0.9712, 1.0277],
    "sdxl": [1.0478, 1.0595, 0.9907, 1.0354, 0.9703, 1.0550, 1.0111, 1.1195],
}
STEPS = 8


def test_losses_are_as_they_were(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    assert tiny.losses_of(run_dir) == pytest.approx(GOLDEN[spec.base.family], rel=1e-2)


def test_events_tell_the_run_in_order(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    events = read_events(run_dir.events)
    told = [getattr(event, "phase", event.type) for event in events]
    course = [what for number, what in enumerate(told) if number == 0 or told[number - 1] != what]
    once = ["saving", "checkpoint", "sampling", "sample", "sampling", "sample"]
    assert course == [
        *["loading", "caching", "sampling", "sample", "sampling", "sample", "training"],
        *["progress", "metric", *once, "progress", "metric", *once],
    ]
    state = fold(events)
    assert [saved.step for saved in state.checkpoints] == [4, 8]
    assert [sample.step for sample in state.samples] == [0, 0, 4, 4, 8, 8]
    assert [step for step, _ in state.losses] == list(range(1, STEPS + 1))
    assert all((run_dir.path / sample.path).is_file() for sample in state.samples)
    assert state.samples[0].prompt == spec.sampling.prompts[0].text


def test_sample_carries_its_parameters(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    with Image.open(run_dir.sample(8, 1, 2, 1.0)) as image:
        text = image.info["parameters"]
    assert text.startswith("blue\nNegative prompt: red\nSteps: 2, Sampler: DPM++ 2M Karras, CFG scale: 3.0, Seed: 2,")
    assert f"Size: 64x64, Model: {spec.base.name}, LoRA: tiny run, LoRA step: 8, LoRA strength: 1" in text


def test_baseline_is_the_untouched_base(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    machine = choose_machine("auto")
    family = load(spec.base, machine.dtype)
    painter = Painter(family, machine, spec.sampling, Conditioning(family, machine, None), lambda: None)
    for index, prompt in enumerate(spec.sampling.prompts):
        assert pixels(run_dir, 0, index, prompt.seed) == painter.draw(prompt).tobytes()
        assert pixels(run_dir, 0, index, prompt.seed) != pixels(run_dir, 8, index, prompt.seed)


def test_drawing_leaves_no_trace_in_training(trained: tuple[RunDir, TrainSpec], tmp_path: Path) -> None:
    unbroken, spec = trained
    silent = spec.model_copy(update={"sampling": spec.sampling.model_copy(update={"prompts": ()})})
    run_dir = tiny.new_run(tmp_path, silent)
    train(tiny.context_of(run_dir, silent))
    assert equal(tiny.state_of(run_dir, STEPS), tiny.state_of(unbroken, STEPS))
    assert not tiny.events_of(run_dir, "sample")


def test_gradient_checkpointing_changes_no_loss(trained: tuple[RunDir, TrainSpec], tmp_path: Path) -> None:
    unbroken, spec = trained
    saving = spec.optimization.model_copy(update={"gradient_checkpointing": True})
    frugal = spec.model_copy(update={"optimization": saving})
    run_dir = tiny.new_run(tmp_path, frugal)
    train(tiny.context_of(run_dir, frugal))
    assert tiny.losses_of(run_dir) == pytest.approx(tiny.losses_of(unbroken), rel=1e-4)


def test_cached_conditioning_trains_as_live_conditioning_would(base: BaseModelRef, tmp_path: Path) -> None:
    """With shuffled and dropped texts, from the cache; the tiny rate beside it makes the texts be encoded live."""
    cached = tiny.make_spec(base, data__shuffles_tags=True, data__caption_dropout=0.3)
    live = tiny.make_spec(
        base, data__shuffles_tags=True, data__caption_dropout=0.3, optimization__text_encoder_learning_rate=1e-12
    )
    losses = []
    for name, spec in (("cached", cached), ("live", live)):
        run_dir = tiny.new_run(tmp_path / name, spec)
        train(tiny.context_of(run_dir, spec))
        losses.append(tiny.losses_of(run_dir))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_stop_saves_first(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(base)
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Stopped):
        train(tiny.context_of(run_dir, spec, wants_stop=tiny.has_step(run_dir, 4)))
    state = fold(read_events(run_dir.events))
    assert [saved.step for saved in state.checkpoints] == [4]
    assert run_dir.lora(4).is_file()


@pytest.mark.parametrize("phase", ["loading", "caching", "sampling"])
def test_leaving_before_training_is_quick_and_saves_nothing(base: BaseModelRef, tmp_path: Path, phase: str) -> None:
    spec = tiny.make_spec(base)
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.in_phase(run_dir, phase)))
    assert fold(read_events(run_dir.events)).phase == phase
    assert not run_dir.checkpoints.exists()
    assert not tiny.events_of(run_dir, "sample")


def poisoned(base: BaseModelRef, to: Path) -> BaseModelRef:
    """A copy of the base with one weight of the denoiser that is not a number."""
    to.mkdir(parents=True)
    for part in Path(base.path).iterdir():
        if part.name != "unet":
            (to / part.name).symlink_to(part)
    (to / "unet").mkdir()
    (to / "unet" / "config.json").write_bytes((Path(base.path) / "unet" / "config.json").read_bytes())
    weights = load_file(Path(base.path) / "unet" / "diffusion_pytorch_model.safetensors")
    weights["conv_out.bias"][0] = float("nan")
    save_file(weights, to / "unet" / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    return base.model_copy(update={"path": str(to)})


def test_a_loss_that_is_no_number_ends_the_run_in_words(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(poisoned(base, tmp_path / "base"), sampling__prompts=[])
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(NonFiniteLoss, match=r"loss of step 1 is not a number; its pictures: picture-\d\.png") as told:
        train(tiny.context_of(run_dir, spec))
    assert "Lower the learning rate" in told.value.hint
    assert not run_dir.checkpoints.exists()
    assert not tiny.events_of(run_dir, "progress")


def test_an_absurd_learning_rate_never_saves_anything_that_is_no_number(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(
        base, network__alpha=256, network__rank=1, sampling__prompts=[], optimization__learning_rate=1,
        optimization__steps=60, optimization__warmup_steps=0, saving__every_steps=2
    )  # fmt: skip
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(NonFiniteLoss, match=r"[Ss]tep \d+ (is not a number|left weights that are not numbers)"):
        train(tiny.context_of(run_dir, spec))
    assert run_dir.lora(2).exists()
    for step in (step for step in range(1, 61) if run_dir.lora(step).exists()):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(run_dir.lora(step)).values())


def test_half_precision_trains_a_full_precision_lora(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(
        base, optimization__precision="bf16", optimization__text_encoder_learning_rate=1e-3, optimization__steps=4
    )
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    assert tiny.losses_of(run_dir) == pytest.approx(GOLDEN[base.family][:4], rel=5e-2)
    weights = load_file(run_dir.checkpoint(4) / "state" / "weights.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_precision_that_the_machine_lacks_is_refused(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has fp16")
    spec = tiny.make_spec(bases["sd15"], optimization__precision="fp16")
    with pytest.raises(BadSpec, match="fp16 needs an NVIDIA GPU"):
        train(tiny.context_of(tiny.new_run(tmp_path, spec), spec))


def test_everything_that_can_learn_has_learnt(trained: tuple[RunDir, TrainSpec]) -> None:
    """All but the last layer of an encoder whose penultimate states are used, to which no gradient comes."""
    run_dir, spec = trained
    kept = load_file(run_dir.checkpoint(STEPS) / "state" / "weights.safetensors")
    still = {name for name, tensor in kept.items() if name.endswith("lora_up.weight") and not tensor.any()}
    unused = {"sd15": None, "sdxl": "lora_te1_text_model_encoder_layers_1_"}[spec.base.family]
    assert still == {name for name in kept if unused and name.startswith(unused) and name.endswith("lora_up.weight")}
