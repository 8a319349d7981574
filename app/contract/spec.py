"""Settings of a run: typed, versioned, written once into its folder."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.contract.base_file import Prediction
from app.contract.buckets import Buckets
from app.contract.families import FamilyKey
from app.contract.purposes import PurposeKey

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Targets = Literal["attention", "attention-mlp"]
Schedule = Literal["constant", "linear", "cosine", "cosine-restarts", "rex"]
Optimizer = Literal[
    "adamw", "adamw-8bit", "adafactor", "lion", "prodigy", "adamw-schedule-free", "prodigy-schedule-free", "came"
]
Loss = Literal["l2", "huber", "smooth-l1"]
Weighting = Literal["none", "min-snr", "debiased"]
TimestepSampling = Literal["uniform", "logit-normal"]
Lines = Literal["first", "any"]
Storage = Literal["full", "fp8", "int8", "nf4"]
Tagger = Literal["wd", "captioner", "endpoint"]
Scaling = Literal["imagenet", "half"]


class Frozen(BaseModel):
    """Base of all settings: immutable, unknown fields refused."""

    # JSON has no infinity: a spec that holds one could not be read again.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BaseModelRef(Frozen):
    """The base model a run adapts, pinned by hash.

    `prediction` and `has_zero_snr` are what a person said of a base whose own files do not tell; None as they tell.
    """

    name: str
    path: str
    family: FamilyKey
    sha256: str
    vae_path: str = ""
    prediction: Prediction | None = None
    has_zero_snr: bool = False


class BlockSetting(Frozen):
    """What differs in the denoiser's blocks whose dotted module path begins so; the longest prefix counts."""

    prefix: str
    rank: int | None = Field(None, ge=0, le=256)
    learning_rate_scale: float = Field(1.0, ge=0, le=100)


class LoraRef(Frozen):
    """A LoRA file, pinned by hash."""

    path: str
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
    conv_rank: int = Field(
        0, ge=0, le=256, title="Convolution rank", description="Inner size on 3×3 convolutions; 0 leaves them alone."
    )
    conv_alpha: float = Field(1, gt=0, le=256, title="Convolution alpha", description="Scale numerator of those.")
    uses_dora: bool = Field(False, title="DoRA", description="Learns each weight's length apart from its direction.")
    is_rank_stabilised: bool = Field(
        False, title="Rank-stabilised scale", description="Full strength is alpha ÷ √rank instead of alpha ÷ rank."
    )
    dropout: float = Field(0, ge=0, lt=1, title="LoRA dropout", description="Share of LoRA inputs left out at a step.")
    blocks: tuple[BlockSetting, ...] = ()
    continues: LoraRef | None = None


class Optimization(Frozen):
    """How the LoRA is trained."""

    steps: int = Field(1500, ge=1, le=1_000_000, title="Steps", description="Updates of the LoRA in all.")
    batch: int = Field(2, ge=1, le=64, title="Batch", description="Images looked at together.")
    accumulation: int = Field(1, ge=1, le=64, title="Accumulation", description="Forward passes for each update.")
    optimizer: Optimizer = Field(
        "adamw", title="Optimizer", description="Rule of the updates; Prodigy finds its own rate from a rate of 1."
    )
    learning_rate: float = Field(
        1e-4, gt=0, le=10, title="Learning rate", description="How much one step changes the LoRA."
    )
    text_encoder_learning_rate: float = Field(
        0,
        ge=0,
        le=10,
        title="Text encoder learning rate",
        description="Of CLIP-L, the only one of SD 1.5 and the first of SDXL; 0 leaves it as it is.",
    )
    text_encoder_2_learning_rate: float = Field(
        0,
        ge=0,
        le=10,
        title="Second text encoder learning rate",
        description="Of SDXL's OpenCLIP-G; 0 leaves it as it is.",
    )
    text_encoder_stop_step: int = Field(
        0, ge=0, title="Text encoder stops after", description="Steps after which text encoders stay; 0: never."
    )
    schedule: Schedule = Field("cosine", title="Schedule", description="How the learning rate moves after warmup.")
    schedule_cycles: int = Field(3, ge=1, le=100, title="Restarts", description="Cycles of cosine-restarts.")
    warmup_steps: int = Field(0, ge=0, title="Warmup", description="Steps over which the rate rises from zero.")
    weight_decay: float = Field(0.01, ge=0, le=1, title="Weight decay", description="The optimizer's pull to zero.")
    max_grad_norm: float = Field(1.0, gt=0, title="Gradient clip", description="Largest gradient norm.")
    loss: Loss = Field("l2", title="Loss", description="Huber and smooth L1 let outliers count for less.")
    huber_delta: float = Field(0.1, gt=0, le=10, title="Huber δ", description="Error from which growth is linear.")
    weighting: Weighting = Field("min-snr", title="Loss weighting", description="How hard each timestep counts.")
    min_snr_gamma: float | None = Field(
        5.0, gt=0, title="Min-SNR γ", description="Evens the loss over timesteps; empty switches it off."
    )
    noise_offset: float = Field(
        0, ge=0, le=1, title="Noise offset", description="Noise of one value a channel: allows darker, lighter images."
    )
    multires_noise: float = Field(
        0, ge=0, lt=1, title="Multi-resolution noise", description="Discount a level of coarser noise; 0 switches off."
    )
    timestep_sampling: TimestepSampling = Field(
        "uniform", title="Timestep sampling", description="logit-normal looks at middle noise levels more often."
    )
    min_timestep: int = Field(0, ge=0, le=999, title="Lowest timestep", description="Least noise trained at.")
    max_timestep: int = Field(999, ge=0, le=999, title="Highest timestep", description="Most noise trained at.")
    ema_decay: float = Field(
        0, ge=0, lt=1, title="EMA decay", description="Saves a running mean of the LoRA's weights; 0 saves them as is."
    )
    precision: Precision = Field(
        "auto", title="Precision", description="auto: bf16 or fp16 on a GPU that has it, else fp32."
    )
    gradient_checkpointing: bool = Field(
        True, title="Gradient checkpointing", description="Much less memory for about a quarter more time."
    )
    base_storage: Storage = Field(
        "full", title="Base storage", description="How the frozen denoiser waits in memory: fp8, int8, nf4 need less."
    )
    offloads_blocks: bool = Field(
        False, title="Offload blocks", description="Keeps the denoiser's blocks in main memory between uses; slow."
    )
    memory_limit_gb: float | None = Field(
        None, gt=0, le=1024, title="Memory limit", description="GPU memory the run may take; empty: what the card has."
    )
    seed: int = Field(42, ge=0, le=2**32 - 1, title="Seed", description="Fixes data order, noise and weights.")


class Data(Frozen):
    """How pictures and captions reach the trainer."""

    resolution_px: int = Field(
        512, ge=32, le=2048, multiple_of=8, title="Resolution", description="Side of a square image as it trains."
    )
    bucket_step_px: int = Field(
        64, ge=8, le=128, multiple_of=8, title="Bucket step", description="Size step between buckets."
    )
    enlarges: bool = Field(
        True,
        title="Enlarge small images",
        description="Off: an image smaller than its bucket trains at its own size, cropped to the bucket step.",
    )
    shuffles_tags: bool = Field(False, title="Shuffle tags", description="New tag order at every visit.")
    keep_tags: int = Field(1, ge=0, le=20, title="Keep first tags", description="Tags that stay in front.")
    caption_dropout: float = Field(
        0.05, ge=0, le=1, title="Caption dropout", description="Share of visits with an empty text."
    )
    tag_dropout: float = Field(
        0, ge=0, le=1, title="Tag dropout", description="Share of the tags behind the kept ones left out at a visit."
    )
    lines: Lines = Field("first", title="Caption lines", description="Which line of a caption of several is read.")
    uses_wildcards: bool = Field(False, title="Wildcards", description="{a|b} in a caption becomes a or b at a visit.")
    max_chunks: int = Field(
        1, ge=1, le=4, title="Text chunks", description="Texts up to 75 tokens times this are read whole."
    )
    text_variants: int = Field(
        0, ge=0, le=100, title="Text variants", description="Cached variants a caption; 0: every one that occurs."
    )
    clip_skip: int = Field(1, ge=1, le=4, title="Clip skip", description="Text encoder layer read, from the end.")
    mirrors: bool = Field(False, title="Mirror", description="Shows each image mirrored at half of its visits.")
    uses_masks: bool = Field(False, title="Masked loss", description="Counts each pixel by the image's mask.")
    unmasked_weight: float = Field(
        0.0, ge=0, le=1, title="Unmasked weight", description="How much pixels outside the mask still count."
    )
    prior_weight: float = Field(
        1.0, ge=0, le=10, title="Prior weight", description="Loss weight of regularisation images."
    )

    @property
    def buckets(self) -> Buckets:
        """Where pictures of any size train."""
        return Buckets(self.resolution_px, self.bucket_step_px, self.enlarges)


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


class Validation(Frozen):
    """Loss on held-out images, with fixed noise and timesteps, beside the same on as many training images."""

    every_steps: int = Field(
        100, ge=0, title="Measure every", description="Steps between held-out losses; 0 switches them off."
    )
    timesteps: int = Field(4, ge=1, le=20, title="Timesteps", description="Noise levels looked at, evenly spaced.")
    most_images: int = Field(16, ge=1, le=256, title="Images", description="Most images of each kind looked at.")


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
    validation: Validation = Validation()
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


class TagSpec(Frozen):
    """A run that asks a model what is in the images; its answers become suggestions, never captions.

    `model_path` is a folder of a WD-style tagger (model.onnx with selected_tags.csv) or of a captioner that
    transformers loads; for an endpoint `address` is its OpenAI-compatible root and `model` its name there. In the
    prompt {trigger}, {tags} and {name} stand for the trigger word, the image's caption and its name.
    """

    version: Literal[1] = 1
    kind: Literal["tag"] = "tag"
    name: str
    project: str
    trigger_word: str = ""
    tagger: Tagger
    model: str
    model_path: str = ""
    address: str = ""
    prompt: str = ""
    threshold: float = Field(0.35, ge=0, le=1, title="Threshold", description="Least confidence of a suggested tag.")
    character_threshold: float = Field(
        0.85, ge=0, le=1, title="Character threshold", description="Least confidence of a character's name."
    )
    most_tags: int = Field(40, ge=1, le=500, title="Most tags", description="An image gets no more suggestions.")
    max_tokens: int = Field(200, ge=1, le=4096, title="Longest answer", description="In tokens, of a captioner.")
    timeout_s: int = Field(120, ge=1, le=3600, title="Patience", description="Seconds an endpoint may take an image.")


class MaskSpec(Frozen):
    """A run that asks a model where the subject of each image is; its masks are suggestions until a person takes them.

    `model_path` is an ONNX file. Colours go in as shares of 1, less a mean, over a deviation: those of ImageNet for
    "imagenet", a half and one for "half".
    """

    version: Literal[1] = 1
    kind: Literal["mask"] = "mask"
    name: str
    project: str
    model: str
    model_path: str
    scaling: Scaling = "imagenet"


AnySpec = TrainSpec | RenderSpec | TagSpec | MaskSpec
Spec = Annotated[AnySpec, Field(discriminator="kind")]
SPEC: TypeAdapter[AnySpec] = TypeAdapter(Spec)
RunKind = Literal["train", "render", "tag", "mask"]


def read_spec(text: str) -> AnySpec:
    """Parse spec.json. Raises pydantic.ValidationError."""
    return SPEC.validate_json(text)
