"""The headers of LoRA files: what one tells of itself, read with bounds on everything it claims."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from app.contract.families import FAMILIES, FamilyKey
from worker.errors import ModelMissing

MAX_HEADER_BYTES = 8_000_000
MAX_TENSORS = 20_000
MAX_VALUE_BYTES = 64_000
FAMILY_OF_TEXT_WIDTH: dict[int, FamilyKey] = {768: "sd15", 2048: "sdxl"}


@dataclass(frozen=True)
class LoraFacts:
    """What a LoRA file's header tells; None where it says nothing."""

    family: FamilyKey | None
    rank: int | None
    alpha: float | None
    modules: int
    trigger: str
    uses_dora: bool = False


def inspect(path: Path) -> LoraFacts:
    """Read a LoRA file's facts from its header. Raises ModelMissing for a file that is no sane LoRA file."""
    header = read_header(path)
    metadata = header.pop("__metadata__", {})
    names = [name.removesuffix(".lora_down.weight") for name in header if name.endswith(".lora_down.weight")]
    if not names:
        raise ModelMissing(
            f"{path.name} holds no LoRA layers in kohya's layout.", "Choose a LoRA .safetensors file in that layout."
        )
    shape = header[f"{names[0]}.lora_down.weight"]["shape"]
    return LoraFacts(
        family=_family(header, metadata),
        rank=int(shape[0]),
        alpha=_alpha(path, names[0], header),
        modules=len(names),
        trigger=metadata.get("modelspec.trigger_phrase", ""),
        uses_dora=any(name.endswith(".dora_scale") for name in header),
    )


def read_header(path: Path) -> dict[str, Any]:
    """Read a safetensors header with bounds on its length, tensor count and metadata. Raises ModelMissing."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > MAX_HEADER_BYTES:
                raise _refused(path, f"its header is said to be {length:,} bytes long")
            header = json.loads(file.read(length))
    except (OSError, ValueError, struct.error, RecursionError) as error:
        raise _refused(path, "it cannot be read as safetensors") from error
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise _refused(path, "its header is no list of tensors of a sane length")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or any(len(str(text)) > MAX_VALUE_BYTES for text in metadata.values()):
        raise _refused(path, "its metadata is too long")
    if not all(isinstance(entry, dict) and ("shape" in entry or entry is metadata) for entry in header.values()):
        raise _refused(path, "its header describes no tensors")
    return header


def _refused(path: Path, reason: str) -> ModelMissing:
    return ModelMissing(f"The LoRA file {path} is not used: {reason}.", "Choose another .safetensors file.")


def _family(header: Mapping[str, Any], metadata: Mapping[str, str]) -> FamilyKey | None:
    version = metadata.get("ss_base_model_version", "")
    for facts in FAMILIES.values():
        if version.startswith(facts.base_version.partition("base")[0]):
            return facts.key
    widths = {entry["shape"][1] for name, entry in header.items() if name.endswith("attn2_to_k.lora_down.weight")}
    return next((FAMILY_OF_TEXT_WIDTH[width] for width in widths if width in FAMILY_OF_TEXT_WIDTH), None)


def _alpha(path: Path, name: str, header: Mapping[str, Any]) -> float | None:
    if f"{name}.alpha" not in header:
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return float(file.get_tensor(f"{name}.alpha"))
    except (OSError, SafetensorError) as error:
        raise _refused(path, "its tensors are damaged") from error
