"""The planner: its counts are those of the real models, its sums those of the research, its advice fits."""

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from app.config import ROOT
from app.contract.families import FAMILIES, FamilyKey
from app.contract.memory import COUNTS, GB, STATE_BYTES, STORED_BYTES, base_bytes, forecast, peak, trained
from app.contract.spec import BaseModelRef, Prompt, TrainSpec
from app.contract.step_down import step_down

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
FILES = ROOT / "worker" / "family_files"
CARD = 8 * GB


def make_spec(family: FamilyKey, **changes: Any) -> TrainSpec:
    side = FAMILIES[family].resolution_px
    data: dict[str, Any] = {
        "name": "x", "project": "x", "purpose": "style", "trigger_word": "x",
        "base": BaseModelRef(name="b", path="/b", family=family, sha256="0" * 64),
        "network": {"rank": 16}, "optimization": {"batch": 1}, "data": {"resolution_px": side},
        "sampling": {"width_px": side, "height_px": side, "prompts": [Prompt(text="x")]},
    }  # fmt: skip
    for key, value in changes.items():
        area, _, name = key.partition("__")
        data[area][name] = value
    return TrainSpec.model_validate(data)


def config(family: FamilyKey, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(FILES) / family / name / "config.json").read_text())
    return found


def size(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def a_rank(layer: nn.Module) -> int:
    if isinstance(layer, nn.Linear):
        return layer.in_features + layer.out_features
    assert isinstance(layer, nn.Conv2d)
    return layer.in_channels * prod(layer.kernel_size) + layer.out_channels


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_those_of_the_real_models(family: FamilyKey) -> None:
    counts = COUNTS[family]
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config(family, "unet"))
        vae = AutoencoderKL.from_config(config(family, "vae"))
        texts: list[nn.Module] = [CLIPTextModel(CLIPTextConfig(**config(family, "text_encoder")))]
        if family == "sdxl":
            texts.append(CLIPTextModelWithProjection(CLIPTextConfig(**config(family, "text_encoder_2"))))
    assert (size(unet), size(vae), tuple(map(size, texts))) == (counts.denoiser, counts.vae, counts.text)
    layers = {
        path: layer
        for path, layer in unet.named_modules()
        if path.startswith(("down_blocks", "mid_block", "up_blocks")) and isinstance(layer, nn.Linear | nn.Conv2d)
    }
    assert counts.linear == sum(each.weight.numel() for each in layers.values() if isinstance(each, nn.Linear))
    assert counts.conv == sum(each.weight.numel() for each in layers.values() if isinstance(each, nn.Conv2d))
    assert counts.largest == max(each.weight.numel() for each in layers.values())
    inside = [path for path, each in unet.named_modules() if isinstance(each, Transformer2DModel)]
    targets = {path: each for path, each in layers.items() if any(path.startswith(f"{one}.") for one in inside)}
    assert counts.lora_attention_mlp == sum(map(a_rank, targets.values()))
    assert counts.lora_attention == sum(a_rank(each) for path, each in targets.items() if path.endswith(ATTENTION))
    convs = [each for each in layers.values() if isinstance(each, nn.Conv2d) and each.kernel_size == (3, 3)]
    assert counts.lora_conv == sum(map(a_rank, convs))
    for place, text in enumerate(texts):
        found = {path: each for path, each in text.named_modules() if path.endswith((*TEXT_ATTENTION, "fc1", "fc2"))}
        assert counts.text_lora_attention_mlp[place] == sum(map(a_rank, found.values()))
        attention = sum(a_rank(each) for path, each in found.items() if path.endswith(TEXT_ATTENTION))
        assert counts.text_lora_attention[place] == attention
        assert (counts.text_widths[place], counts.text_layers[place]) == (
            text.config.hidden_size,
            text.config.num_hidden_layers,
        )


def train_gb(spec: TrainSpec) -> float:
    """The training phase in the decimal gigabytes of the research."""
    return next(phase for phase in forecast(spec, CARD) if phase.key == "train").size / 1e9


def test_sums_are_those_of_the_research() -> None:
    """Weights + activations + LoRA with AdamW + 0.8 GB, as its table adds them up, for autocast."""
    assert train_gb(make_spec("sd15", optimization__gradient_checkpointing=False)) == pytest.approx(4.0, rel=0.03)
    assert train_gb(make_spec("sd15", optimization__gradient_checkpointing=False, optimization__batch=4)) == (
        pytest.approx(8.1, rel=0.03)
    )
    assert train_gb(make_spec("sdxl")) == pytest.approx(7.43, rel=0.03)
    assert train_gb(make_spec("sdxl", optimization__base_storage="fp8")) == pytest.approx(4.9, rel=0.03)
    assert trained(make_spec("sdxl")) == pytest.approx(42.6e6, rel=0.01)


def test_the_headlines_fit() -> None:
    assert peak(make_spec("sdxl"), 8 * GB) < 8 * GB
    assert peak(make_spec("sdxl", optimization__base_storage="int8"), 6 * GB) < 6 * GB
    assert peak(make_spec("sd15", optimization__batch=4), 6 * GB) < 6 * GB


def test_every_saver_saves_and_every_choice_is_known() -> None:
    spec = make_spec("sdxl")
    sizes = [base_bytes(make_spec("sdxl", optimization__base_storage=storage)) for storage in STORED_BYTES]
    assert sizes[0] > sizes[2] > sizes[1] > sizes[3]
    assert base_bytes(make_spec("sdxl", optimization__offloads_blocks=True)) < sizes[3]
    for optimizer in STATE_BYTES:
        peak(make_spec("sdxl", optimization__optimizer=optimizer), CARD)
    assert peak(make_spec("sdxl", optimization__text_encoder_learning_rate=1e-5), CARD) > peak(spec, CARD)
    assert peak(make_spec("sdxl", optimization__precision="fp32"), CARD) > peak(spec, CARD)
    phases = forecast(make_spec("sdxl", sampling__prompts=[]), CARD)
    assert [share.label for share in phases[2].shares] == ["CUDA and slack"]


def test_the_step_down_is_the_cheapest_that_fits() -> None:
    assert step_down(make_spec("sdxl"), CARD) is None
    found = step_down(make_spec("sdxl", optimization__gradient_checkpointing=False), CARD)
    assert found is not None
    assert (found.words, found.fits) == ("turn on gradient checkpointing", True)
    assert found.spec.optimization.gradient_checkpointing
    assert found.peak == peak(found.spec, CARD) <= CARD
    lean = make_spec("sdxl", optimization__base_storage="nf4", optimization__batch=1)
    just = int(peak(lean, CARD)) - 1
    eight = step_down(lean, just)
    assert eight is not None
    assert eight.words == "choose the optimizer adamw-8bit"
    # Not where its package is missing.
    other = step_down(lean, just, ("adamw",))
    assert other is not None
    assert "8bit" not in other.words
    tight = step_down(make_spec("sdxl"), 6 * GB)
    assert tight is not None
    assert (tight.words, tight.fits) == ("store the base as int8", True)
    both = step_down(make_spec("sdxl", optimization__gradient_checkpointing=False, optimization__batch=8), 6 * GB)
    assert both is not None
    assert both.fits
    assert both.words.startswith("turn on gradient checkpointing, ")
    hopeless = step_down(make_spec("sdxl"), GB)
    assert hopeless is not None
    assert not hopeless.fits
