"""Where the models are and how their numbers are kept: device, precision, and who is on the device when."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from app.contract import memory as plan
from app.contract.spec import Precision
from worker.errors import BadSpec

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """The device of a run and the precision that the base is kept and run in; the LoRA and the VAE are fp32 always."""

    device: torch.device
    dtype: torch.dtype


def choose_machine(precision: Precision) -> Machine:
    """Choose the best device there is. Raises BadSpec for a precision that it does not have."""
    device = _device()
    if precision == "auto":
        return Machine(device, _best_dtype(device))
    if precision == "fp16" and device.type != "cuda":
        raise BadSpec(
            f"Precision fp16 needs an NVIDIA GPU; this machine trains on {device.type}.",
            "Choose precision auto or fp32.",
        )
    if precision == "bf16" and not _has_bf16(device):
        raise BadSpec(f"The {device.type} of this machine has no bf16.", "Choose precision auto.")
    return Machine(device, DTYPES[precision])


def _device() -> torch.device:
    # With its number, as tensors tell theirs: a model on "cuda:0" would never be where plain "cuda" asks for it.
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps", 0) if torch.backends.mps.is_available() else torch.device("cpu")


def _best_dtype(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if _has_bf16(device) else torch.float16


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu"


@contextmanager
def on_device(models: Iterable[nn.Module], device: torch.device) -> Iterator[None]:
    """Keep models on the device for the block, and give its memory back after: each returns to where it was."""
    moved = [(model, next(model.parameters()).device) for model in models]
    try:
        # In here, too: what memory ran out for is half moved, and goes home.
        for model, _ in moved:
            model.to(device)
        yield
    finally:
        for model, home in moved:
            model.to(home)
        if device.type == "cuda" and any(home != device for _, home in moved):
            torch.cuda.empty_cache()


@contextmanager
def untouched(models: Iterable[nn.Module]) -> Iterator[None]:
    """Draw without a trace: no gradients, eval mode, and afterwards the modes and random numbers of before.

    Every step seeds the device's own random numbers anew, so only the CPU's are put back.
    """
    modes = [(model, model.training) for model in models]
    for model, _ in modes:
        model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for model, mode in modes:
            model.train(mode)


def needs_tiles(device: torch.device, pixels: int) -> bool:
    """Whether the VAE should work in tiles: large pictures on a small GPU, or under a small limit."""
    return device.type == "cuda" and plan.needs_tiles(pixels, card_bytes(device))


def limit_memory(machine: Machine, limit_gb: float | None) -> None:
    """Take no more of the GPU than the limit, so that more ends in words instead of spilling into main memory.

    Call it before anything moves to the device. Without a limit the whole card is the limit.
    """
    if machine.device.type != "cuda":
        return
    total = torch.cuda.get_device_properties(machine.device).total_memory
    share = min(1.0, limit_gb * plan.GB / total) if limit_gb else 1.0
    torch.cuda.set_per_process_memory_fraction(share, machine.device)


def card_bytes(device: torch.device) -> float:
    """The GPU memory that this process may take."""
    share = torch.cuda.get_per_process_memory_fraction(device)
    return float(share * torch.cuda.get_device_properties(device).total_memory)


def peak_bytes(device: torch.device) -> int:
    """The most GPU memory this process has held since the last call, its own context not counted; 0 without a GPU."""
    if device.type != "cuda":
        return 0
    peak = torch.cuda.max_memory_reserved(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak
