"""What the pages and the worker need to know of each model family, one row a family."""

from dataclasses import dataclass
from typing import Literal

FamilyKey = Literal["sd15", "sdxl"]


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one family that do not depend on a particular base model.

    `bucket_step_px` is the size step of aspect-ratio buckets at `resolution_px`; `base_version` is the value of
    `ss_base_model_version` by which other programs tell the family of a LoRA file; `architecture` is ModelSpec's.
    """

    key: FamilyKey
    label: str
    resolution_px: int
    resolutions_px: tuple[int, ...]
    bucket_step_px: int
    text_encoders: int
    base_version: str
    architecture: str
    implementation: str


FAMILIES: dict[FamilyKey, ModelFacts] = {
    "sd15": ModelFacts(
        key="sd15",
        label="Stable Diffusion 1.5",
        resolution_px=512,
        resolutions_px=(512, 576, 640, 768),
        bucket_step_px=64,
        text_encoders=1,
        base_version="sd_v1",
        architecture="stable-diffusion-v1/lora",
        implementation="diffusers",
    ),
    "sdxl": ModelFacts(
        key="sdxl",
        label="Stable Diffusion XL",
        resolution_px=1024,
        resolutions_px=(768, 896, 1024),
        bucket_step_px=64,
        text_encoders=2,
        base_version="sdxl_base_v1-0",
        architecture="stable-diffusion-xl-v1-base/lora",
        implementation="https://github.com/Stability-AI/generative-models",
    ),
}


def bucket_step(facts: ModelFacts, resolution_px: int) -> int:
    """Return the bucket step for a resolution: the family's own, finer for bases far smaller than the family."""
    return min(facts.bucket_step_px, max(16, resolution_px // 4))
