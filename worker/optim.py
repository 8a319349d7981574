"""The optimizer and the learning rate at every step, a pure function of the step."""

from math import cos, pi

import torch
from torch.optim import AdamW, Optimizer

from app.contract.spec import Optimization
from worker.lora import Lora

SMALLEST_SCALE = 2.0**-8
"""Scales of healthy training lie in the thousands; from their start at 65,536 it takes 24 skipped steps to get here."""


def make_optimizer(lora: Lora, settings: Optimization) -> AdamW:
    """Return AdamW over the LoRA: the denoiser's weights, then the text encoders' at their own rate where trained."""
    groups = [{"params": lora.parameters(is_text=False), "peak": settings.learning_rate}]
    if text := lora.parameters(is_text=True):
        groups.append({"params": text, "peak": settings.text_encoder_learning_rate})
    return AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def share_of_peak(settings: Optimization, step: int) -> float:
    """Return the share of the peak rate that the update after `step` finished steps uses.

    It rises over the warmup without ever being zero, then stays or falls along half a cosine to the last step.
    """
    if step < settings.warmup_steps:
        return (step + 1) / (settings.warmup_steps + 1)
    if settings.schedule == "constant":
        return 1.0
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return (1 + cos(pi * min(1.0, done))) / 2


def set_rates(optimizer: Optimizer, settings: Optimization, step: int) -> float:
    """Set every group's rate for the next update and return the first group's, the denoiser's."""
    share = share_of_peak(settings, step)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def is_finite(lora: Lora) -> bool:
    """Whether every weight of the LoRA is a number; waits for the device."""
    return all(bool(torch.isfinite(weight).all()) for weight in lora.named().values())


def is_overflowing(scaler: torch.amp.GradScaler | None) -> bool:
    """Whether fp16 gradients overflow at every scale, so that all steps are skipped; waits for the device."""
    return scaler is not None and scaler.get_scale() < SMALLEST_SCALE
