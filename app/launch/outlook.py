"""What a run will take of the GPU, for the page: phases as shares of a card, and the change by which it would fit."""

from dataclasses import dataclass

from app.contract.memory import (
    DEFAULT_CARD_GB,
    GB,
    PhaseMemory,
    card_bytes,
    forecast,
    gb_text,
)
from app.contract.optimizers import available
from app.contract.spec import TrainSpec
from app.contract.step_down import step_down

TONES = {
    "Base model": "base",
    "VAE": "vae",
    "Text encoders": "text",
    "LoRA": "lora",
    "Optimizer": "optimizer",
    "Gradients": "optimizer",
    "Activations": "activations",
    "Pixels at work": "activations",
    "Drawing and decoding": "activations",
    "CUDA and slack": "slack",
}
WIDTH = 100.0


@dataclass(frozen=True)
class Segment:
    """A share as a stretch of the bar, in hundredths of its width."""

    label: str
    size: str
    tone: str
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A phase as a bar; `limit_at` is where the card ends, `is_peak` says that no phase takes more."""

    label: str
    total: str
    segments: tuple[Segment, ...]
    limit_at: float
    is_over: bool
    is_peak: bool


@dataclass(frozen=True)
class Outlook:
    """The bars, what they are held against, and the advice."""

    bars: tuple[Bar, ...]
    card: str
    card_source: str
    peak: str
    fits: bool
    advice: str
    has_gpu: bool


def look_ahead(spec: TrainSpec, gpu_bytes: int | None = None) -> Outlook:
    """Reckon a run against its limit, else the GPU that was told, else a card of 8 GB."""
    card = card_bytes(spec, gpu_bytes)
    phases = forecast(spec, card)
    scale = max(card, *(phase.size for phase in phases))
    peak = max(phase.size for phase in phases)
    return Outlook(
        bars=tuple(
            _bar(phase, card, scale, peak) for phase in phases if phase.key != "sample" or spec.sampling.prompts
        ),
        card=gb_text(card),
        card_source=_source(spec, gpu_bytes),
        peak=gb_text(peak),
        fits=peak <= card,
        advice=_advice(spec, card),
        has_gpu=gpu_bytes is not None,
    )


def _source(spec: TrainSpec, gpu_bytes: int | None) -> str:
    if spec.optimization.memory_limit_gb:
        return "the memory limit set here"
    return "the GPU of this computer" if gpu_bytes else f"a card of {DEFAULT_CARD_GB:g} GB"


def _bar(phase: PhaseMemory, card: float, scale: float, peak: int) -> Bar:
    segments, at = [], 0.0
    for share in phase.shares:
        width = share.size / scale * WIDTH
        size = gb_text(share.size) if share.size >= GB / 10 else f"{share.size / 2**20:.0f} MB"
        segments.append(Segment(share.label, size, TONES[share.label], round(at, 2), round(width, 2)))
        at += width
    return Bar(
        label=phase.label,
        total=gb_text(phase.size),
        segments=tuple(segments),
        limit_at=round(card / scale * WIDTH, 2),
        is_over=phase.size > card,
        is_peak=phase.size == peak,
    )


def _advice(spec: TrainSpec, card: float) -> str:
    found = step_down(spec, card, available())
    if found is None:
        return ""
    words = f"{found.words[:1].upper()}{found.words[1:]}"
    if found.fits:
        return f"{words}: {gb_text(found.peak)}."
    return f"Nothing makes it fit. The least it can take is {gb_text(found.peak)}: {found.words}."
