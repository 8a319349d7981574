"""The bundled base: of Stable Diffusion's own classes, small, with a card, and it draws what it is told."""

from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from app.collect.demo import OPENMOJI
from app.config import ROOT
from tests.worker import tiny
from worker.cache import to_pixels
from worker.mini.parts import make_text_encoder, make_unet, make_vae
from worker.train import train

BUNDLED = ROOT / "worker" / "mini" / "base"
LARGEST_BYTES = 30_000_000


def test_the_bundled_base_is_small_and_of_the_recipes_shape() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < LARGEST_BYTES
    parts = (
        ("vae/diffusion_pytorch_model", make_vae()),
        ("unet/diffusion_pytorch_model", make_unet()),
        ("text_encoder/model", make_text_encoder()),
    )
    for name, part in parts:
        kept = load_file(BUNDLED / f"{name}.safetensors")
        assert {key: tensor.shape for key, tensor in kept.items()} == {
            key: tensor.shape for key, tensor in part.state_dict().items()
        }
        assert all(tensor.isfinite().all() for tensor in kept.values())


def test_the_card_names_data_and_licences() -> None:
    card = (BUNDLED.parent / "README.md").read_text(encoding="utf-8")
    assert all(word in card for word in ("Apache-2.0", "CC BY 4.0", "MIT", "Noto", "Twemoji", "Fluent"))


def test_the_vocabulary_is_clips_own() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(BUNDLED / "tokenizer")
    assert tokenizer("a red apple").input_ids == [49406, 320, 736, 3055, 49407]
    assert len(tokenizer) == 49408


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(
        BUNDLED, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
    )
    loaded.scheduler = DPMSolverMultistepScheduler.from_config(loaded.scheduler.config, use_karras_sigmas=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def draw(pipeline: StableDiffusionPipeline, prompt: str, count: int = 4) -> torch.Tensor:
    """Samples [count, 3, 64, 64] from 0 to 1 of the first seeds."""
    generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
    answer = pipeline(
        [prompt] * count, num_inference_steps=10, guidance_scale=4.0, generator=generators, output_type="pt"
    )
    return answer.images


def test_words_decide_the_colours(pipeline: StableDiffusionPipeline) -> None:
    """A red and a green thing in the middle of white, not noise: channels and borders say so."""
    red = draw(pipeline, "red heart, love, noto style").mean(dim=0)
    green = draw(pipeline, "green heart, love, noto style").mean(dim=0)
    middle = (slice(None), slice(24, 40), slice(24, 40))
    assert (red[middle].mean(dim=(1, 2))[0] - red[middle].mean(dim=(1, 2))[1]) > 0.2
    assert (green[middle].mean(dim=(1, 2))[1] - green[middle].mean(dim=(1, 2))[0]) > 0.1
    assert red[:, 0].mean() > 0.85


def test_the_autoencoder_keeps_a_style_it_has_never_seen(pipeline: StableDiffusionPipeline) -> None:
    from PIL import Image  # noqa: PLC0415

    with Image.open(OPENMOJI / "fox.png") as image:
        pixels = to_pixels(image.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))
    with torch.no_grad():
        back = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mode()).sample
    assert (back - pixels).abs().mean() < 0.12


def test_the_bundled_base_trains(tmp_path: Path) -> None:
    spec = tiny.make_spec(tiny.base_ref("sd15", BUNDLED), optimization__steps=4)
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    assert run_dir.lora(4).is_file()
    assert all(0.01 < loss < 3 for loss in tiny.losses_of(run_dir))
