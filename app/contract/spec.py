"""Settings of a run: typed, versioned, written once into its folder."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.contract.families import FamilyKey
from app.contract.purposes import PurposeKey

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Targets = Literal["attention", "attention-mlp"]
Schedule = Literal["constant", "cosine"]


class Frozen(BaseModel):
    """Base of all settings: immutable, unknown fields refused."""

    # JSON has no infinity: a spec that holds one could not be read again.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BaseModelRef(Frozen):
    """The base model a run adapts, pinned by hash."""

    name: str
    path: str
    family: FamilyKey
    sha256: str


class Network(Frozen):
    """The LoRA's shape."""

    rank: int = Field(8, ge=1, le=256, title="Rank", description="Inner size of the LoRA: how much it can hold.")
    alpha: float = Field(
        8,
        gt=0,
        le=256,
        title="Alpha",
        description="Scale numerator: the LoRA's full strength is alpha ÷ rank.",
    )
    targets: Targets = Field(
        "attention-mlp",
        title="Target modules",
        description="Layers the LoRA attaches to: attention alone, or attention with feed-forward and projections.",
    )


class Optimization(Frozen):
    """How the LoRA is trained."""

    steps: int = Field(1500, ge=1, le=1_000_000, title="Steps", description="Optimizer updates in all.")
    batch: int = Field(2, ge=1, le=64, title="Batch", description="Images in one forward pass.")
    accumulation: int = Field(1, ge=1, le=64, title="Accumulation", description="Forward passes for each update.")
    learning_rate: float = Field(1e-4, gt=0, le=1, title="Learning rate", description="Of the denoiser; AdamW.")
    text_encoder_learning_rate: float = Field(
        0, ge=0, le=1, title="Text encoder learning rate", description="0 leaves the text encoder as it is."
    )
    schedule: Schedule = Field("cosine", title="Schedule", description="How the learning rate moves after warmup.")
    warmup_steps: int = Field(0, ge=0, title="Warmup", description="Steps over which the rate rises from zero.")
    weight_decay: float = Field(0.01, ge=0, le=1, title="Weight decay", description="AdamW's pull to zero.")
    max_grad_norm: float = Field(1.0, gt=0, title="Gradient clip", description="Largest gradient norm.")
    min_snr_gamma: float | None = Field(
        5.0, gt=0, title="Min-SNR γ", description="Evens the loss over timesteps; empty switches it off."
    )
    precision: Precision = Field(
        "auto", title="Precision", description="auto: bf16 or fp16 on a GPU that has it, else fp32."
    )
    gradient_checkpointing: bool = Field(
        True, title="Gradient checkpointing", description="Much less memory for about a quarter more time."
    )
    seed: int = Field(42, ge=0, le=2**32 - 1, title="Seed", description="Fixes data order, noise and weights.")


class Data(Frozen):
    """How pictures and captions reach the trainer."""

    resolution_px: int = Field(
        512, ge=32, le=2048, multiple_of=8, title="Resolution", description="Side of the square bucket."
    )
    bucket_step_px: int = Field(
        64, ge=8, le=128, multiple_of=8, title="Bucket step", description="Size step between buckets."
    )
    shuffles_tags: bool = Field(False, title="Shuffle tags", description="New tag order at every visit.")
    keep_tags: int = Field(1, ge=0, le=20, title="Keep first tags", description="Tags that stay in front.")
    caption_dropout: float = Field(
        0.05, ge=0, le=1, title="Caption dropout", description="Share of visits with an empty text."
    )


class Prompt(Frozen):
    """One prompt drawn at every sample point with the same seed."""

    text: str
    negative: str = ""
    seed: int = 42


class Sampling(Frozen):
    """Images drawn during training."""

    prompts: tuple[Prompt, ...] = ()
    every_steps: int = Field(
        250, ge=1, title="Sample every", description="Steps between sample images; step 0 is the baseline."
    )
    inference_steps: int = Field(20, ge=1, le=200, title="Sampler steps", description="Denoising steps an image.")
    guidance: float = Field(7.0, ge=0, le=30, title="Guidance", description="How strictly the prompt is followed.")
    width_px: int = Field(512, ge=32, le=2048, multiple_of=8, title="Width", description="Of a sample.")
    height_px: int = Field(512, ge=32, le=2048, multiple_of=8, title="Height", description="Of a sample.")


class Saving(Frozen):
    """Checkpoints."""

    every_steps: int = Field(250, ge=1, title="Save every", description="Steps between checkpoints.")
    keep_states: int = Field(
        2,
        ge=1,
        le=100,
        title="Resume states kept",
        description="Older checkpoints keep their LoRA file only.",
    )


class TrainSpec(Frozen):
    """A training run."""

    version: Literal[1] = 1
    kind: Literal["train"] = "train"
    name: str
    project: str
    purpose: PurposeKey
    trigger_word: str
    base: BaseModelRef
    network: Network = Network()
    optimization: Optimization = Optimization()
    data: Data = Data()
    sampling: Sampling = Sampling()
    saving: Saving = Saving()


class RenderSpec(Frozen):
    """A run that draws prompts with one LoRA at several strengths."""

    version: Literal[1] = 1
    kind: Literal["render"] = "render"
    name: str
    project: str
    base: BaseModelRef
    lora_path: str
    lora_sha256: str
    step: int
    strengths: tuple[float, ...]
    sampling: Sampling


Spec = Annotated[TrainSpec | RenderSpec, Field(discriminator="kind")]
SPEC: TypeAdapter[TrainSpec | RenderSpec] = TypeAdapter(Spec)
RunKind = Literal["train", "render"]


def read_spec(text: str) -> TrainSpec | RenderSpec:
    """Parse spec.json. Raises pydantic.ValidationError."""
    return SPEC.validate_json(text)
