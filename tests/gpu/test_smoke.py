"""On a GPU: both families train in half precision as they do on the CPU, resume exactly, and stay within memory."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

from app.contract.families import FAMILIES, FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import TrainSpec
from tests.gpu.test_memory import most_held
from tests.worker import random_sd15 as recipe
from tests.worker import tiny
from worker.errors import Interrupted, OutOfMemory
from worker.memory import choose_machine, on_device
from worker.train import train

SMALL_GPU_BYTES = 8 * 2**30
SIZES = ((64, 64), (96, 64), (64, 96), (64, 64))

pytestmark = [
    pytest.mark.gpu,
    # diffusers hands torch tensors to numpy in a way that numpy 2 is going to refuse one day.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def trained(folder: Path, spec: TrainSpec) -> RunDir:
    """A whole run."""
    run_dir = tiny.new_run(folder, spec, SIZES)
    train(tiny.context_of(run_dir, spec))
    return run_dir


def test_the_gpu_is_chosen() -> None:
    assert choose_machine("auto").device.type == "cuda"


def test_a_model_that_is_on_the_gpu_stays_without_a_trace() -> None:
    """Encoding asks for the device picture by picture; giving memory back each time would cost more than encoding."""
    device = choose_machine("auto").device
    assert torch.zeros(1, device=device).device == device
    model = torch.nn.Linear(1024, 1024).to(device)
    with on_device([model], device):
        torch.zeros(2**26, device=device)
    kept = torch.cuda.memory_reserved(device)
    with on_device([model], device):
        pass
    assert torch.cuda.memory_reserved(device) == kept > 2**26


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_train_and_resume(tmp_path: Path, family: FamilyKey, precision: str) -> None:
    tiny.WRITERS[family](tmp_path / "base")
    spec = tiny.make_spec(
        tiny.base_ref(family, tmp_path / "base"),
        optimization__precision=precision,
        **tiny.text_rates(family, 1e-4),
        optimization__gradient_checkpointing=True,
    )
    unbroken = trained(tmp_path / "unbroken", spec)
    losses = tiny.losses_of(unbroken)
    assert len(losses) == spec.optimization.steps
    assert all(0.2 < loss < 3 for loss in losses)

    broken = tiny.new_run(tmp_path / "broken", spec, SIZES)
    with pytest.raises(Interrupted):
        train(tiny.context_of(broken, spec, wants_interrupt=tiny.has_step(broken, 4)))
    train(tiny.context_of(broken, spec, attempt=2))
    ours, theirs = load_file(broken.lora(8)), load_file(unbroken.lora(8))
    assert all(torch.allclose(ours[name].float(), theirs[name].float(), atol=5e-3) for name in theirs)


def test_the_cpus_losses_are_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.WRITERS["sdxl"](tmp_path / "base")
    spec = tiny.make_spec(
        tiny.base_ref("sdxl", tmp_path / "base"), optimization__precision="fp32", sampling__prompts=[]
    )
    on_gpu = tiny.losses_of(trained(tmp_path / "gpu", spec))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = tiny.losses_of(trained(tmp_path / "cpu", spec))
    assert on_gpu == pytest.approx(on_cpu, rel=2e-2)


def write_full_size(to: Path) -> None:
    """Stable Diffusion 1.5 in its true size with random weights, fp16."""
    width = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    tiny.write_sd15(to)
    config = recipe.text_config(32).to_dict() | width | {"projection_dim": 768}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        recipe.save_model(CLIPTextModel(CLIPTextConfig(**config)), to / "text_encoder", torch.float16)
        denoiser = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        recipe.save_model(denoiser, to / "unet", torch.float16)
        vae = AutoencoderKL(
            sample_size=512,
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
        recipe.save_model(vae, to / "vae", torch.float16)


def full_size_spec(base: Path, **changes: Any) -> TrainSpec:
    """Four steps at the size of the published model."""
    return tiny.make_spec(
        tiny.base_ref("sd15", base),
        data__resolution_px=512,
        data__bucket_step_px=64,
        sampling__width_px=512,
        sampling__height_px=512,
        optimization__gradient_checkpointing=True,
        optimization__learning_rate=1e-4,
        optimization__steps=4,
        **changes,
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_full_size_stays_within_a_small_gpu(tmp_path: Path) -> None:
    write_full_size(tmp_path / "base")
    torch.cuda.reset_peak_memory_stats()
    run_dir = trained(tmp_path / "run", full_size_spec(tmp_path / "base"))
    assert run_dir.lora(4).is_file()
    assert most_held(run_dir) < SMALL_GPU_BYTES


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_more_than_the_limit_ends_in_words(tmp_path: Path) -> None:
    """The base alone takes more than one gigabyte."""
    write_full_size(tmp_path / "base")
    try:
        with pytest.raises(OutOfMemory, match="Memory ran out") as told:
            trained(tmp_path / "run", full_size_spec(tmp_path / "base", optimization__memory_limit_gb=1.0))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert told.value.hint
