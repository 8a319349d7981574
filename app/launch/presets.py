"""Presets: named starting settings by purpose and family. They are data; why they are so stands beside them."""

from dataclasses import dataclass

from app.contract.families import FAMILIES, FamilyKey, bucket_step
from app.contract.purposes import PurposeKey

Value = int | float | bool | str

SMALL_BASE_PX = 256
"""Bases below this are miniatures for trying things out: they learn fast and need far fewer steps."""
DEFAULT_PRESET = "balanced"


@dataclass(frozen=True)
class Preset:
    """A starting point: what it is for, values by dotted spec key, and why they are so."""

    key: str
    label: str
    sentence: str
    values: dict[str, Value]
    why: str


@dataclass(frozen=True)
class Length:
    """How far a run goes on a full-size base, and on a miniature."""

    key: str
    label: str
    sentence: str
    steps: int
    rank: int
    small_steps: int


LENGTHS = (
    Length("quick", "Quick look", "A third of the way: shows early whether dataset and labels carry.", 500, 8, 150),
    Length("balanced", "Balanced", "The usual length for 15 to 50 images. Start here.", 1500, 16, 600),
    Length("thorough", "Thorough", "Longer, larger, for 50 images and more. Review every checkpoint.", 3000, 32, 1500),
)
"""Published recipes agree on one to three thousand steps, whatever the batch, and on ranks from 8 to 32."""
SMALL_CARD = Length(
    "small-card", "Small card", "The leanest way: rank 8, 8-bit optimizer, one image at a time, for 8 GB.", 1500, 8, 600
)

RECIPES: dict[tuple[PurposeKey, FamilyKey], dict[str, Value]] = {
    ("character", "sd15"): {
        "optimization.learning_rate": 2e-4,
        "optimization.text_encoder_learning_rate": 5e-5,
        "data.shuffles_tags": True,
    },
    ("style", "sd15"): {"optimization.learning_rate": 2e-4, "network.conv_rank": 8, "network.conv_alpha": 4.0},
    ("concept", "sd15"): {"optimization.learning_rate": 2e-4, "optimization.text_encoder_learning_rate": 5e-5},
    ("character", "sdxl"): {"optimization.learning_rate": 1e-4, "data.shuffles_tags": True},
    ("style", "sdxl"): {"optimization.learning_rate": 1e-4, "network.conv_rank": 8, "network.conv_alpha": 4.0},
    ("concept", "sdxl"): {"optimization.learning_rate": 1e-4},
}
"""What differs by purpose and family; the rest is the same for all."""

WHY: dict[tuple[PurposeKey, FamilyKey], str] = {
    ("character", "sd15"): "The text encoder learns at a quarter of the rate, so that the trigger word becomes a name; "
    "tags are shuffled behind the first, so that no order is learnt with them.",
    ("style", "sd15"): "Convolutions are trained too, at half the rank: a hand shows in texture as much as in shape. "
    "The text encoder stays as it is, because a style is no word's meaning.",
    ("concept", "sd15"): "As for a character, with tags in their order: a concept is told apart by what surrounds it, "
    "and captions say that in sentences as often as in tags.",
    ("character", "sdxl"): "Text encoders stay as they are: SDXL's two know names well enough, and training them costs "
    "1.6 GB. The rate is half that of SD 1.5, above which faces burn.",
    ("style", "sdxl"): "Convolutions are trained too, at half the rank: a hand shows in texture as much as in shape. "
    "Text encoders stay as they are, because a style is no word's meaning.",
    ("concept", "sdxl"): "Text encoders stay as they are, and tags keep their order. The rate is the safe middle of "
    "what published recipes use with AdamW.",
}
SHARED_WHY = "Alpha is half the rank, which halves what the LoRA adds: rates of other programs assume other alphas."
SMALL: dict[str, Value] = {
    "network.rank": 16,
    "network.alpha": 16.0,
    "optimization.batch": 4,
    "optimization.learning_rate": 1e-3,
    "optimization.weighting": "none",
    "optimization.gradient_checkpointing": False,
    "sampling.inference_steps": 12,
    "sampling.guidance": 3.0,
}
"""Measured on the bundled base by tests/bench/calibrate.py; full alpha and a high rate, since its layers are narrow."""
SMALL_WITH_TEXT: dict[str, Value] = {
    "optimization.learning_rate": 2e-3,
    "optimization.text_encoder_learning_rate": 1e-3,
}
"""A figure has more to be learnt than a hand has, and its word must come to mean it."""
LONGER_WITH_TEXT = 5 / 3
"""So much longer a miniature takes to know a figure, and to copy it: measured in tests/bench/calibration.json."""
SMALL_THOROUGH: dict[str, Value] = {
    "network.rank": 32,
    "network.alpha": 32.0,
    "optimization.learning_rate": 2e-3,
}
"""Long and hot enough that the last checkpoints copy: a review should show for once what that looks like."""
SMALL_WHY = "A miniature learns in hundreds of steps: they cost little, so the batch and the rate are high."


def presets_for(
    purpose: PurposeKey, family: FamilyKey, resolution_px: int, image_count: int, held_out: int = 0
) -> tuple[Preset, ...]:
    """Return the presets for a purpose on a base; few pictures shorten them so that none is seen too often.

    Where images are held out, each preset measures the loss on them.
    """
    is_small = resolution_px < SMALL_BASE_PX
    lengths = LENGTHS if family == "sd15" or is_small else (*LENGTHS, SMALL_CARD)
    return tuple(
        Preset(
            key=length.key,
            label=length.label,
            sentence=length.sentence,
            values=_values((purpose, family), resolution_px, length, image_count, held_out),
            why=SMALL_WHY if is_small else f"{WHY[purpose, family]} {SHARED_WHY}",
        )
        for length in lengths
    )


def starting_batch(purpose: PurposeKey, family: FamilyKey, resolution_px: int) -> int:
    """Return the images a step of a run that is started without changes, for the pages that are looked at before."""
    presets = presets_for(purpose, family, resolution_px, image_count=0)
    return next(int(preset.values["optimization.batch"]) for preset in presets if preset.key == DEFAULT_PRESET)


def _shortened(steps: int, image_count: int) -> int:
    """Fewer than 15 pictures are learnt by heart sooner: 100 steps a picture, but never under a fifth."""
    if not image_count:
        return steps
    return max(steps // 5, min(steps, image_count * 100)) // 10 * 10


def _values(
    made_for: tuple[PurposeKey, FamilyKey], resolution_px: int, length: Length, image_count: int, held_out: int
) -> dict[str, Value]:
    family, is_small = made_for[1], resolution_px < SMALL_BASE_PX
    has_text = bool(RECIPES[made_for].get("optimization.text_encoder_learning_rate"))
    small_steps = round(length.small_steps * (LONGER_WITH_TEXT if has_text else 1))
    steps, rank = _shortened(small_steps if is_small else length.steps, image_count), length.rank
    every = max(5, round(steps / 6 / 5) * 5)
    values: dict[str, Value] = {
        "network.rank": rank,
        # Half the rank is the field's middle way: strength 0.5 keeps the learning rates in their usual range.
        "network.alpha": rank / 2,
        "network.targets": "attention-mlp",
        "optimization.steps": steps,
        "optimization.batch": 1 if family == "sdxl" else 2,
        "optimization.text_encoder_learning_rate": 0.0,
        "optimization.schedule": "cosine",
        "optimization.warmup_steps": steps // 20,
        "optimization.min_snr_gamma": 5.0,
        "optimization.gradient_checkpointing": True,
        "data.resolution_px": resolution_px,
        "data.bucket_step_px": bucket_step(FAMILIES[family], resolution_px),
        "data.shuffles_tags": False,
        "data.caption_dropout": 0.05,
        "sampling.every_steps": every,
        "sampling.inference_steps": 20,
        "sampling.guidance": 7.0,
        "sampling.width_px": resolution_px,
        "sampling.height_px": resolution_px,
        "validation.every_steps": every if held_out else 0,
        "saving.every_steps": every,
    }
    values |= RECIPES[made_for]
    if is_small:
        values |= SMALL
        if has_text:
            values |= SMALL_WITH_TEXT
        if length.key == "thorough":
            values |= SMALL_THOROUGH
        values["network.conv_rank"] = int(values["network.rank"]) // 2
        values["network.conv_alpha"] = float(values["network.conv_rank"])
    if length is SMALL_CARD:
        values |= {"optimization.optimizer": "adamw-8bit", "network.conv_rank": 0}
    return values
