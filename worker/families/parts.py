"""Reading the parts of a base model from a diffusers folder: named classes, local files, safetensors, nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from app.contract.spec import BaseModelRef
from worker.errors import BadSpec, ModelMissing, first_line

Model = TypeVar("Model", UNet2DConditionModel, AutoencoderKL, CLIPTextModel, CLIPTextModelWithProjection)

UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError)
"""What the libraries raise, in practice, on absent, damaged or foreign files."""

FULL_COPY = "Give the folder of a complete diffusers copy of the model, with .safetensors weights."
LATENT_CHANNELS = 4


def diffusers_folder(base: BaseModelRef, pipeline: str) -> Path:
    """Return the base's folder once it is known to hold the pipeline expected. Raises ModelMissing or BadSpec."""
    path = Path(base.path)
    if not path.exists():
        raise ModelMissing(
            f"The base model {base.name} is not at {path}.",
            "Put it back, or name its new folder under Base models and train again.",
        )
    found = read_json(path, "model_index.json").get("_class_name")
    if found != pipeline:
        raise BadSpec(
            f"The base model {base.name} at {path} is a {found}; the run expects a {pipeline}.",
            "Choose a base of the family the run was set up for.",
        )
    return path


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read one of the folder's JSON files. Raises ModelMissing when it is absent or damaged."""
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMissing(f"{folder / name} is missing or damaged: {error}", FULL_COPY) from error
    if not isinstance(data, dict):
        raise ModelMissing(f"{folder / name} holds no settings.", FULL_COPY)
    return data


def load_model(kind: type[Model], folder: Path, dtype: torch.dtype) -> Model:
    """Load one model, frozen and in eval mode. Raises ModelMissing when files or weights are absent or do not fit."""
    read_json(folder, "config.json")
    names = (
        {"dtype": dtype} if issubclass(kind, CLIPTextModel | CLIPTextModelWithProjection) else {"torch_dtype": dtype}
    )
    try:
        model, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            variant=_variant(folder),
            output_loading_info=True,
            **names,
        )
    except UNREADABLE as error:
        raise ModelMissing(f"{folder} cannot be read as {kind.__name__}: {first_line(error)}", FULL_COPY) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelMissing(
            f"{folder} lacks {len(missing)} weights that {kind.__name__} has, such as {missing[0]}.", FULL_COPY
        )
    model.requires_grad_(False)
    return model.eval()


def _variant(folder: Path) -> str | None:
    weights = [file.name for file in folder.glob("*.safetensors")]
    if not weights:
        found = ", ".join(sorted(file.name for file in folder.iterdir())) or "nothing"
        raise ModelMissing(f"{folder} holds no .safetensors weights; it holds: {found}.", FULL_COPY)
    return "fp16" if all(".fp16" in name for name in weights) else None


def load_tokenizer(folder: Path, padding: str | None = None) -> CLIPTokenizer:
    """Load a tokenizer, with another padding word where one is given. Raises ModelMissing without a vocabulary."""
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise ModelMissing(f"{folder} holds no tokenizer.json or vocab.json.", FULL_COPY)
    try:
        named = {"pad_token": padding} if padding else {}
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True, **named)
    except UNREADABLE as error:
        raise ModelMissing(f"{folder} cannot be read as a CLIP tokenizer: {first_line(error)}", FULL_COPY) from error


def check_denoiser(base: BaseModelRef, denoiser: UNet2DConditionModel, text_width: int) -> None:
    """Raise BadSpec when the denoiser is of another make than text-to-image over this conditioning width."""
    channels, width = denoiser.config.in_channels, denoiser.config.cross_attention_dim
    if channels != LATENT_CHANNELS:
        raise BadSpec(
            f"The denoiser of {base.name} takes {channels} channels; a text-to-image base takes {LATENT_CHANNELS}.",
            "Inpainting and editing models can't be trained on; choose the plain text-to-image model.",
        )
    if width != text_width:
        raise BadSpec(
            f"The denoiser of {base.name} reads text {width} wide, but its text encoders write it {text_width} wide.",
            FULL_COPY,
        )


def with_text_model(path: str) -> str:
    """Return the path of a text encoder's module with the leading `text_model.` that files always have."""
    return path if path.startswith("text_model.") else f"text_model.{path}"


@dataclass(frozen=True)
class DiffusersFolder:
    """The parts of a base that is a diffusers folder."""

    path: Path

    def model(self, kind: type[Model], name: str, dtype: torch.dtype) -> Model:
        """Load one part. Raises ModelMissing."""
        return load_model(kind, self.path / name, dtype)

    def tokenizer(self, name: str) -> CLIPTokenizer:
        """Load a tokenizer. Raises ModelMissing."""
        return load_tokenizer(self.path / name)

    def scheduler(self) -> Mapping[str, Any]:
        """Read the base's noise schedule."""
        return read_json(self.path / "scheduler", "scheduler_config.json")

    def config(self, name: str) -> Mapping[str, Any]:
        """Read the configuration of a part."""
        return read_json(self.path / name, "config.json")
