"""Presets: named starting settings by purpose and family. They are data; where they come from stands beside them."""

from dataclasses import dataclass

from app.contract.families import FAMILIES, FamilyKey, bucket_step
from app.contract.purposes import PURPOSES, PurposeKey

Value = int | float | bool | str

SMALL_BASE_PX = 256
"""Bases below this are miniatures for trying things out: they learn fast and need far fewer steps."""


@dataclass(frozen=True)
class Preset:
    """A starting point: what it is for, and values by dotted spec key."""

    key: str
    label: str
    sentence: str
    values: dict[str, Value]


LENGTHS: tuple[tuple[str, str, str, int, int], ...] = (
    ("quick", "Quick look", "A third of the way: shows early whether dataset and labels carry.", 500, 8),
    ("balanced", "Balanced", "The usual length for 15 to 50 images. Start here.", 1500, 8),
    (
        "thorough",
        "Thorough",
        "Longer and larger, for 50 images and more. Review every checkpoint.",
        3000,
        16,
    ),
)
"""Key, label, sentence, steps (whatever the batch), rank. Published recipes agree on 1–3 thousand steps, rank 8–32."""


def presets_for(purpose: PurposeKey, family: FamilyKey, resolution_px: int, image_count: int) -> tuple[Preset, ...]:
    """Return the three presets for a purpose on a base; few pictures shorten them so that none is seen too often."""
    return tuple(
        Preset(
            key,
            label,
            sentence,
            _values(purpose, family, resolution_px, _shortened(steps, image_count), rank),
        )
        for key, label, sentence, steps, rank in LENGTHS
    )


def _shortened(steps: int, image_count: int) -> int:
    """Fewer than 15 pictures are learnt by heart sooner: 100 steps a picture, but never under a fifth."""
    if not image_count:
        return steps
    return max(steps // 5, min(steps, image_count * 100)) // 10 * 10


def _values(purpose: PurposeKey, family: FamilyKey, resolution_px: int, steps: int, rank: int) -> dict[str, Value]:
    is_small = resolution_px < SMALL_BASE_PX
    if is_small:
        steps = max(20, steps // 10)
    every = max(5, round(steps / 6 / 5) * 5)
    trains_text = PURPOSES[purpose].trains_text_encoder and family == "sd15"
    batch = 1 if family == "sdxl" and not is_small else 2
    return {
        "network.rank": rank,
        # Half the rank is the field's middle way: strength 0.5 keeps the learning rates below in their usual range.
        "network.alpha": rank / 2,
        "network.targets": "attention-mlp",
        "optimization.steps": steps,
        "optimization.batch": batch,
        "optimization.learning_rate": 1e-3 if is_small else 1e-4 if family == "sdxl" else 2e-4,
        "optimization.text_encoder_learning_rate": 5e-5 if trains_text else 0.0,
        "optimization.schedule": "cosine",
        "optimization.warmup_steps": steps // 20,
        "optimization.min_snr_gamma": 5.0,
        "optimization.gradient_checkpointing": not is_small,
        "data.resolution_px": resolution_px,
        "data.bucket_step_px": bucket_step(FAMILIES[family], resolution_px),
        "data.shuffles_tags": purpose == "character",
        "data.caption_dropout": 0.05,
        "sampling.every_steps": every,
        "sampling.inference_steps": 8 if is_small else 20,
        "sampling.guidance": 3.0 if is_small else 7.0,
        "sampling.width_px": resolution_px,
        "sampling.height_px": resolution_px,
        "saving.every_steps": every,
    }
