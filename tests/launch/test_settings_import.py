"""Settings of other trainers: what maps, what means something else here, and what is left."""

import json
from pathlib import Path

import pytest

from app.contract.optimizers import PACKAGES
from app.contract.spec import BaseModelRef
from app.errors import Invalid
from app.launch.draft import Subject, draft
from app.launch.settings_import import MAX_CHARACTERS, Imported, read_settings

SUBJECT = Subject(
    "Fox", "character", "fxo", BaseModelRef(name="b", path="/b", family="sdxl", sha256="0" * 64), 1024, 20
)

KOHYA = """
[model_arguments]
pretrained_model_name_or_path = "/models/sdxl.safetensors"
[training_arguments]
network_module = "networks.lora"
network_dim = 32
network_args = ["conv_dim=8", "conv_alpha=4"]
unet_lr = 1e-4
text_encoder_lr = [1e-5, 2e-5]
optimizer_type = "AdamW8bit"
optimizer_args = ["weight_decay=0.1"]
lr_scheduler = "cosine_with_restarts"
lr_scheduler_num_cycles = 2
lr_warmup_steps = 100
train_batch_size = 4
max_train_epochs = 10
min_snr_gamma = 8
max_timestep = 900
mixed_precision = "bf16"
gradient_checkpointing = true
face_crop_aug_range = "1.0,4.0"
resolution = "1024,1024"
keep_tokens = 2
shuffle_caption = true
max_token_length = 225
num_repeats = 10
"""
ONETRAINER = {
    "training_method": "LORA", "base_model_name": "x", "learning_rate": 0.0003, "lora_rank": 16, "batch_size": 4,
    "learning_rate_scheduler": "COSINE", "learning_rate_warmup_steps": 200, "epochs": 100, "resolution": "1024",
    "optimizer": {"optimizer": "ADAMW", "weight_decay": 0.02}, "text_encoder": {"train": False, "learning_rate": 1e-5},
    "loss_weight_fn": "MIN_SNR_GAMMA", "loss_weight_strength": 5.0, "gradient_checkpointing": "ON", "ema_decay": 0.999,
    "train_dtype": "BFLOAT_16", "masked_training": True, "max_noising_strength": 0.9, "layer_filter_preset": "attn-mlp",
    "rescale_noise_scheduler_to_zero_terminal_snr": True, "unet": {"weight_dtype": "FLOAT_8"},
}  # fmt: skip
AI_TOOLKIT = """
job: extension
config:
  name: my_lora
  process:
    - type: sd_trainer
      network: {type: lora, linear: 32, linear_alpha: 16, conv: 16, conv_alpha: 8}
      save: {dtype: float16, save_every: 250, max_step_saves_to_keep: 4}
      datasets:
        - folder_path: /x
          caption_dropout_rate: 0.05
          resolution: [512, 768, 1024]
          num_repeats: 3
      train: {batch_size: 1, steps: 3000, lr: 1e-4, optimizer: adamw8bit, train_text_encoder: false, dtype: bf16,
              noise_scheduler: ddpm, gradient_checkpointing: true}
      model: {name_or_path: /x, is_xl: true, quantize: true}
      sample: {sample_every: 250, prompts: [a fox, a hen], guidance_scale: 6}
"""


@pytest.fixture(autouse=True)
def every_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are read alike wherever the packages of optimizers are installed; here they seem to be."""
    for package in PACKAGES.values():
        (tmp_path / f"{package.module}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)


def taken(imported: Imported) -> dict[str, str]:
    """What the form is given, once it has proved to make a spec."""
    made = draft(SUBJECT, None, imported.values)
    assert made.errors == {}
    return imported.values


def test_kohyas_toml() -> None:
    found = read_settings(KOHYA)
    values = taken(found)
    assert found.program == "kohya sd-scripts"
    assert values == {
        "network.rank": "32", "network.alpha": "1", "network.conv_rank": "8", "network.conv_alpha": "4",
        "optimization.learning_rate": "0.0001", "optimization.text_encoder_learning_rate": "1e-05",
        "optimization.text_encoder_2_learning_rate": "2e-05", "optimization.optimizer": "adamw-8bit",
        "optimization.weight_decay": "0.1", "optimization.schedule": "cosine-restarts",
        "optimization.schedule_cycles": "2", "optimization.warmup_steps": "100", "optimization.batch": "4",
        "optimization.weighting": "min-snr", "optimization.min_snr_gamma": "8", "optimization.max_timestep": "899",
        "optimization.precision": "bf16", "optimization.gradient_checkpointing": "on", "data.resolution_px": "1024",
        "data.keep_tags": "2", "data.shuffles_tags": "on", "data.max_chunks": "3",
    }  # fmt: skip
    assert found.left == ("face_crop_aug_range",)
    told = " ".join(found.differences)
    assert "Alpha was not given" in told
    assert "Epochs" in told
    assert "Repeats" in told


def test_kohyas_json_of_the_window_program() -> None:
    found = read_settings(
        json.dumps({"network_dim": 16, "network_alpha": 8, "learning_rate": 0.0002, "train_batch_size": 2,
                    "optimizer": "Prodigy", "lr_scheduler": "polynomial", "max_resolution": "768,512", "epoch": 5,
                    "xformers": "xformers"})
    )  # fmt: skip
    assert (found.values["network.alpha"], found.values["data.resolution_px"]) == ("8", "624")
    assert found.values["optimization.optimizer"] == "prodigy"
    assert "lr_scheduler = polynomial: there is nothing like it here, so it is left." in found.differences
    assert not any("Alpha was not given" in each for each in found.differences)
    assert found.left == ()


@pytest.mark.parametrize(("is_on", "enlarges"), [(True, ""), (False, "on")])
def test_buckets_without_upscaling(is_on: bool, enlarges: str) -> None:
    found = read_settings(json.dumps({"network_dim": 16, "network_alpha": 8, "bucket_no_upscale": is_on}))
    assert found.values["data.enlarges"] == enlarges
    assert [each.value for each in found.mapped if each.theirs == "bucket_no_upscale"] == [enlarges]
    assert bool([each for each in found.differences if "bucket_no_upscale" in each]) is is_on
    assert found.left == ()


@pytest.mark.parametrize(
    "settings",
    [
        {"network_dim": 16, "network_alpha": 8, "v_parameterization": True, "zero_terminal_snr": False},
        {"network_dim": 16, "network_alpha": 8, "v_parameterization": False, "zero_terminal_snr": True},
        {"lora_rank": 16, "lora_alpha": 8, "force_v_prediction": True},
    ],
)
def test_the_prediction_is_said_to_belong_to_the_base(settings: dict[str, object]) -> None:
    found = read_settings(json.dumps(settings))
    assert len([each for each in found.differences if "Base models" in each]) == 1
    assert found.left == ()
    off = read_settings(json.dumps({key: False if value is True else value for key, value in settings.items()}))
    assert not [each for each in off.differences if "Base models" in each]


def test_onetrainers_json() -> None:
    found = read_settings(json.dumps(ONETRAINER))
    values = taken(found)
    assert found.program == "OneTrainer"
    assert (values["network.rank"], values["network.alpha"]) == ("16", "1")
    assert values["optimization.text_encoder_learning_rate"] == "0"
    assert (values["optimization.weighting"], values["optimization.min_snr_gamma"]) == ("min-snr", "5")
    assert (values["optimization.max_timestep"], values["optimization.base_storage"]) == ("899", "fp8")
    assert values["data.uses_masks"] == "on"
    assert "optimization.ema_decay" not in values
    assert any("Base models" in each for each in found.differences)
    assert found.left == ()


def test_ai_toolkits_yaml() -> None:
    found = read_settings(AI_TOOLKIT)
    values = taken(found)
    assert found.program == "ai-toolkit"
    assert (values["network.rank"], values["network.alpha"]) == ("32", "16")
    assert (values["network.conv_rank"], values["network.conv_alpha"]) == ("16", "8")
    assert (values["optimization.steps"], values["data.resolution_px"]) == ("3000", "1024")
    assert values["prompts"] == "a fox\na hen"
    assert values["optimization.base_storage"] == "int8"
    assert values["saving.keep_states"] == "4"
    assert "train.noise_scheduler" in found.left
    assert any("several resolutions" in each for each in found.differences)


@pytest.mark.parametrize(
    "text",
    ["", "just words", "[]", '{"some": "thing"}', "!!python/object/apply:os.system ['true']", "[" * 5000,
     "x" * (MAX_CHARACTERS + 1)],
    ids=["empty", "words", "list", "other", "python", "nested", "long"],
)  # fmt: skip
def test_what_is_no_known_settings_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as told:
        read_settings(text)
    assert "ai-toolkit" in told.value.hint


def test_a_value_of_another_kind_is_told_and_spoils_no_other() -> None:
    found = read_settings('network_dim = "lots"\nunet_lr = 1e-4\nlr_warmup_steps = 0.05\n')
    assert found.values["optimization.learning_rate"] == "0.0001"
    assert "network.rank" not in found.values
    assert sum("there is nothing like it here" in each for each in found.differences) == 2
