"""Where a base's parts come from: a diffusers folder or a single file, and a VAE of its own where one was chosen."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPTokenizer

from app.contract.spec import BaseModelRef
from worker.errors import BadSpec, ModelMissing
from worker.families.parts import LATENT_CHANNELS, DiffusersFolder, Model, diffusers_folder, load_model, read_json
from worker.single_file import ZERO_SNR, FamilyFiles, load_vae_file, open_single_file, shipped

TILE_PX = 512
"""Side of a tile where the VAE works in tiles; its own figure is the whole picture for SDXL, which saves nothing."""

IGNORED = ("_", "transformers_", "dtype", "architectures")
"""Settings that tell of a file's history, not of what the model does."""


class Source(Protocol):
    """What can give a base's parts by their names in a diffusers folder."""

    def model(self, kind: type[Model], name: str, dtype: torch.dtype) -> Model:
        """Load one part."""
        ...

    def tokenizer(self, name: str) -> CLIPTokenizer:
        """Load a tokenizer."""
        ...

    def scheduler(self) -> Mapping[str, Any]:
        """Read the noise schedule."""
        ...

    def config(self, name: str) -> Mapping[str, Any]:
        """Read the configuration of a part."""
        ...


def open_source(base: BaseModelRef, pipeline: str, files: FamilyFiles | None) -> Source:
    """Open a base, whatever its layout. Raises ModelMissing or BadSpec naming what was found and what was expected."""
    if Path(base.path).is_file():
        return open_single_file(base, files or shipped(base.family))
    return DiffusersFolder(diffusers_folder(base, pipeline))


def load_schedule(base: BaseModelRef, source: Source) -> Mapping[str, Any]:
    """Read the noise schedule, with the prediction that a person gave the base where one did."""
    config = source.scheduler()
    if base.prediction is None:
        return config
    return {**config, "prediction_type": base.prediction, **(ZERO_SNR if base.has_zero_snr else {})}


def load_vae(base: BaseModelRef, source: Source) -> AutoencoderKL:
    """Load the base's own VAE, or the one chosen for it, in fp32: SDXL's overflows in fp16. Raises as open_source."""
    vae = _chosen(Path(base.vae_path), source) if base.vae_path else source.model(AutoencoderKL, "vae", torch.float32)
    if vae.config.latent_channels != LATENT_CHANNELS:
        raise BadSpec(
            f"The VAE of {base.name} has {vae.config.latent_channels} latent channels instead of {LATENT_CHANNELS}.",
            "Choose a VAE of the base's family.",
        )
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    vae.tile_sample_min_size = TILE_PX
    vae.tile_latent_min_size = TILE_PX // scale
    return vae


def _chosen(path: Path, source: Source) -> AutoencoderKL:
    own = source.config("vae")
    if path.is_file():
        return load_vae_file(path, own)
    folder = next((each for each in (path, path / "vae") if (each / "config.json").is_file()), None)
    if folder is None:
        raise ModelMissing(f"There is no VAE at {path}.", "Choose another under Base models, or the base's own.")
    found, expected = (
        float(config.get("scaling_factor", 0.18215)) for config in (read_json(folder, "config.json"), own)
    )
    if found != expected:
        raise BadSpec(
            f"The VAE at {path} scales latents by {found}, the base's by {expected}: it belongs to another family.",
            "Choose a VAE of the base's family.",
        )
    return load_model(AutoencoderKL, folder, torch.float32)


def identity(*models: nn.Module) -> str:
    """Return a hash of models' weights and settings: equal content, equal identity, wherever it was read from."""
    whole = hashlib.sha256()
    for model in models:
        whole.update(repr(sorted(_settings(model).items())).encode())
        for name, tensor in model.state_dict().items():
            whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            whole.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return whole.hexdigest()


def _settings(model: nn.Module) -> dict[str, str]:
    config: Any = model.config
    settings = config if isinstance(config, dict) else config.to_dict()
    return {str(key): str(value) for key, value in settings.items() if not str(key).startswith(IGNORED)}


def text_identity(models: Sequence[nn.Module], tokenizers: Sequence[CLIPTokenizer]) -> str:
    """Return the identity of text encoders with their tokenizers."""
    words = hashlib.sha256()
    for tokenizer in tokenizers:
        words.update(tokenizer.backend_tokenizer.to_str().encode() + str(tokenizer.pad_token).encode())
    return f"{identity(*models)}-{words.hexdigest()[:16]}"
