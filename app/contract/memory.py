"""How much GPU memory a run takes, phase by phase, reckoned before it starts: shown by the page, asked by the worker.

A gigabyte is 2^30 bytes here, as on the label of a card.
"""

from dataclasses import dataclass
from typing import Literal

from app.contract.families import FamilyKey
from app.contract.spec import Optimizer, Storage, TrainSpec

GB = 2**30
TILE_PX = 512
SMALL_CARD_BYTES = 12 * GB
DEFAULT_CARD_GB = 8.0

PhaseKey = Literal["encode", "train", "sample"]


@dataclass(frozen=True)
class Counts:
    """Parameters of a family, counted off the models that its published configurations describe.

    `linear` and `conv` are the denoiser's layers inside its blocks, which base storage covers; `largest` is the biggest
    of them. The LoRA's are for each rank; those of the text encoders stand in their order.
    """

    denoiser: int
    linear: int
    conv: int
    largest: int
    vae: int
    text: tuple[int, ...]
    lora_attention: int
    lora_attention_mlp: int
    lora_conv: int
    text_lora_attention: tuple[int, ...]
    text_lora_attention_mlp: tuple[int, ...]
    text_widths: tuple[int, ...]
    text_layers: tuple[int, ...]


COUNTS: dict[FamilyKey, Counts] = {
    "sd15": Counts(
        denoiser=859_520_964,
        linear=268_001_280,
        conv=589_004_800,
        largest=29_491_200,
        vae=83_653_863,
        text=(123_060_480,),
        lora_attention=199_296,
        lora_attention_mlp=423_936,
        lora_conv=544_000,
        text_lora_attention=(73_728,),
        text_lora_attention_mlp=(165_888,),
        text_widths=(768,),
        text_layers=(12,),
    ),
    "sdxl": Counts(
        denoiser=2_567_463_684,
        linear=2_225_356_800,
        conv=333_209_600,
        largest=29_491_200,
        vae=83_653_863,
        text=(123_060_480, 694_659_840),
        lora_attention=1_451_520,
        lora_attention_mlp=2_659_840,
        lora_conv=355_840,
        text_lora_attention=(73_728, 327_680),
        text_lora_attention_mlp=(165_888, 737_280),
        text_widths=(768, 1280),
        text_layers=(12, 32),
    ),
}


@dataclass(frozen=True)
class Calibration:
    """What tensors of a step take, in bytes a pixel of the bucket and image of the batch, under autocast.

    Counted live bytes of one step at rank 16 (SD 1.5 at 512 and 768 px, SDXL at 768 and 1024 px, all within 2 % of
    one line); a run on a card records its real peak, by which these are to be mended.
    """

    full: float
    checkpointed: float
    drawing: float


CALIBRATION: dict[FamilyKey, Calibration] = {
    "sd15": Calibration(full=5230, checkpointed=1340, drawing=300),
    "sdxl": Calibration(full=8570, checkpointed=775, drawing=300),
}
CONTEXT_BYTES = 800_000_000
"""CUDA's own context, workspaces of its libraries, and what the allocator cannot fill."""
VAE_ENCODE_BYTES_PX = 1910
VAE_DECODE_BYTES_PX = 3820
"""Working memory of the VAE in fp32, a pixel."""
TEXT_BYTES = 40
"""Kept for the way back through a text encoder, a token, layer and unit of width."""
STORED_BYTES: dict[Storage, float] = {"full": 2, "fp8": 1, "int8": 1.01, "nf4": 0.57}
"""A weight of a linear layer in base storage, scales included; convolutions never take less than 8 bits."""
STATE_BYTES: dict[Optimizer, float] = {
    "adamw": 8,
    "adamw-8bit": 2.1,
    "adafactor": 0.5,
    "lion": 4,
    "prodigy": 16,
    "adamw-schedule-free": 8,
    "prodigy-schedule-free": 16,
    "came": 5,
}
"""What an optimizer keeps for each trained parameter."""


@dataclass(frozen=True)
class Share:
    """One part of a phase's memory."""

    label: str
    size: int


@dataclass(frozen=True)
class PhaseMemory:
    """What is on the card at the peak of a phase."""

    key: PhaseKey
    label: str
    shares: tuple[Share, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(share.size for share in self.shares)


def forecast(spec: TrainSpec, card_bytes: float) -> tuple[PhaseMemory, ...]:
    """Reckon the three phases of a run on a GPU with so much memory, in their order."""
    shares = _encode(spec, card_bytes), _train(spec), _sample(spec, card_bytes)
    names: tuple[tuple[PhaseKey, str], ...] = (("encode", "Encoding"), ("train", "Training"), ("sample", "Samples"))
    context = Share("CUDA and slack", CONTEXT_BYTES)
    return tuple(
        PhaseMemory(key, label, (*(share for share in found if share.size), context))
        for (key, label), found in zip(names, shares, strict=True)
    )


def peak(spec: TrainSpec, card_bytes: float) -> int:
    """The most that any phase takes."""
    return max(phase.size for phase in forecast(spec, card_bytes))


def card_bytes(spec: TrainSpec, gpu_bytes: int | None = None) -> float:
    """What the run may take: its own limit, else the card's memory, else that of a small card."""
    if spec.optimization.memory_limit_gb:
        return spec.optimization.memory_limit_gb * GB
    return gpu_bytes or DEFAULT_CARD_GB * GB


def weight_bytes(spec: TrainSpec) -> int:
    """Bytes a weight of the base takes where it is not stored smaller."""
    return 4 if spec.optimization.precision == "fp32" else 2


def trained(spec: TrainSpec) -> int:
    """How many parameters the LoRA has."""
    counts, network, settings = COUNTS[spec.base.family], spec.network, spec.optimization
    is_attention = network.targets == "attention"
    found = network.rank * (counts.lora_attention if is_attention else counts.lora_attention_mlp)
    found += network.conv_rank * counts.lora_conv
    rates = (settings.text_encoder_learning_rate, settings.text_encoder_2_learning_rate)
    texts = counts.text_lora_attention if is_attention else counts.text_lora_attention_mlp
    return found + sum(network.rank * each for each, rate in zip(texts, rates, strict=False) if rate)


def base_bytes(spec: TrainSpec) -> int:
    """What the frozen denoiser takes on the card."""
    counts, storage, full = COUNTS[spec.base.family], spec.optimization.base_storage, weight_bytes(spec)
    rest = counts.denoiser - counts.linear - counts.conv
    if spec.optimization.offloads_blocks:
        # Two of the largest layers: the one at work, and the one on its way.
        return rest * full + 2 * counts.largest * full
    if storage == "full":
        return counts.denoiser * full
    stored = counts.linear * STORED_BYTES[storage] + counts.conv * max(1.0, STORED_BYTES[storage])
    return int(rest * full + stored + counts.largest * full)


def _encode(spec: TrainSpec, card: float) -> list[Share]:
    counts, pixels = COUNTS[spec.base.family], spec.data.resolution_px**2
    vae = [
        Share("VAE", counts.vae * 4),
        Share("Pixels at work", int(VAE_ENCODE_BYTES_PX * tiled(pixels, card))),
    ]
    texts = [Share("Text encoders", sum(counts.text) * weight_bytes(spec))]
    # They take turns: whichever is larger makes the peak.
    return max((vae, texts), key=lambda shares: sum(share.size for share in shares))


def _train(spec: TrainSpec) -> list[Share]:
    settings, calibration = spec.optimization, CALIBRATION[spec.base.family]
    pixels = spec.data.resolution_px**2 * settings.batch
    a_pixel = calibration.checkpointed if settings.gradient_checkpointing else calibration.full
    # Full precision keeps four bytes where autocast keeps between two and four.
    scale = 1.4 if weight_bytes(spec) == 4 else 1.0
    return [
        *_resident(spec),
        Share("Gradients", trained(spec) * 4),
        Share("Activations", int(pixels * a_pixel * scale)),
    ]


def _sample(spec: TrainSpec, card: float) -> list[Share]:
    if not spec.sampling.prompts:
        return []
    counts, pixels = COUNTS[spec.base.family], spec.sampling.width_px * spec.sampling.height_px
    # With guidance two are drawn at a time; the VAE comes after them.
    drawing = int(2 * pixels * CALIBRATION[spec.base.family].drawing)
    decoding = int(counts.vae * 4 + VAE_DECODE_BYTES_PX * tiled(pixels, card))
    return [*_resident(spec), Share("Drawing and decoding", max(drawing, decoding))]


def _resident(spec: TrainSpec) -> list[Share]:
    settings, parameters = spec.optimization, trained(spec)
    shares = [
        Share("Base model", base_bytes(spec)),
        Share("LoRA", parameters * (8 if settings.ema_decay else 4)),
        Share("Optimizer", int(parameters * STATE_BYTES[settings.optimizer])),
    ]
    if trains_text(spec):
        shares.append(Share("Text encoders", _text_bytes(spec)))
    return shares


def trains_text(spec: TrainSpec) -> bool:
    """Whether a text encoder is trained, so that all of them stay on the card."""
    settings = spec.optimization
    second = settings.text_encoder_2_learning_rate if spec.base.family == "sdxl" else 0
    return bool(settings.text_encoder_learning_rate or second)


def _text_bytes(spec: TrainSpec) -> int:
    counts, tokens = COUNTS[spec.base.family], 77 * spec.data.max_chunks * spec.optimization.batch
    kept = sum(width * layers for width, layers in zip(counts.text_widths, counts.text_layers, strict=True))
    return int(sum(counts.text) * weight_bytes(spec) + tokens * kept * TEXT_BYTES)


def needs_tiles(pixels: int, card: float) -> bool:
    """Whether the VAE works in tiles: large pictures on a small card."""
    return pixels > TILE_PX**2 and card < SMALL_CARD_BYTES


def tiled(pixels: int, card: float) -> int:
    """How many pixels the VAE has at work at once."""
    return TILE_PX**2 if needs_tiles(pixels, card) else pixels


def gb_text(size: float) -> str:
    """Show bytes in the gigabytes of a card's label."""
    return f"{size / GB:.1f} GB"
