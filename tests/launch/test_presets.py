"""Presets: three for every purpose and family, each of them a valid spec."""

import pytest

from app.contract.families import FAMILIES, FamilyKey
from app.contract.memory import GB, peak
from app.contract.purposes import PURPOSES, PurposeKey
from app.contract.spec import BaseModelRef
from app.launch.draft import Subject, draft, presets_of
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
    lean = ["small-card"] if family == "sdxl" and not is_small else []
    assert [preset.key for preset in presets] == ["quick", "balanced", "thorough", *lean]
    steps = []
    for preset in presets:
        made = draft(made_for, preset.key, {})
        assert made.errors == {}
        assert made.spec is not None
        assert made.spec.data.resolution_px == resolution_px
        assert len(made.spec.sampling.prompts) == len(PURPOSES[purpose].prompts)
        assert preset.why.endswith(".")
        steps.append(made.spec.optimization.steps)
        # Nobody with a card of 8 GB shall be handed settings that cannot fit.
        assert is_small or peak(made.spec, 8 * GB) <= 8 * GB
    assert steps[:3] == sorted(steps[:3])


def test_the_lean_preset_takes_the_least_memory() -> None:
    made_for = subject("style", "sdxl", 1024)
    sizes = {}
    for preset in presets_of(made_for):
        spec = draft(made_for, preset.key, {}).spec
        assert spec is not None
        sizes[preset.key] = peak(spec, 8 * GB)
    assert min(sizes, key=lambda key: sizes[key]) == "small-card"


def test_held_out_images_switch_their_loss_on() -> None:
    for held_out, is_on in ((0, False), (3, True)):
        preset = presets_for("style", "sd15", 512, 20, held_out)[1]
        assert bool(preset.values["validation.every_steps"]) is is_on


def test_purposes_differ_where_the_recipes_do() -> None:
    def values(purpose: PurposeKey, family: FamilyKey) -> dict[str, object]:
        return dict(presets_for(purpose, family, FAMILIES[family].resolution_px, 20)[1].values)

    assert values("style", "sd15")["network.conv_rank"] == 8
    assert values("character", "sd15")["optimization.text_encoder_learning_rate"] == 5e-5
    assert values("character", "sdxl")["optimization.text_encoder_learning_rate"] == 0
    assert values("concept", "sdxl")["data.shuffles_tags"] is False


def test_few_pictures_get_fewer_steps() -> None:
    few, many = (presets_for("style", "sd15", 512, count)[1].values["optimization.steps"] for count in (4, 40))
    assert isinstance(few, int)
    assert isinstance(many, int)
    assert few < many


def test_a_style_leaves_the_text_encoder_alone() -> None:
    for preset in presets_for("style", "sd15", 512, 20):
        assert preset.values["optimization.text_encoder_learning_rate"] == 0.0
