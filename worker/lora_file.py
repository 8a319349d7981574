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
from safetensors.torch import save
from torch import Tensor

from app.contract.captions import tags
from app.contract.families import FAMILIES
from app.contract.rundir import DatasetRow, publish
from app.contract.spec import TrainSpec
from worker.errors import NonFiniteLoss
from worker.lora import Lora
from worker.objectives import Objective
from worker.optim import optimizer_name

NETWORK_MODULE = "networks.lora"
TAGS_KEPT = 300
TAG_LENGTH = 100


@dataclass(frozen=True)
class Training:
    """What a LoRA file says of how it was made; times are UTC."""

    spec: TrainSpec
    rows: Sequence[DatasetRow]
    batches_per_epoch: int
    step: int
    objective: Objective
    started_at: datetime
    finished_at: datetime


def tensors(lora: Lora) -> dict[str, Tensor]:
    """Return the file's tensors, fp16 and contiguous. Raises NonFiniteLoss when a weight does not fit into fp16.

    Every module is given the alpha that most have, its own strength in `up`: diffusers passes over alphas that differ.
    """
    ((alpha, _),) = Counter(module.alpha for module in lora.modules).most_common(1)
    kept = {}
    for module in lora.modules:
        name = module.file_name
        kept[f"{name}.lora_down.weight"] = _half(name, module.down)
        kept[f"{name}.lora_up.weight"] = _half(name, module.up * (module.alpha / alpha))
        kept[f"{name}.alpha"] = torch.tensor(alpha, dtype=torch.float16)
        if module.magnitude is not None:
            # Programs that read DoRA tell by these axes that the lengths are of the outputs.
            axes = (1,) * (module.up.dim() - 1)
            kept[f"{name}.dora_scale"] = _half(name, module.magnitude.reshape(-1, *axes))
    return kept


def _half(name: str, weight: Tensor) -> Tensor:
    half = weight.detach().to("cpu", torch.float16).contiguous()
    if not torch.isfinite(half).all():
        raise NonFiniteLoss(
            f"The LoRA's weight {name} grew beyond what a LoRA file can hold, so nothing was saved.",
            "Lower the learning rate and train again; the last checkpoint before this one is whole.",
        )
    return half


def write(path: Path, lora: Lora, training: Training) -> None:
    """Publish the LoRA with its metadata."""
    weights = tensors(lora)
    metadata = metadata_of(training) | {key: str(value) for key, value in _shape(lora).items()}
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
    is_v = training.objective.prediction == "v_prediction"
    # Other trainers mark the oldest family alone in this way.
    mark = "_v" if is_v and spec.base.family == "sd15" else ""
    epochs = settings.steps * settings.accumulation / training.batches_per_epoch
    resolution = f"{spec.data.resolution_px}x{spec.data.resolution_px}"
    found = {
        "ss_base_model_version": facts.base_version + mark,
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
        "modelspec.prediction_type": "v" if is_v else "epsilon",
        "ss_zero_terminal_snr": training.objective.has_zero_snr,
    }
    if spec.trigger_word:
        found["modelspec.trigger_phrase"] = spec.trigger_word
    return {key: _text(value) for key, value in found.items()}


def _shape(lora: Lora) -> dict[str, Any]:
    """The rank and alpha that most modules have; a LoRA that was gone on from keeps its own."""
    ((rank, alpha), _), *_ = Counter((module.rank, module.alpha) for module in lora.modules).most_common(1)
    return {"ss_network_dim": rank, "ss_network_alpha": alpha}


def _network(spec: TrainSpec) -> dict[str, Any]:
    network = spec.network
    arguments: dict[str, Any] = {"targets": network.targets}
    if network.conv_rank:
        arguments |= {"conv_dim": network.conv_rank, "conv_alpha": network.conv_alpha}
    if network.uses_dora:
        arguments["dora_wd"] = True
    if network.is_rank_stabilised:
        arguments["rs_lora"] = True
    if network.blocks:
        arguments["blocks"] = {block.prefix: [block.rank, block.learning_rate_scale] for block in network.blocks}
    return {
        "ss_network_module": NETWORK_MODULE,
        "ss_network_dim": network.rank,
        "ss_network_alpha": network.alpha,
        "ss_network_dropout": network.dropout or None,
        "ss_network_args": arguments,
    }


def _optimization(spec: TrainSpec) -> dict[str, Any]:
    settings = spec.optimization
    is_min_snr, is_plain = settings.weighting == "min-snr", settings.loss == "l2"
    return {
        "ss_learning_rate": settings.learning_rate,
        "ss_unet_lr": settings.learning_rate,
        "ss_text_encoder_lr": _text_rates(spec),
        "ss_optimizer": f"{optimizer_name(settings.optimizer)}(weight_decay={settings.weight_decay})",
        "ss_lr_scheduler": settings.schedule,
        "ss_lr_warmup_steps": settings.warmup_steps,
        "ss_max_grad_norm": settings.max_grad_norm,
        "ss_min_snr_gamma": settings.min_snr_gamma if is_min_snr else None,
        "ss_debiased_estimation": settings.weighting == "debiased",
        "ss_noise_offset": settings.noise_offset or None,
        "ss_multires_noise_discount": settings.multires_noise or None,
        "ss_mixed_precision": settings.precision,
        "ss_gradient_checkpointing": settings.gradient_checkpointing,
        "ss_gradient_accumulation_steps": settings.accumulation,
        "ss_batch_size_per_device": settings.batch,
        "ss_total_batch_size": settings.batch * settings.accumulation,
        "ss_loss_type": settings.loss.replace("-", "_"),
        "ss_huber_c": None if is_plain else settings.huber_delta,
        "ss_prior_loss_weight": spec.data.prior_weight,
        "ss_clip_skip": spec.data.clip_skip if spec.data.clip_skip > 1 else None,
    }


def _text_rates(spec: TrainSpec) -> object:
    settings = spec.optimization
    rates = (settings.text_encoder_learning_rate, settings.text_encoder_2_learning_rate)
    if FAMILIES[spec.base.family].text_encoders == 1 or not rates[1]:
        return rates[0] or None
    return list(rates)


def _dataset(training: Training) -> dict[str, Any]:
    data = training.spec.data
    priors = [row for row in training.rows if row.split == "regularisation"]
    held_out = sum(row.split == "held-out" for row in training.rows)
    rows = [row for row in training.rows if row.split == "train"] or training.rows
    folders = {repeats: f"{repeats}_{training.spec.project}" for repeats in sorted({row.repeats for row in rows})}
    buckets = Counter({row.bucket: 0 for row in rows})
    for row in rows:
        buckets[row.bucket] += row.repeats
    sizes = [{"resolution": [size.width, size.height], "count": count} for size, count in sorted(buckets.items())]
    errors = [abs(row.size.aspect - row.bucket.aspect) for row in rows]
    return {
        "ss_num_train_images": sum(row.repeats for row in rows),
        "ss_num_reg_images": sum(row.repeats for row in priors),
        "ss_num_validation_images": held_out,
        "ss_resolution": f"({data.resolution_px}, {data.resolution_px})",
        "ss_enable_bucket": True,
        "ss_bucket_no_upscale": not data.enlarges,
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
        "ss_caption_tag_dropout_rate": data.tag_dropout,
        "ss_flip_aug": data.mirrors,
    }


def _frequency(rows: Iterable[DatasetRow]) -> dict[str, int]:
    counts = Counter(tag.lower()[:TAG_LENGTH] for row in rows for tag in tags(row.text))
    return dict(counts.most_common(TAGS_KEPT))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
