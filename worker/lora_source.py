"""An existing LoRA file to go on from, ours or kohya's: its weights by module, and where in the base each belongs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from app.contract.spec import LoraRef
from worker.errors import BadSpec, ModelMissing
from worker.families.base import Family
from worker.families.parts import with_text_model
from worker.lora_header import inspect

DENOISER_PREFIX = "lora_unet"
KNOWN = {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"}
NAMES_SHOWN = 3


@dataclass(frozen=True)
class SourceModule:
    """One module of the file: `down` [rank, in, …], `up` [out, rank, …], alpha, and DoRA's magnitudes."""

    down: Tensor
    up: Tensor
    alpha: float
    magnitude: Tensor | None

    @property
    def rank(self) -> int:
        """Its inner size."""
        return self.down.shape[0]


@dataclass(frozen=True)
class LoraSource:
    """A LoRA file read whole; `modules` by their names there."""

    name: str
    sha256: str
    modules: Mapping[str, SourceModule]

    @property
    def uses_dora(self) -> bool:
        """Whether every module has magnitudes of its own."""
        return all(module.magnitude is not None for module in self.modules.values())


def read_source(ref: LoraRef) -> LoraSource:
    """Read the LoRA file to go on from. Raises ModelMissing when it is gone, changed or damaged, BadSpec for a kind
    of LoRA that cannot be gone on with.
    """
    path = Path(ref.path)
    if not path.is_file():
        raise ModelMissing(f"The LoRA file {path} to go on from is gone.", "Put it back, or start without it.")
    inspect(path)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != ref.sha256:
            raise ModelMissing(f"The LoRA file {path} is not the one that was chosen; it changed.", "Choose it again.")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelMissing(f"The LoRA file {path} is damaged.", "Choose another.") from error
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        module, _, kind = key.partition(".")
        if kind not in KNOWN:
            raise BadSpec(
                f"{path.name} holds {key}, which is no part of a plain LoRA or DoRA.",
                "Files of LoHa, LoKr and other kinds can't be gone on from; choose a plain LoRA.",
            )
        grouped.setdefault(module, {})[kind] = tensor
    return LoraSource(path.name, ref.sha256, {name: _module(path, name, parts) for name, parts in grouped.items()})


def _module(path: Path, name: str, parts: Mapping[str, Tensor]) -> SourceModule:
    if not {"lora_down.weight", "lora_up.weight"} <= parts.keys():
        raise ModelMissing(f"{path.name} holds but half of the layer {name}.", "Choose another file.")
    down, magnitude = parts["lora_down.weight"].float(), parts.get("dora_scale")
    alpha = float(parts["alpha"]) if "alpha" in parts else float(down.shape[0])
    return SourceModule(down, parts["lora_up.weight"].float(), alpha, None if magnitude is None else magnitude.float())


def denoiser_places(family: Family) -> dict[str, str]:
    """Map every name that LoRA files give the denoiser's modules, this family's own or diffusers', to their paths."""
    paths = [path for path, layer in family.parts.denoiser.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    theirs = {flat(DENOISER_PREFIX, path): path for path in paths}
    return theirs | {flat(DENOISER_PREFIX, family.denoiser_name(path)): path for path in paths}


def text_places(family: Family, number: int) -> dict[str, str]:
    """Map the names that LoRA files give a text encoder's modules to their paths."""
    encoder = family.parts.text_encoders[number]
    prefixes = {family.text_prefixes[number], *(("lora_te", "lora_te1") if number == 0 else ())}
    paths = [path for path, layer in encoder.named_modules() if isinstance(layer, nn.Linear)]
    return {flat(prefix, with_text_model(path)): path for prefix in prefixes for path in paths}


def flat(prefix: str, path: str) -> str:
    """Return a module's name as LoRA files spell it."""
    return f"{prefix}_{path.replace('.', '_')}"


def check_all_placed(source: LoraSource, family: Family) -> None:
    """Raise BadSpec naming layers of the file that the base has no place for."""
    places = set(denoiser_places(family))
    for number in range(len(family.parts.text_encoders)):
        places |= set(text_places(family, number))
    lost = [name for name in source.modules if name not in places]
    if lost:
        raise BadSpec(
            f"{len(lost)} layers of {source.name} have no place in the base model: {', '.join(lost[:NAMES_SHOWN])}.",
            "Choose a LoRA of the base's family.",
        )
