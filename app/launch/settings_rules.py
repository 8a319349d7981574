"""The settings of other trainers in our words: a row a setting, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, str]
Convert = Callable[[Any], Values]

OPTIMIZERS = {
    "adamw": "adamw", "adamw8bit": "adamw-8bit", "adamw_8bit": "adamw-8bit", "pagedadamw8bit": "adamw-8bit",
    "adafactor": "adafactor", "lion": "lion", "lion8bit": "lion", "prodigy": "prodigy",
    "adamwschedulefree": "adamw-schedule-free", "schedule_free_adamw": "adamw-schedule-free",
    "prodigyplusschedulefree": "prodigy-schedule-free", "prodigy_plus_schedule_free": "prodigy-schedule-free",
    "came": "came", "adam": "adamw", "adam8bit": "adamw-8bit", "adam_8bit": "adamw-8bit",
}  # fmt: skip
SCHEDULES = {
    "constant": "constant", "constant_with_warmup": "constant", "linear": "linear", "cosine": "cosine",
    "cosine_with_restarts": "cosine-restarts", "cosine_with_hard_restarts": "cosine-restarts", "rex": "rex",
}  # fmt: skip
LOSSES = {"l2": "l2", "mse": "l2", "huber": "huber", "smooth_l1": "smooth-l1", "pseudo-huber": "huber"}
PRECISIONS = {
    "no": "fp32", "fp16": "fp16", "bf16": "bf16", "float_16": "fp16", "bfloat_16": "bf16", "float_32": "fp32",
    "fp32": "fp32",
}  # fmt: skip
STORAGES = {
    "float_8": "fp8", "int_8": "int8", "nfloat_4": "nf4", "float_16": "full", "bfloat_16": "full", "float_32": "full",
}  # fmt: skip
WEIGHTINGS = {"constant": "none", "min_snr_gamma": "min-snr", "debiased_estimation": "debiased"}


@dataclass(frozen=True)
class Rule:
    """Their names for one setting (the first that is there counts), how it becomes ours, and what differs.

    `is_of_yes` says that the note holds for a switch that is on alone.
    """

    theirs: tuple[str, ...]
    convert: Convert
    note: str = ""
    is_of_yes: bool = False


@dataclass(frozen=True)
class Program:
    """A trainer: how its settings are told apart, its rules, and what it means when nothing is said.

    `unless` are sentences that hold when none of their keys is there; `own` begins names that mean nothing here.
    """

    name: str
    marks: frozenset[str]
    rules: tuple[Rule, ...]
    root: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)
    unless: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    own: tuple[str, ...] = ()


def number(key: str, times: float = 1) -> Convert:
    """A number under our key."""
    return lambda value: {key: f"{float(value) * times:g}"}


def whole(key: str, plus: int = 0) -> Convert:
    """A whole number under our key."""
    return lambda value: {key: str(int(float(value)) + plus)}


def both(*keys: str) -> Convert:
    """One whole number under several of our keys."""
    return lambda value: dict.fromkeys(keys, str(int(value)))


def switch(key: str) -> Convert:
    """Yes or no under our key."""
    return lambda value: {key: "on" if is_on(value) else ""}


def word(key: str, words: Mapping[str, str]) -> Convert:
    """A word of ours for one of theirs; raises KeyError for others."""
    return lambda value: {key: words[str(value).rpartition(".")[2].lower()]}


def is_on(value: Any) -> bool:
    """Whether a value of theirs means yes."""
    return str(value).lower() in ("true", "1", "on", "yes", "gpu", "cpu", "cpu_offloaded")


def side(value: Any) -> Values:
    """One side of a resolution such as 1024, "512,768" or [512, 768, 1024]; of several the largest square counts."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    sides = [int(part) for part in text.replace("x", ",").split(",") if part.strip()]
    pixels = sides[0] if len(sides) == 1 else max(sides) if isinstance(value, list) else (sides[0] * sides[1]) ** 0.5
    return {"data.resolution_px": str(int(pixels) // 8 * 8)}


def _text_rates(value: Any) -> Values:
    rates = value if isinstance(value, list) else [value]
    keys = ("optimization.text_encoder_learning_rate", "optimization.text_encoder_2_learning_rate")
    return {key: f"{float(rate):g}" for key, rate in zip(keys, rates, strict=False)}


def _no_text(value: Any) -> Values:
    keys = ("optimization.text_encoder_learning_rate", "optimization.text_encoder_2_learning_rate")
    return dict.fromkeys(keys, "0") if is_on(value) else {}


def _network_arguments(value: Any) -> Values:
    keys = {"conv_dim": "network.conv_rank", "conv_alpha": "network.conv_alpha", "dora_wd": "network.uses_dora"}
    given = dict(str(each).split("=", 1) for each in (value if isinstance(value, list) else str(value).split()))
    return {
        keys[name]: ("on" if is_on(text) else "") if name == "dora_wd" else text
        for name, text in given.items()
        if name in keys
    }


def _optimizer_arguments(value: Any) -> Values:
    given = dict(str(each).split("=", 1) for each in (value if isinstance(value, list) else str(value).split()))
    return {"optimization.weight_decay": given["weight_decay"]} if "weight_decay" in given else {}


def _gamma(value: Any) -> Values:
    return {
        "optimization.weighting": "min-snr" if float(value) else "none",
        "optimization.min_snr_gamma": f"{float(value) or 5:g}",
    }


def _chunks(value: Any) -> Values:
    return {"data.max_chunks": str(max(1, int(value) // 75))}


def _only_if(key: str, text: str) -> Convert:
    return lambda value: {key: text} if is_on(value) else {}


def _steps_of_share(value: Any) -> Values:
    if float(value) != int(float(value)):
        raise ValueError("a share of the steps")
    return {"optimization.warmup_steps": str(int(float(value)))}


REPEATS = "Repeats are set on each image here; folders named 10_name bring theirs when they are imported as a dataset."
EPOCHS = "Epochs become steps here: the plan says how many epochs the steps are."
PREDICTION = "What the base predicts is read from its files; where they do not tell, say it under Base models."
ALPHA = "Alpha was not given, and {} then takes {}: it is set so, because the learning rate belongs to it."

KOHYA = Program(
    name="kohya sd-scripts",
    marks=frozenset(
        {"network_dim", "network_module", "unet_lr", "train_batch_size", "network_alpha", "max_train_steps"}
    ),
    defaults={"network.alpha": "1", "optimization.weighting": "none", "data.keep_tags": "0"},
    unless={("network_alpha",): ALPHA.format("kohya", "1")},
    own=(
        "pretrained_model", "output_", "logging_", "log_", "train_data", "cache_", "save_model", "save_precision",
        "xformers", "sdpa", "enable_bucket", "max_data_loader", "network_module",
        "caption_extension", "LoRA_type",
    ),
    rules=(
        Rule(("network_dim",), whole("network.rank")),
        Rule(("network_alpha",), number("network.alpha")),
        Rule(("conv_dim",), whole("network.conv_rank")),
        Rule(("conv_alpha",), number("network.conv_alpha")),
        Rule(("network_args",), _network_arguments),
        Rule(("network_dropout",), number("network.dropout")),
        Rule(("unet_lr", "learning_rate"), number("optimization.learning_rate")),
        Rule(("text_encoder_lr",), _text_rates),
        Rule(("text_encoder_lr1", "learning_rate_te1"), number("optimization.text_encoder_learning_rate")),
        Rule(("text_encoder_lr2", "learning_rate_te2"), number("optimization.text_encoder_2_learning_rate")),
        Rule(("network_train_unet_only",), _no_text),
        Rule(("optimizer_type", "optimizer"), word("optimization.optimizer", OPTIMIZERS)),
        Rule(("optimizer_args",), _optimizer_arguments),
        Rule(("lr_scheduler",), word("optimization.schedule", SCHEDULES)),
        Rule(("lr_scheduler_num_cycles",), whole("optimization.schedule_cycles")),
        Rule(("lr_warmup_steps",), _steps_of_share),
        Rule(("train_batch_size",), whole("optimization.batch")),
        Rule(("gradient_accumulation_steps",), whole("optimization.accumulation")),
        Rule(("max_train_steps",), whole("optimization.steps")),
        Rule(("max_train_epochs", "epoch"), lambda _: {}, EPOCHS),
        Rule(("max_grad_norm",), number("optimization.max_grad_norm")),
        Rule(("min_snr_gamma",), _gamma),
        Rule(("debiased_estimation_loss",), _only_if("optimization.weighting", "debiased")),
        Rule(("loss_type",), word("optimization.loss", LOSSES)),
        Rule(("huber_c",), number("optimization.huber_delta")),
        Rule(("noise_offset",), number("optimization.noise_offset")),
        Rule(("multires_noise_discount",), number("optimization.multires_noise")),
        Rule(("min_timestep",), whole("optimization.min_timestep")),
        Rule(("max_timestep",), whole("optimization.max_timestep", -1),
             "kohya's highest timestep is not trained itself; ours is, so it is one less."),
        Rule(("mixed_precision",), word("optimization.precision", PRECISIONS)),
        Rule(("gradient_checkpointing",), switch("optimization.gradient_checkpointing")),
        Rule(("fp8_base",), _only_if("optimization.base_storage", "fp8")),
        Rule(("seed",), whole("optimization.seed")),
        Rule(("resolution", "max_resolution"), side),
        Rule(("bucket_reso_steps",), whole("data.bucket_step_px")),
        Rule(("bucket_no_upscale",), lambda value: {"data.enlarges": "" if is_on(value) else "on"},
             "With bucket_no_upscale kohya gives large images buckets of their own, too; here they share theirs.",
             is_of_yes=True),
        Rule(("v_parameterization",), lambda _: {}, PREDICTION, is_of_yes=True),
        Rule(("zero_terminal_snr",), lambda _: {}, PREDICTION, is_of_yes=True),
        Rule(("shuffle_caption",), switch("data.shuffles_tags")),
        Rule(("keep_tokens",), whole("data.keep_tags")),
        Rule(("caption_dropout_rate",), number("data.caption_dropout")),
        Rule(("caption_tag_dropout_rate",), number("data.tag_dropout")),
        Rule(("max_token_length",), _chunks),
        Rule(("clip_skip",), whole("data.clip_skip")),
        Rule(("flip_aug",), switch("data.mirrors")),
        Rule(("masked_loss", "alpha_mask"), switch("data.uses_masks")),
        Rule(("enable_wildcard",), switch("data.uses_wildcards")),
        Rule(("prior_loss_weight",), number("data.prior_weight")),
        Rule(("save_every_n_steps",), whole("saving.every_steps")),
        Rule(("sample_every_n_steps",), whole("sampling.every_steps")),
        Rule(("num_repeats", "dataset_repeats", "datasets.subsets.num_repeats"), lambda _: {}, REPEATS),
    ),
)  # fmt: skip

ONETRAINER = Program(
    name="OneTrainer",
    marks=frozenset({"lora_rank", "training_method", "learning_rate_scheduler", "concept_file_name"}),
    defaults={"network.alpha": "1", "optimization.weighting": "none"},
    unless={("lora_alpha",): ALPHA.format("OneTrainer", "1")},
    own=(
        "base_model", "output_", "workspace", "cache_", "debug", "tensorboard", "concept_file",
        "sample_definition", "train_device", "temp_device", "model_type", "training_method", "__version",
        "peft_type", "continue", "backup", "rolling", "save_filename",
    ),
    rules=(
        Rule(("lora_rank",), whole("network.rank")),
        Rule(("lora_alpha",), number("network.alpha")),
        Rule(("lora_decompose",), switch("network.uses_dora")),
        Rule(("dropout_probability",), number("network.dropout")),
        Rule(("lora_layer_preset", "layer_filter_preset"),
             word("network.targets", {"attn-mlp": "attention-mlp", "attn-only": "attention", "full": "attention-mlp"})),
        Rule(("unet.learning_rate", "learning_rate"), number("optimization.learning_rate")),
        Rule(("text_encoder.learning_rate",), number("optimization.text_encoder_learning_rate")),
        Rule(("text_encoder_2.learning_rate",), number("optimization.text_encoder_2_learning_rate")),
        Rule(("text_encoder.train",),
             lambda value: {} if is_on(value) else {"optimization.text_encoder_learning_rate": "0"}),
        Rule(("text_encoder_2.train",),
             lambda value: {} if is_on(value) else {"optimization.text_encoder_2_learning_rate": "0"}),
        Rule(("optimizer.optimizer",), word("optimization.optimizer", OPTIMIZERS)),
        Rule(("optimizer.weight_decay",), number("optimization.weight_decay")),
        Rule(("learning_rate_scheduler",), word("optimization.schedule", SCHEDULES)),
        Rule(("learning_rate_cycles",), whole("optimization.schedule_cycles")),
        Rule(("learning_rate_warmup_steps",), _steps_of_share),
        Rule(("batch_size",), whole("optimization.batch")),
        Rule(("gradient_accumulation_steps",), whole("optimization.accumulation")),
        Rule(("epochs",), lambda _: {}, EPOCHS),
        Rule(("clip_grad_norm",), number("optimization.max_grad_norm")),
        Rule(("loss_weight_fn",), word("optimization.weighting", WEIGHTINGS)),
        Rule(("loss_weight_strength",), number("optimization.min_snr_gamma")),
        Rule(("offset_noise_weight",), number("optimization.noise_offset")),
        Rule(("min_noising_strength",), number("optimization.min_timestep", 1000)),
        Rule(("max_noising_strength",), lambda value: {"optimization.max_timestep": str(int(float(value) * 1000) - 1)}),
        Rule(("train_dtype",), word("optimization.precision", PRECISIONS)),
        Rule(("gradient_checkpointing",), switch("optimization.gradient_checkpointing")),
        Rule(("ema_decay",), lambda _: {}, "EMA is left off: OneTrainer keeps a decay even where EMA is off."),
        Rule(("unet.weight_dtype",),
             word("optimization.base_storage", STORAGES)),
        Rule(("force_v_prediction",), lambda _: {}, PREDICTION, is_of_yes=True),
        Rule(("rescale_noise_scheduler_to_zero_terminal_snr",), lambda _: {}, PREDICTION, is_of_yes=True),
        Rule(("seed",), whole("optimization.seed")),
        Rule(("resolution",), side),
        Rule(("text_encoder_layer_skip",), whole("data.clip_skip", 1)),
        Rule(("masked_training",), switch("data.uses_masks")),
        Rule(("unmasked_weight",), number("data.unmasked_weight")),
        Rule(("concepts.balancing", "concepts.repeats"), lambda _: {}, REPEATS),
    ),
)  # fmt: skip

AI_TOOLKIT = Program(
    name="ai-toolkit",
    marks=frozenset({"config.process.network.linear", "config.process.train.steps", "config.process.type"}),
    root="config.process.",
    defaults={"data.enlarges": ""},
    unless={("network.linear_alpha",): ALPHA.format("ai-toolkit", "that of the rank")},
    own=(
        "job", "meta", "config.name", "type", "training_folder", "device", "model.name", "model.is_",
        "model.arch", "save.dtype", "datasets.folder", "datasets.caption_ext", "datasets.cache", "logging",
        "performance_log", "network.type", "sample.sampler",
    ),
    rules=(
        Rule(("network.linear",), both("network.rank", "network.alpha")),
        Rule(("network.linear_alpha",), number("network.alpha")),
        Rule(("network.conv",), both("network.conv_rank", "network.conv_alpha")),
        Rule(("network.conv_alpha",), number("network.conv_alpha")),
        Rule(("network.dropout",), number("network.dropout")),
        Rule(("train.unet_lr", "train.lr"), number("optimization.learning_rate")),
        Rule(("train.text_encoder_lr",), number("optimization.text_encoder_learning_rate")),
        Rule(("train.train_text_encoder",),
             lambda value: {} if is_on(value) else {"optimization.text_encoder_learning_rate": "0"}),
        Rule(("train.optimizer",), word("optimization.optimizer", OPTIMIZERS)),
        Rule(("train.optimizer_params.weight_decay",), number("optimization.weight_decay")),
        Rule(("train.lr_scheduler",), word("optimization.schedule", SCHEDULES)),
        Rule(("train.batch_size",), whole("optimization.batch")),
        Rule(("train.gradient_accumulation_steps", "train.gradient_accumulation"), whole("optimization.accumulation")),
        Rule(("train.steps",), whole("optimization.steps")),
        Rule(("train.loss_type",), word("optimization.loss", LOSSES)),
        Rule(("train.min_snr_gamma", "train.snr_gamma"), _gamma),
        Rule(("train.noise_offset",), number("optimization.noise_offset")),
        Rule(("train.max_grad_norm",), number("optimization.max_grad_norm")),
        Rule(("train.dtype",), word("optimization.precision", PRECISIONS)),
        Rule(("train.gradient_checkpointing",), switch("optimization.gradient_checkpointing")),
        Rule(("train.ema_config.ema_decay",), number("optimization.ema_decay")),
        Rule(("model.quantize",), _only_if("optimization.base_storage", "int8")),
        Rule(("datasets.resolution",), side,
             "Of several resolutions the largest is taken: buckets here have one. Small images keep their own size, as "
             "with ai-toolkit."),
        Rule(("datasets.shuffle_tokens",), switch("data.shuffles_tags")),
        Rule(("datasets.keep_tokens",), whole("data.keep_tags")),
        Rule(("datasets.caption_dropout_rate",), number("data.caption_dropout")),
        Rule(("datasets.token_dropout_rate",), number("data.tag_dropout")),
        Rule(("datasets.flip_x",), switch("data.mirrors")),
        Rule(("datasets.num_repeats",), lambda _: {}, REPEATS),
        Rule(("sample.sample_every",), whole("sampling.every_steps")),
        Rule(("sample.width",), whole("sampling.width_px")),
        Rule(("sample.height",), whole("sampling.height_px")),
        Rule(("sample.guidance_scale",), number("sampling.guidance")),
        Rule(("sample.sample_steps",), whole("sampling.inference_steps")),
        Rule(("sample.prompts",), lambda value: {"prompts": "\n".join(map(str, value))}),
        Rule(("save.save_every",), whole("saving.every_steps")),
        Rule(("save.max_step_saves_to_keep",), whole("saving.keep_states")),
    ),
)  # fmt: skip
