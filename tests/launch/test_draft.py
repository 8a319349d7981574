"""The training form: texts in, errors beside their fields, and no text lost."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from app.contract.spec import BaseModelRef, BlockSetting
from app.launch.controls import GROUPS, MAIN, bounds_of, fields, leaves
from app.launch.draft import Subject, draft

SUBJECT = Subject(
    project="Fox",
    purpose="character",
    trigger_word="fxo",
    base=BaseModelRef(name="base", path="/models/base", family="sd15", sha256="0" * 64),
    resolution_px=512,
    image_count=20,
)


def test_every_setting_has_a_label_and_help() -> None:
    keys = [field.key for field in fields()]
    assert len(keys) == len(set(keys))
    assert keys[0] == "optimization.steps"
    for field in fields():
        assert field.label
        assert field.help


def test_texts_override_the_preset() -> None:
    texts = {"optimization.steps": "77", "optimization.schedule": "constant", "prompts": "a\n\n b "}
    made = draft(SUBJECT, "quick", texts)
    assert made.spec is not None
    assert made.spec.optimization.steps == 77
    assert made.spec.optimization.schedule == "constant"
    assert [prompt.text for prompt in made.spec.sampling.prompts] == ["a", "b"]


def test_switches_and_empty_values() -> None:
    texts = {"optimization.min_snr_gamma": "", "data.shuffles_tags": "", "optimization.gradient_checkpointing": "on"}
    made = draft(SUBJECT, None, texts)
    assert made.spec is not None
    assert made.spec.optimization.min_snr_gamma is None
    assert made.spec.data.shuffles_tags is False
    assert made.spec.optimization.gradient_checkpointing is True


def test_a_miniature_is_asked_in_words_that_it_knows() -> None:
    full, small = draft(SUBJECT, None, {}), draft(replace(SUBJECT, resolution_px=64), None, {})
    assert "fxo, wearing a yellow raincoat" in full.values["prompts"]
    assert "fxo, waving, wearing a blue hat, in the snow" in small.values["prompts"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("optimization.steps", "many"),
        ("optimization.steps", ""),
        ("optimization.steps", "0"),
        ("optimization.learning_rate", "-1"),
        ("optimization.learning_rate", "nan"),
        ("optimization.schedule", "zigzag"),
        ("data.resolution_px", "513"),
        ("network.rank", "1.5"),
        ("optimization.stepz", "5"),
        ("name", ""),
    ],
)
def test_an_error_stands_by_its_field_and_loses_no_other_text(key: str, text: str) -> None:
    made = draft(SUBJECT, None, {"sampling.guidance": "4.5", key: text})
    assert list(made.errors) == [key]
    assert made.errors[key]
    assert made.spec is None
    assert made.values["sampling.guidance"] == "4.5"
    if key in made.values:
        assert made.values[key] == text


def test_every_wrong_field_is_told_at_once() -> None:
    made = draft(SUBJECT, None, {"optimization.steps": "-3", "network.rank": "abc", "data.resolution_px": "513"})
    assert set(made.errors) == {"optimization.steps", "network.rank", "data.resolution_px"}


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("optimization.steps", "0", "0 is not possible here: from 1 to 1,000,000."),
        ("optimization.learning_rate", "-3", "-3 is not possible here: more than 0, at most 10."),
        ("data.resolution_px", "513", "513 is not possible here: from 32 to 2,048, in steps of 8."),
    ],
)
def test_a_number_out_of_bounds_is_told_in_our_words(key: str, text: str, told: str) -> None:
    assert draft(SUBJECT, None, {key: text}).errors == {key: told}


def test_every_field_has_its_place_and_says_its_bounds() -> None:
    groups = {key for key, _, _ in GROUPS}
    assert {field.key for field in fields() if field.is_main} == set(MAIN)
    assert all(field.group in groups for field in fields())
    told = {key: bounds_of(info) for key, info in leaves()}
    assert told["network.rank"] == "From 1 to 256."
    assert told["data.resolution_px"] == "From 32 to 2,048, in steps of 8."
    assert told["network.dropout"] == "From 0 to less than 1."
    assert told["network.alpha"] == "More than 0, at most 256."
    assert told["optimization.max_grad_norm"] == "More than 0."
    assert told["optimization.steps"] == "From 1 to 1,000,000."
    assert told["network.uses_dora"] == ""


def test_block_settings_are_written_a_line_each() -> None:
    made = draft(SUBJECT, None, {"network.blocks": "down_blocks.0 4 0.5\nmid_block - 2\n\nup_blocks.3 0"})
    assert made.spec is not None
    assert made.spec.network.blocks == (
        BlockSetting(prefix="down_blocks.0", rank=4, learning_rate_scale=0.5),
        BlockSetting(prefix="mid_block", rank=None, learning_rate_scale=2),
        BlockSetting(prefix="up_blocks.3", rank=0, learning_rate_scale=1),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("a 1\nb many", "Line 2"), ("a 300", "Line 1"), ("a 1 2 3", "Line 1"), ("a 1\na 2", "stands there twice")],
)
def test_a_wrong_line_of_block_settings_is_named(text: str, words: str) -> None:
    assert words in draft(SUBJECT, None, {"network.blocks": text}).errors["network.blocks"]


def lora_file(path: Path, name: str) -> Path:
    header = json.dumps({name: {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    return path


def test_a_run_goes_on_from_a_lora_file_alone(tmp_path: Path) -> None:
    good = lora_file(tmp_path / "good.safetensors", "lora_unet_x.lora_up.weight")
    made = draft(SUBJECT, None, {"network.continues": str(good)})
    assert made.spec is not None
    assert made.spec.network.continues is not None
    assert made.spec.network.continues.path == str(good)
    other = lora_file(tmp_path / "other.safetensors", "decoder.weight")
    (tmp_path / "torn.safetensors").write_bytes(b"\xff" * 20)
    for path, words in ((other, "holds no LoRA"), (tmp_path / "torn.safetensors", "no .safetensors file"),
                        (tmp_path / "gone", "no file to read"), ("some/where", "full path")):  # fmt: skip
        assert words in draft(SUBJECT, None, {"network.continues": str(path)}).errors["network.continues"]


def test_settings_that_disagree_are_told_beside_the_one_to_change() -> None:
    texts = {"optimization.min_timestep": "900", "optimization.max_timestep": "100"}
    assert list(draft(SUBJECT, None, texts).errors) == ["optimization.min_timestep"]
    second = {"optimization.text_encoder_2_learning_rate": "1e-5"}
    assert "one text encoder" in next(iter(draft(SUBJECT, None, second).errors.values()))
