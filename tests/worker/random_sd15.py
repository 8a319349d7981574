"""Makes the bundled base model: a whole Stable Diffusion 1.5 in miniature with random weights, from a seed.

`python -m worker.mini.recipe --to DIR` writes the diffusers folder; the same seed gives the same weights.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SEED = 20
RESOLUTION_PX = 64
SCALE = 8
TOKENS = 77
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
PIXEL_SPREAD = 0.5


def vocabulary() -> dict[str, int]:
    """Return the byte-level vocabulary: each byte inside a word, each byte at a word's end, begin and end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), BEGIN, END]
    return {word: number for number, word in enumerate(words)}


def make_tokenizer(pad: str = END) -> CLIPTokenizer:
    """Return a CLIP tokenizer over the byte-level vocabulary, every byte one token."""
    return CLIPTokenizer(
        vocab=vocabulary(),
        merges=[],
        unk_token=END,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=pad,
        model_max_length=TOKENS,
    )


def text_config(width: int, layers: int = 2) -> CLIPTextConfig:
    """Return the settings of a small CLIP text encoder over the byte-level vocabulary."""
    words = vocabulary()
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        projection_dim=width,
        max_position_embeddings=TOKENS,
        bos_token_id=words[BEGIN],
        eos_token_id=words[END],
        pad_token_id=words[END],
    )


def make_vae(scaling_factor: float = 1.0) -> AutoencoderKL:
    """Return a small VAE with SD's scale: eight pixels a latent position, four latent channels."""
    return AutoencoderKL(
        sample_size=RESOLUTION_PX,
        scaling_factor=scaling_factor,
        block_out_channels=(16, 16, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
    )


def make_denoiser() -> UNet2DConditionModel:
    """Return a small UNet: attention at the first of two levels and in the middle."""
    return UNet2DConditionModel(
        sample_size=RESOLUTION_PX // SCALE,
        block_out_channels=(24, 40),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def make_scheduler(prediction: str = "epsilon") -> DDPMScheduler:
    """Return Stable Diffusion's noise schedule."""
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        prediction_type=prediction,
    )


@torch.no_grad()
def calibrate(vae: AutoencoderKL) -> None:
    """Scale a random VAE so that latents have unit variance and decoded pictures use the range of colours."""
    pixels = torch.rand(4, 3, RESOLUTION_PX, RESOLUTION_PX) * 2 - 1
    vae.register_to_config(scaling_factor=round(1 / float(vae.encode(pixels).latent_dist.mode().std()), 4))
    side = RESOLUTION_PX // SCALE
    latents = torch.randn(4, 4, side, side) / vae.config.scaling_factor
    decoded = vae.decode(latents).sample
    vae.decoder.conv_out.weight.mul_(PIXEL_SPREAD / decoded.std())
    vae.decoder.conv_out.bias.sub_(vae.decode(latents).sample.mean(dim=(0, 2, 3)))


def save_model(model: nn.Module, folder: Path, dtype: torch.dtype) -> None:
    """Write one model as safetensors in `dtype`."""
    for tensor in [*model.parameters(), *(each for each in model.buffers() if each.is_floating_point())]:
        tensor.data = tensor.data.to(dtype)
    model.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]  # both libraries have it


def write_index(folder: Path, pipeline: str, parts: dict[str, tuple[str | None, str | None]]) -> None:
    """Write model_index.json, which names the pipeline and the class of each part."""
    index = {"_class_name": pipeline, "_diffusers_version": "0.42.1", **parts}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_base(to: Path, seed: int = SEED, dtype: torch.dtype = torch.float16) -> None:
    """Write the whole folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae, denoiser, encoder = make_vae(), make_denoiser(), CLIPTextModel(text_config(32))
        calibrate(vae)
    to.mkdir(parents=True, exist_ok=True)
    save_model(vae, to / "vae", dtype)
    save_model(denoiser, to / "unet", dtype)
    save_model(encoder, to / "text_encoder", dtype)
    make_tokenizer().save_pretrained(to / "tokenizer")
    make_scheduler().save_pretrained(to / "scheduler")
    write_index(
        to,
        "StableDiffusionPipeline",
        {
            "feature_extractor": (None, None),
            "safety_checker": (None, None),
            "scheduler": ("diffusers", "DDPMScheduler"),
            "text_encoder": ("transformers", "CLIPTextModel"),
            "tokenizer": ("transformers", "CLIPTokenizer"),
            "unet": ("diffusers", "UNet2DConditionModel"),
            "vae": ("diffusers", "AutoencoderKL"),
        },
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m worker.mini.recipe", description="Make the tiny random base.")
    parser.add_argument("--to", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args(arguments)
    write_base(chosen.to, chosen.seed)


if __name__ == "__main__":
    main()
