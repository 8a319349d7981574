"""The training form: texts in, errors beside their fields, and no text lost."""

import pytest

from app.contract.spec import BaseModelRef
from app.launch.draft import Subject, draft, fields

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
