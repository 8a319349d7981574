"""The form of a tag run: defaults, choices and mistakes."""

import pytest

from app.label.taggers import FoundTagger
from app.launch.tag_draft import ENDPOINT, PROMPT, draft

WD = FoundTagger("wd", "wd-vit", "/m/wd-vit", 10, "6 tags")
BLIP = FoundTagger("captioner", "blip", "/m/blip", 10, "blip")
BROKEN = FoundTagger("wd", "half", "/m/half", 10, "", "model.onnx is missing beside it.")


def test_the_first_usable_model_is_chosen_and_the_defaults_hold() -> None:
    made = draft("Ink", "ink", [BROKEN, WD, BLIP], {})
    assert made.spec is not None
    assert (made.spec.tagger, made.spec.model, made.spec.model_path) == ("wd", "wd-vit", "/m/wd-vit")
    assert (made.spec.threshold, made.spec.character_threshold, made.spec.trigger_word) == (0.35, 0.85, "ink")
    assert made.scope == "all"
    assert draft("Ink", "", [WD, BLIP], {"model": "/m/blip"}).spec.tagger == "captioner"  # type: ignore[union-attr]


def test_without_a_folder_the_endpoint_is_asked_for() -> None:
    made = draft("Ink", "", [BROKEN], {"endpoint_model": "qwen", "address": "localhost:1234", "scope": "unseen"})
    assert made.is_endpoint
    assert made.spec is not None
    assert (made.spec.address, made.spec.model, made.scope) == ("http://localhost:1234/v1", "qwen", "unseen")


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ({"model": "/m/gone"}, "model"),
        ({"model": "/m/half"}, "model"),
        ({"threshold": "2"}, "threshold"),
        ({"threshold": "some"}, "threshold"),
        ({"most_tags": "0"}, "most_tags"),
        ({"model": ENDPOINT, "endpoint_model": "a", "address": "ftp://here"}, "address"),
        ({"model": ENDPOINT}, "endpoint_model"),
        ({"model": ENDPOINT, "endpoint_model": "a", "prompt": " "}, "prompt"),
        ({"model": ENDPOINT, "endpoint_model": "a", "max_tokens": "9999"}, "max_tokens"),
    ],
)
def test_each_mistake_stands_beside_its_field(texts: dict[str, str], field: str) -> None:
    made = draft("Ink", "", [BROKEN, WD], texts)
    assert made.spec is None
    assert list(made.errors) == [field]
    assert made.values[field] == texts.get(field, "").strip()


def test_a_prompt_in_words_goes_only_to_models_that_follow_one() -> None:
    qwen = FoundTagger("captioner", "qwen", "/m/qwen", 10, "qwen3_vl")
    remembered = {"prompt": "Say it shortly."}
    assert draft("Ink", "", [qwen], {}).values["prompt"] == PROMPT
    assert draft("Ink", "", [qwen], {}, remembered).values["prompt"] == "Say it shortly."
    assert draft("Ink", "", [BLIP], {}, remembered).values["prompt"] == ""
    assert draft("Ink", "", [BLIP], {"prompt": "a photo of"}, remembered).values["prompt"] == "a photo of"


def test_a_comma_is_a_decimal_point() -> None:
    made = draft("Ink", "", [WD], {"threshold": "0,5"})
    assert made.spec is not None
    assert made.spec.threshold == 0.5
