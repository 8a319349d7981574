"""The headers of LoRA files: what one tells of itself."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from app.contract.base_file import FAMILY_OF_WIDTH
from app.contract.families import FAMILIES, FamilyKey
from app.contract.tensor_file import BadTensorFile, Header, read_header
from worker.errors import ModelMissing

DOWN = ".lora_down.weight"


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
    try:
        header = read_header(path)
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror or error})") from error
    except BadTensorFile as error:
        raise _refused(path, str(error)) from error
    names = [name.removesuffix(DOWN) for name in header.tensors if name.endswith(DOWN)]
    if not names or not all(len(header.shape(name + DOWN)) >= 2 for name in names):
        raise ModelMissing(
            f"{path.name} holds no LoRA layers in kohya's layout.", "Choose a LoRA .safetensors file in that layout."
        )
    return LoraFacts(
        family=_family(header),
        rank=header.shape(names[0] + DOWN)[0],
        alpha=_alpha(path, names[0], header),
        modules=len(names),
        trigger=header.metadata.get("modelspec.trigger_phrase", ""),
        uses_dora=any(name.endswith(".dora_scale") for name in header.tensors),
    )


def _refused(path: Path, reason: str) -> ModelMissing:
    return ModelMissing(f"The LoRA file {path} is not used: {reason}.", "Choose another .safetensors file.")


def _family(header: Header) -> FamilyKey | None:
    version = header.metadata.get("ss_base_model_version", "")
    for facts in FAMILIES.values():
        if version.startswith(facts.base_version.partition("base")[0]):
            return facts.key
    widths = {header.shape(name)[1] for name in header.tensors if name.endswith(f"attn2_to_k{DOWN}")}
    return next((FAMILY_OF_WIDTH[width] for width in widths if width in FAMILY_OF_WIDTH), None)


def _alpha(path: Path, name: str, header: Header) -> float | None:
    if f"{name}.alpha" not in header.tensors:
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return float(file.get_tensor(f"{name}.alpha"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _refused(path, "its tensors are damaged") from error
