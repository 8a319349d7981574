"""A base model in one .safetensors file of Stability's layout: its parts taken out, renamed and built, offline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights  # type: ignore[import-untyped]  # it ships no types
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPTokenizer

from app.contract.base_file import (
    CLIP_G,
    DENOISER,
    TEXT_PREFIXES,
    VAE,
    BaseFacts,
    NotABase,
    is_vae,
    recognise,
    sidecar_of,
)
from app.contract.families import FAMILIES, FamilyKey
from app.contract.spec import BaseModelRef
from app.contract.tensor_file import BadTensorFile, Header, read_header
from worker.errors import BadSpec, ModelMissing, first_line
from worker.families.parts import UNREADABLE, Model, load_tokenizer, read_json

COMPLETE_FILE = "Get a complete, undamaged copy of the model, or choose another base."
SHIPPED = Path(__file__).parent / "family_files"
VOCABULARY = Path(__file__).parent / "mini" / "base" / "tokenizer"
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
"""How a scheduler's configuration says that the schedule ends in pure noise, and that drawing begins there."""
OTHER_PADDING = "!"
"""SDXL's second tokenizer fills up with this word; the first with the end of the text."""


@dataclass(frozen=True)
class FamilyFiles:
    """What a single file does not hold: a folder of configurations as in a diffusers folder, and a vocabulary."""

    folder: Path
    vocabulary: Path


def shipped(family: FamilyKey) -> FamilyFiles:
    """What comes with the studio for a family."""
    return FamilyFiles(SHIPPED / family, VOCABULARY)


@dataclass(frozen=True)
class SingleFile:
    """The parts of a base that is one file."""

    path: Path
    header: Header
    facts: BaseFacts
    files: FamilyFiles

    def model(self, kind: type[Model], name: str, dtype: torch.dtype) -> Model:
        """Build one part. Raises ModelMissing when weights are absent or have another shape than the family's."""
        prefix = _prefix(self.facts.family, name)
        if name == "vae" and not self.facts.has_vae:
            raise ModelMissing(f"{self.path.name} holds no VAE.", "Choose a VAE for it under Base models.")
        return build(kind, self.config(name), read_tensors(self.path, self.header, prefix), dtype)

    def tokenizer(self, name: str) -> CLIPTokenizer:
        """Return CLIP's tokenizer. Raises ModelMissing when the vocabulary is another than the text encoder's."""
        encoder = name.replace("tokenizer", "text_encoder")
        tokenizer = load_tokenizer(self.files.vocabulary, OTHER_PADDING if name.endswith("_2") else None)
        expected = self.config(encoder)["vocab_size"]
        if len(tokenizer) != expected:
            raise ModelMissing(
                f"The vocabulary at {self.files.vocabulary} has {len(tokenizer):,} words, but the text encoder of "
                f"{self.path.name} knows {expected:,}.",
                "Restore it from the checkout, or train on a diffusers folder, which has its own.",
            )
        return tokenizer

    def scheduler(self) -> Mapping[str, Any]:
        """The family's noise schedule with the file's own prediction."""
        config = read_json(self.files.folder / "scheduler", "scheduler_config.json")
        config["prediction_type"] = self.facts.prediction
        return config | ZERO_SNR if self.facts.has_zero_snr else config

    def config(self, name: str) -> Mapping[str, Any]:
        """The configuration of a part."""
        return read_json(self.files.folder / name, "config.json")


def open_single_file(base: BaseModelRef, files: FamilyFiles) -> SingleFile:
    """Recognise the file a spec names. Raises ModelMissing or BadSpec saying what was found and what was expected."""
    path = Path(base.path)
    if path.suffix != ".safetensors":
        raise BadSpec(
            f"The base model {base.name} is {path.name}; of single files only .safetensors are read.",
            "A .ckpt can run any program when it is opened: convert it to .safetensors with a tool you trust.",
        )
    try:
        header = read_header(path)
        facts = recognise(header, sidecar_of(path))
    except (OSError, BadTensorFile) as error:
        raise ModelMissing(f"The base model {base.name} cannot be read: {error}.", COMPLETE_FILE) from error
    except NotABase as error:
        raise BadSpec(f"{path.name} cannot be trained on. {error.what}", error.hint) from error
    if facts.family != base.family:
        raise BadSpec(
            f"{path.name} is a {FAMILIES[facts.family].label} model; the run expects {FAMILIES[base.family].label}.",
            "Choose a base of the family the run was set up for.",
        )
    return SingleFile(path, header, facts, files)


def load_vae_file(path: Path, config: Mapping[str, Any]) -> AutoencoderKL:
    """Build a VAE from a file of its own, in either layout, in fp32. Raises ModelMissing or BadSpec."""
    try:
        header = read_header(path)
    except (OSError, BadTensorFile) as error:
        raise ModelMissing(f"The VAE {path.name} cannot be read: {error}.", "Choose another VAE.") from error
    if not is_vae(header):
        raise BadSpec(f"{path.name} is no VAE of four latent channels.", "Choose another VAE, or the base's own.")
    tensors = read_tensors(path, header, VAE if header.has(VAE) else "")
    if header.has("encoder.down_blocks."):
        return build(AutoencoderKL, config, tensors, torch.float32, is_converted=True)
    # With the prefix, the conversion takes these for a VAE, whatever else a name could mean.
    return build(AutoencoderKL, config, {VAE + key.removeprefix(VAE): tensors[key] for key in tensors}, torch.float32)


def read_tensors(path: Path, header: Header, prefix: str) -> dict[str, Tensor]:
    """Read the tensors whose names begin so. Raises ModelMissing for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in header.tensors if key.startswith(prefix)}
    except UNREADABLE as error:
        raise ModelMissing(f"{path.name} cannot be read: {first_line(error)}", COMPLETE_FILE) from error


def build(
    kind: type[Model],
    config: Mapping[str, Any],
    tensors: dict[str, Tensor],
    dtype: torch.dtype,
    *,
    is_converted: bool = False,
) -> Model:
    """Build a model by its configuration from a file's tensors, frozen and in eval mode. Raises ModelMissing."""
    with init_empty_weights(include_buffers=False):
        model = kind.from_config(dict(config)) if hasattr(kind, "from_config") else kind(kind.config_class(**config))
    found = tensors if is_converted else _converted(model, tensors, config)
    _check_shapes(kind.__name__, model, found)
    model.load_state_dict({key: found[key].to(dtype) for key in model.state_dict()}, strict=True, assign=True)
    model.requires_grad_(False)
    return model.eval()


def _converted(model: nn.Module, tensors: dict[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    if isinstance(model, UNet2DConditionModel):
        return convert_ldm_unet_checkpoint(tensors, config)
    if isinstance(model, AutoencoderKL):
        return convert_ldm_vae_checkpoint(tensors, config)
    if any(key.startswith(CLIP_G) for key in tensors):
        return convert_open_clip_checkpoint(model, tensors, prefix=CLIP_G)
    # Old merges leave out `text_model.`; so does transformers for encoders without projection.
    outer = "text_model." if hasattr(model, "text_model") else ""
    prefixes = (*TEXT_PREFIXES["sd15"], *TEXT_PREFIXES["sdxl"])
    stripped = {key.removeprefix(next(p for p in prefixes if key.startswith(p))): key for key in tensors}
    return {outer + name.removeprefix("text_model."): tensors[key] for name, key in stripped.items()}


def _check_shapes(name: str, model: nn.Module, found: Mapping[str, Tensor]) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise ModelMissing(
            f"The file lacks {len(missing)} of the {len(expected)} weights of {name}, such as {missing[0]}.",
            "It may be a distilled model of another shape, which cannot be trained on. " + COMPLETE_FILE,
        )
    for key, shape in expected.items():
        if tuple(found[key].shape) != shape:
            raise ModelMissing(
                f"{key} of {name} has the shape {list(found[key].shape)}; the family's has {list(shape)}.",
                COMPLETE_FILE,
            )


def _prefix(family: FamilyKey, name: str) -> str:
    texts = TEXT_PREFIXES[family]
    return {"unet": DENOISER, "vae": VAE, "text_encoder": texts[0], "text_encoder_2": texts[-1]}[name]
