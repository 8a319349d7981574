"""LoRA files in the layout that every common program reads: kohya's names, an alpha a module, fp16, string metadata."""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from app.contract.captions import tags
from app.contract.families import FAMILIES, FamilyKey
from app.contract.rundir import DatasetRow, publish
from app.contract.spec import TrainSpec
from worker.errors import ModelMissing, NonFiniteLoss
from worker.lora import Lora
from worker.objectives import Prediction

NETWORK_MODULE = "networks.lora"
TAGS_KEPT = 300
TAG_LENGTH = 100
MAX_HEADER_BYTES = 8_000_000
MAX_TENSORS = 20_000
MAX_VALUE_BYTES = 64_000
FAMILY_OF_TEXT_WIDTH: dict[int, FamilyKey] = {768: "sd15", 2048: "sdxl"}


@dataclass(frozen=True)
class Training:
    """What a LoRA file says of how it was made; times are UTC."""

    spec: TrainSpec
    rows: Sequence[DatasetRow]
    batches_per_epoch: int
    step: int
    prediction: Prediction
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class LoraFacts:
    """What a LoRA file's header tells; None where it says nothing."""

    family: FamilyKey | None
    rank: int | None
    alpha: float | None
    modules: int
    trigger: str


def tensors(lora: Lora) -> dict[str, Tensor]:
    """Return the file's tensors, fp16 and contiguous. Raises NonFiniteLoss when a weight does not fit into fp16."""
    kept = {}
    for name, weight in lora.named().items():
        half = weight.detach().to("cpu", torch.float16).contiguous()
        if not torch.isfinite(half).all():
            raise NonFiniteLoss(
                f"The LoRA's weight {name} grew beyond what a LoRA file can hold, so nothing was saved.",
                "Lower the learning rate and train again; the last checkpoint before this one is whole.",
            )
        kept[name] = half
    for module in lora.modules:
        kept[f"{module.file_name}.alpha"] = torch.tensor(lora.network.alpha, dtype=torch.float16)
    return kept


def write(path: Path, lora: Lora, training: Training) -> None:
    """Publish the LoRA with its metadata."""
    weights = tensors(lora)
    metadata = metadata_of(training)
    digest, legacy = hashes(weights, {key: text for key, text in metadata.items() if key.startswith("ss_")})
    metadata |= {
        "sshs_model_hash": digest,
        "sshs_legacy_hash": legacy,
        "modelspec.hash_sha256": f"0x{digest}",
    }
    publish(path, save(weights, metadata))


def hashes(weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[str, str]:
    """Return the hash of every tensor byte, and the old short hash of 64 KiB one megabyte into the file."""
    data = save(dict(weights), dict(metadata))
    start = 8 + struct.unpack("<Q", data[:8])[0]
    legacy = hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    return hashlib.sha256(data[start:]).hexdigest(), legacy


def metadata_of(training: Training) -> dict[str, str]:
    """Return what other programs look for in a LoRA file, every value a string."""
    facts = FAMILIES[training.spec.base.family]
    spec, settings = training.spec, training.spec.optimization
    epochs = settings.steps * settings.accumulation / training.batches_per_epoch
    resolution = f"{spec.data.resolution_px}x{spec.data.resolution_px}"
    found = {
        "ss_base_model_version": facts.base_version,
        "ss_v2": False,
        "ss_sd_model_name": spec.base.name,
        "ss_new_sd_model_hash": spec.base.sha256,
        "ss_output_name": spec.name,
        "ss_training_comment": f"{spec.purpose} LoRA by LoRA Studio, trigger word: {spec.trigger_word or 'none'}",
        "ss_training_started_at": training.started_at.timestamp(),
        "ss_training_finished_at": training.finished_at.timestamp(),
        "ss_steps": training.step,
        "ss_max_train_steps": settings.steps,
        "ss_epoch": training.step * settings.accumulation // training.batches_per_epoch,
        "ss_num_epochs": max(1, round(epochs)),
        "ss_num_batches_per_epoch": training.batches_per_epoch,
        "ss_seed": settings.seed,
        **_network(spec),
        **_optimization(spec),
        **_dataset(training),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": facts.architecture,
        "modelspec.implementation": facts.implementation,
        "modelspec.title": spec.name,
        "modelspec.description": f"{spec.purpose} LoRA of {spec.project}, step {training.step}",
        "modelspec.date": training.finished_at.astimezone(UTC).isoformat(timespec="seconds"),
        "modelspec.resolution": resolution,
        "modelspec.prediction_type": "v" if training.prediction == "v_prediction" else "epsilon",
    }
    if spec.trigger_word:
        found["modelspec.trigger_phrase"] = spec.trigger_word
    return {key: _text(value) for key, value in found.items()}


def _network(spec: TrainSpec) -> dict[str, Any]:
    return {
        "ss_network_module": NETWORK_MODULE,
        "ss_network_dim": spec.network.rank,
        "ss_network_alpha": spec.network.alpha,
        "ss_network_dropout": None,
        "ss_network_args": {"targets": spec.network.targets},
    }


def _optimization(spec: TrainSpec) -> dict[str, Any]:
    settings = spec.optimization
    return {
        "ss_learning_rate": settings.learning_rate,
        "ss_unet_lr": settings.learning_rate,
        "ss_text_encoder_lr": settings.text_encoder_learning_rate or None,
        "ss_optimizer": f"torch.optim.adamw.AdamW(weight_decay={settings.weight_decay})",
        "ss_lr_scheduler": settings.schedule,
        "ss_lr_warmup_steps": settings.warmup_steps,
        "ss_max_grad_norm": settings.max_grad_norm,
        "ss_min_snr_gamma": settings.min_snr_gamma,
        "ss_mixed_precision": settings.precision,
        "ss_gradient_checkpointing": settings.gradient_checkpointing,
        "ss_gradient_accumulation_steps": settings.accumulation,
        "ss_batch_size_per_device": settings.batch,
        "ss_total_batch_size": settings.batch * settings.accumulation,
        "ss_loss_type": "l2",
    }


def _dataset(training: Training) -> dict[str, Any]:
    data, rows = training.spec.data, training.rows
    folders = {repeats: f"{repeats}_{training.spec.project}" for repeats in sorted({row.repeats for row in rows})}
    buckets = Counter({row.bucket: 0 for row in rows})
    for row in rows:
        buckets[row.bucket] += row.repeats
    sizes = [{"resolution": [size.width, size.height], "count": count} for size, count in sorted(buckets.items())]
    errors = [abs(row.size.aspect - row.bucket.aspect) for row in rows]
    return {
        "ss_num_train_images": sum(row.repeats for row in rows),
        "ss_num_reg_images": 0,
        "ss_resolution": f"({data.resolution_px}, {data.resolution_px})",
        "ss_enable_bucket": True,
        "ss_bucket_no_upscale": False,
        "ss_bucket_info": {
            "buckets": {str(number): size for number, size in enumerate(sizes)},
            "mean_img_ar_error": sum(errors) / len(errors),
        },
        "ss_dataset_dirs": {
            folder: {"n_repeats": repeats, "img_count": sum(row.repeats == repeats for row in rows)}
            for repeats, folder in folders.items()
        },
        "ss_tag_frequency": {
            folder: _frequency(row for row in rows if row.repeats == repeats) for repeats, folder in folders.items()
        },
        "ss_shuffle_caption": data.shuffles_tags,
        "ss_keep_tokens": data.keep_tags,
        "ss_caption_dropout_rate": data.caption_dropout,
    }


def _frequency(rows: Iterable[DatasetRow]) -> dict[str, int]:
    counts = Counter(tag.lower()[:TAG_LENGTH] for row in rows for tag in tags(row.text))
    return dict(counts.most_common(TAGS_KEPT))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


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
