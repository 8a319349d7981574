"""Inspection: each rule finds its fault and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.inspect.rules import Facts, inspect
from app.store.images import ImageRow


def row(number: int, **changes: object) -> ImageRow:
    plain = ImageRow(number, 1, f"{number}.png", "0" * 64, "png", 512, 512, 1, f"a cat, number {number}")
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def clean(tmp_path: Path) -> Facts:
    original = tmp_path / "original.png"
    original.touch()
    rows = [row(number) for number in range(12)]
    return Facts(rows, [original] * 12, "rdct", 512, 64)


def test_a_clean_dataset_has_no_findings(clean: Facts) -> None:
    assert inspect(clean) == []


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("no-caption", {"caption": None}),
        ("no-caption", {"caption": "  \n"}),
        ("upscaled", {"width_px": 300, "height_px": 300}),
        ("heavy-crop", {"width_px": 5000, "height_px": 600}),
        ("same-caption", {"caption": "a cat, number 4"}),
    ],
)
def test_one_image_one_finding(clean: Facts, rule: str, changed: dict[str, object]) -> None:
    rows = [row(number, **changed) if number == 3 else row(number) for number in range(12)]
    findings = inspect(replace(clean, rows=rows))
    assert [finding.rule for finding in findings] == [rule]
    assert findings[0].image_id == 3
    assert findings[0].reason
    assert findings[0].fix


def test_the_dataset_itself(clean: Facts, tmp_path: Path) -> None:
    assert [finding.rule for finding in inspect(replace(clean, trigger_word=""))] == ["no-trigger"]
    few = replace(clean, rows=clean.rows[:3], originals=clean.originals[:3])
    assert [finding.rule for finding in inspect(few)] == ["too-few"]
    gone = [tmp_path / "gone.png", *clean.originals[1:]]
    assert [(finding.rule, finding.severity) for finding in inspect(replace(clean, originals=gone))] == [
        ("original-missing", "error")
    ]
    nothing = Facts([], [], "rdct", 512, 64)
    assert [finding.severity for finding in inspect(nothing)] == ["error"]
