"""The spec: typed, bounded, the same after a round trip."""

import json

import pytest
from pydantic import ValidationError

from app.contract.spec import BaseModelRef, Optimization, Prompt, RenderSpec, Sampling, TrainSpec, read_spec

BASE = BaseModelRef(name="sd", path="/models/sd", family="sd15", sha256="0" * 64)
TRAIN = TrainSpec(name="cat", project="Cats", purpose="character", trigger_word="pebblo", base=BASE)
RENDER = RenderSpec(
    name="cat",
    project="Cats",
    base=BASE,
    lora_path="/runs/x/lora.safetensors",
    lora_sha256="1" * 64,
    step=250,
    strengths=(0.0, 1.0),
    sampling=Sampling(prompts=(Prompt(text="猫"),)),
)


@pytest.mark.parametrize("spec", [TRAIN, RENDER], ids=["train", "render"])
def test_a_round_trip_changes_nothing(spec: TrainSpec | RenderSpec) -> None:
    assert read_spec(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "nothing"),
        (("version",), 2),
        (("extra",), 1),
        (("optimization", "steps"), 0),
        (("optimization", "learning_rate"), "NaN"),
        (("optimization", "sede"), 1),
        (("data", "resolution_px"), 510),
        (("base", "family"), "flux"),
        (("network", "rank"), 8.5),
    ],
)
def test_what_is_out_of_bounds_is_refused(path: tuple[str, ...], value: object) -> None:
    data = json.loads(TRAIN.model_dump_json())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError) as refused:
        read_spec(json.dumps(data))
    assert refused.value.error_count() == 1


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        TRAIN.name = "dog"  # type: ignore[misc] - refusing is the point


def test_infinity_is_refused_since_json_has_none() -> None:
    with pytest.raises(ValidationError):
        Optimization(max_grad_norm=float("inf"))
