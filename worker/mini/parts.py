"""The bundled base's parts: a small autoencoder, denoiser and text encoder of Stable Diffusion 1.5's own classes."""

import gzip
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 96
VOCABULARY = 49408
TOKENS = 77


def make_vae(scaling_factor: float = 1.0) -> AutoencoderKL:
    """64 px pictures ↔ 16×16 latents of 4 channels."""
    torch.manual_seed(1)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
        scaling_factor=scaling_factor,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )


def make_unet() -> UNet2DConditionModel:
    """The denoiser, with cross-attention at 16×16 and 8×8."""
    torch.manual_seed(2)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(48, 96, 192),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def make_text_encoder() -> CLIPTextModel:
    """Three layers over CLIP's real vocabulary; trained together with the denoiser."""
    torch.manual_seed(3)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            hidden_act="quick_gelu",
            projection_dim=TEXT_WIDTH,
            bos_token_id=VOCABULARY - 2,
            eos_token_id=VOCABULARY - 1,
            pad_token_id=VOCABULARY - 1,
        )
    )


def make_scheduler() -> DDPMScheduler:
    """Stable Diffusion 1.5's noise schedule, but predicting v.

    A concept's layout is settled at high noise, where an error in it hardly shows in epsilon and fully in v.
    """
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        num_train_timesteps=1000,
        clip_sample=False,
        steps_offset=1,
    )


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer, rebuilt from the merges file inside PyPI's open-clip-torch (MIT)."""
    if not list(folder.glob("open_clip_torch*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), "open-clip-torch"]
        subprocess.run(command, check=True)
    wheel = next(iter(folder.glob("open_clip_torch*.whl")))
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read("open_clip/bpe_simple_vocab_16e6.txt.gz")).decode()
    merges = [tuple(line.split()) for line in text.split("\n")[1 : VOCABULARY - 512 - 2 + 1]]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def _byte_letters() -> list[str]:
    """The printable stand-ins of the 256 bytes, in CLIP's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + place) for place in range(len(others))]
