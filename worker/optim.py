"""The optimizer and the learning rate at every step, a pure function of the step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from math import cos, pi
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer

from app.contract import spec
from app.contract.optimizers import FALLBACK, NEEDS_NVIDIA, PACKAGES, missing_package, way_out
from app.contract.spec import Optimization
from worker.errors import BadSpec
from worker.lora import Lora, LoraModule

SMALLEST_SCALE = 2.0**-8
"""Scales of healthy training lie in the thousands; from their start at 65,536 it takes 24 skipped steps to get here."""

ONE_RATE = ("prodigy", "prodigy-schedule-free")
"""These find one rate for all weights, so that no part can have a rate of its own."""

SMALLEST_FOUND_RATE = 0.1
Groups = list[dict[str, Any]]


def make_optimizer(lora: Lora, settings: Optimization) -> Optimizer:
    """Return the optimizer over the LoRA, a group for each rate. Raises BadSpec for what it cannot carry out."""
    groups = _groups(lora, settings)
    if not groups:
        raise BadSpec("Every part of the LoRA has a learning rate of 0, so nothing would train.", "Raise one of them.")
    if settings.optimizer in ONE_RATE and len({group["peak"] for group in groups}) > 1:
        raise BadSpec(
            f"The optimizer {settings.optimizer} finds one rate for all weights; the settings ask for several.",
            "Give the text encoders the denoiser's rate or 0 and every block the scale 1, or choose another optimizer.",
        )
    return MAKERS[settings.optimizer](groups, settings)


def check_optimizer(key: spec.Optimizer, device: torch.device) -> None:
    """Raise BadSpec for an optimizer that cannot run here; it takes no model, and so can be asked before any loads."""
    if package := missing_package(key):
        raise BadSpec(f"The optimizer {key} needs the package {package}, which is not installed.", way_out(key))
    if key in NEEDS_NVIDIA and device.type != "cuda":
        raise BadSpec(f"The optimizer {key} needs an NVIDIA GPU.", "Choose adamw, or adafactor for less memory.")


def _groups(lora: Lora, settings: Optimization) -> Groups:
    found: dict[tuple[int, float], list[Parameter]] = {}
    for module in lora.modules:
        peak = peak_of(module, settings)
        if module.is_trained and peak > 0:
            part = -1 if module.encoder is None else module.encoder
            found.setdefault((part, peak), []).extend(module.weights)
    return [{"params": weights, "peak": peak} for (_, peak), weights in found.items()]


def peak_of(module: LoraModule, settings: Optimization) -> float:
    """Return the highest rate that a module is trained at."""
    rates = (
        settings.learning_rate,
        settings.text_encoder_learning_rate,
        settings.text_encoder_2_learning_rate,
    )
    return module.rate_scale * rates[0 if module.encoder is None else module.encoder + 1]


def _adamw(groups: Groups, settings: Optimization) -> Optimizer:
    return AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _adamw_8bit(groups: Groups, settings: Optimization) -> Optimizer:
    return _library("adamw-8bit").optim.AdamW8bit(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _adafactor(groups: Groups, settings: Optimization) -> Optimizer:
    # The rate is the one that was set: neither found by time nor scaled by weights, which are zero in a fresh LoRA.
    return pytorch_optimizer.AdaFactor(
        groups,
        lr=settings.learning_rate,
        betas=(None, 0.999),
        weight_decay=settings.weight_decay,
        scale_parameter=False,
        relative_step=False,
        momentum_dtype=torch.float32,
    )


def _lion(groups: Groups, settings: Optimization) -> Optimizer:
    return pytorch_optimizer.Lion(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _came(groups: Groups, settings: Optimization) -> Optimizer:
    return pytorch_optimizer.CAME(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _prodigy(groups: Groups, settings: Optimization) -> Optimizer:
    return pytorch_optimizer.Prodigy(
        groups,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        bias_correction=True,
        safeguard_warmup=True,
    )


def _adamw_schedule_free(groups: Groups, settings: Optimization) -> Optimizer:
    return pytorch_optimizer.ScheduleFreeAdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _prodigy_schedule_free(groups: Groups, settings: Optimization) -> Optimizer:
    return _library("prodigy-schedule-free").ProdigyPlusScheduleFree(
        groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, split_groups=False, factored=False
    )


MAKERS: Mapping[spec.Optimizer, Callable[[Groups, Optimization], Optimizer]] = {
    "adamw": _adamw,
    "adamw-8bit": _adamw_8bit,
    "adafactor": _adafactor,
    "lion": _lion,
    "prodigy": _prodigy,
    "adamw-schedule-free": _adamw_schedule_free,
    "prodigy-schedule-free": _prodigy_schedule_free,
    "came": _came,
}
NAMES: Mapping[spec.Optimizer, str] = {
    "adamw": "torch.optim.adamw.AdamW",
    "adamw-8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "adafactor": "pytorch_optimizer.AdaFactor",
    "lion": "pytorch_optimizer.Lion",
    "prodigy": "pytorch_optimizer.Prodigy",
    "adamw-schedule-free": "pytorch_optimizer.ScheduleFreeAdamW",
    "prodigy-schedule-free": "prodigyplus.ProdigyPlusScheduleFree",
    "came": "pytorch_optimizer.CAME",
}


def optimizer_name(key: spec.Optimizer) -> str:
    """Return the class that an optimizer of the settings is."""
    return NAMES[key]


def _library(key: spec.Optimizer) -> Any:
    package = PACKAGES[key]
    try:
        return import_module(package.module)
    except (ImportError, OSError, RuntimeError) as error:
        # Installed, but not for this machine: it brings compiled parts for some GPUs and systems alone.
        raise BadSpec(
            f"The package {package.name}, which the optimizer {key} needs, cannot be loaded: {error}",
            f"Install it anew for this machine, or choose {FALLBACK}.",
        ) from error


def advice(settings: Optimization) -> str:
    """Say what is odd about the rate for the optimizer, or nothing."""
    if settings.optimizer in ONE_RATE and settings.learning_rate < SMALLEST_FOUND_RATE:
        return (
            f"The optimizer {settings.optimizer} multiplies the rate that it finds by the learning rate, "
            f"{settings.learning_rate:g}: it will learn next to nothing. A learning rate of 1 is meant for it."
        )
    return ""


def share_of_peak(settings: Optimization, step: int) -> float:
    """Return the share of the peak rate that the update after `step` finished steps uses.

    It rises over the warmup without ever being zero, then stays or falls until the last step: straight, along half a
    cosine, along a cosine in each cycle, or as REX does, late and then fast.
    """
    if step < settings.warmup_steps:
        return (step + 1) / (settings.warmup_steps + 1)
    done = min(1.0, (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps))
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "linear":
        return 1 - done
    if settings.schedule == "rex":
        return (1 - done) / (1 - done / 2)
    if settings.schedule == "cosine-restarts" and done < 1:
        done = done * settings.schedule_cycles % 1
    return (1 + cos(pi * done)) / 2


def set_rates(optimizer: Optimizer, settings: Optimization, step: int) -> float:
    """Set every group's rate for the next update and return the first group's, the denoiser's."""
    share = share_of_peak(settings, step)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    first = optimizer.param_groups[0]
    # Prodigy's own estimate is a factor of the rate that is really used.
    rate: float = first["lr"] * float(first.get("d", 1.0))
    return rate


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Show the weights that a schedule-free optimizer stands for, and put back in every bit those it trains."""
    if not hasattr(optimizer, "eval"):
        yield
        return
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    trained = [weight.detach().clone() for weight in weights]
    modes = [group["train_mode"] for group in optimizer.param_groups]
    optimizer.eval()
    try:
        yield
    finally:
        for group, mode in zip(optimizer.param_groups, modes, strict=True):
            group["train_mode"] = mode
        put_back(weights, trained)


@torch.no_grad()
def put_back(weights: list[Parameter], kept: list[Tensor]) -> None:
    """Copy kept values into weights."""
    for weight, value in zip(weights, kept, strict=True):
        weight.copy_(value)


def is_finite(lora: Lora) -> bool:
    """Whether every weight of the LoRA is a number; waits for the device."""
    return all(bool(torch.isfinite(weight).all()) for weight in lora.named().values())


def is_overflowing(scaler: torch.amp.GradScaler | None) -> bool:
    """Whether fp16 gradients overflow at every scale, so that all steps are skipped; waits for the device."""
    return scaler is not None and scaler.get_scale() < SMALLEST_SCALE
