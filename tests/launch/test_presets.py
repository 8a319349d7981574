"""Presets: three for every purpose and family, each of them a valid spec."""

import pytest

from app.contract.families import FAMILIES, FamilyKey
from app.contract.purposes import PURPOSES, PurposeKey
from app.contract.spec import BaseModelRef
from app.launch.draft import Subject, draft
from app.launch.presets import presets_for


def subject(purpose: PurposeKey, family: FamilyKey, resolution_px: int, image_count: int = 20) -> Subject:
    base = BaseModelRef(name="base", path="/models/base", family=family, sha256="0" * 64)
    return Subject("Fox", purpose, "fxo", base, resolution_px, image_count)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_small", [False, True])
def test_every_preset_makes_a_spec(purpose: PurposeKey, family: FamilyKey, is_small: bool) -> None:
    resolution_px = 64 if is_small else FAMILIES[family].resolution_px
    made_for = subject(purpose, family, resolution_px)
    presets = presets_for(purpose, family, resolution_px, 20)
    assert [preset.key for preset in presets] == ["quick", "balanced", "thorough"]
    steps = []
    for preset in presets:
        made = draft(made_for, preset.key, {})
        assert made.errors == {}
        assert made.spec is not None
        assert made.spec.data.resolution_px == resolution_px
        assert len(made.spec.sampling.prompts) == len(PURPOSES[purpose].prompts)
        steps.append(made.spec.optimization.steps)
    assert steps == sorted(steps)


def test_few_pictures_get_fewer_steps() -> None:
    few, many = (presets_for("style", "sd15", 512, count)[1].values["optimization.steps"] for count in (4, 40))
    assert isinstance(few, int)
    assert isinstance(many, int)
    assert few < many


def test_a_style_leaves_the_text_encoder_alone() -> None:
    for preset in presets_for("style", "sd15", 512, 20):
        assert preset.values["optimization.text_encoder_learning_rate"] == 0.0
