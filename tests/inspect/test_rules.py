"""Inspection: each rule finds its fault and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.duplicates import Decision, Pair
from app.collect.facts import PictureFacts
from app.config import Settings
from app.inspect.reading import read_facts
from app.inspect.rules import Facts, inspect
from app.store.db import read
from app.store.images import ImageRow
from app.store.provenance import Provenance
from tests.drawing import project_with_images


def row(number: int, **changes: object) -> ImageRow:
    plain = ImageRow(number, 1, f"{number}.png", f"{number:064d}", "png", 512, 512, 1, f"a cat, number {number}")
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
        ("long", {"width_px": 1900, "height_px": 600}),
        ("short-side", {"width_px": 500, "height_px": 700}),
        ("writing", {"caption": "a cat, number 3, Watermark"}),
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


def measured(clean: Facts, **changes: object) -> Facts:
    """The clean set, where image 3 was measured and is a plain character picture but for the changes."""
    plain = {"container": "PNG", "mode": "RGB", "sharpness": 900.0, "brightness": 0.5, "flatness": 0.2}
    rows = [replace(each, sha256=f"{each.id:064d}") for each in clean.rows]
    found = PictureFacts.model_validate({**plain, **changes})
    return replace(clean, rows=rows, purpose="character", measures={rows[3].sha256: found})


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("blurred", {"sharpness": 40.0}),
        ("badly-lit", {"brightness": 0.02}),
        ("badly-lit", {"brightness": 0.99}),
        ("badly-lit", {"flatness": 0.999}),
        ("bars", {"bars": (0.0, 0.12, 0.0, 0.13)}),
        ("bars", {"bars": (0.02, 0.0, 0.0, 0.0)}),
        ("blocky", {"blocking": 1.4}),
        ("converted", {"mode": "CMYK"}),
        ("converted", {"bits": 16}),
        ("converted", {"frames": 3}),
    ],
)
def test_what_was_measured(clean: Facts, rule: str, changes: dict[str, object]) -> None:
    findings = inspect(measured(clean, **changes))
    assert [(finding.rule, finding.image_id) for finding in findings] == [(rule, 3)]
    assert findings[0].code
    assert findings[0].href.startswith("/")


def test_what_is_no_fault(clean: Facts) -> None:
    assert inspect(measured(clean)) == []
    soft = measured(clean, sharpness=40.0)
    assert [finding.rule for finding in inspect(replace(soft, purpose="style"))] == ["too-few"]
    assert inspect(measured(clean, sharpness=40.0, flatness=0.9)) == [], "flat art has few edges"
    assert inspect(measured(clean, bars=(0.0, 0.019, 0.019, 0.0), blocking=1.3)) == []
    clear = measured(clean, uses_alpha=True)
    assert inspect(clear) == []
    assert [finding.rule for finding in inspect(replace(clear, alpha_is_decided=False))] == ["transparent"]


def test_alike_images_and_both_sides_of_a_split(clean: Facts) -> None:
    rows = [replace(each, sha256=f"{each.id:064d}") for each in clean.rows]
    near = Pair(2, rows[0].sha256, rows[1].sha256)
    facts = replace(clean, rows=rows, pairs=[near, Pair(9, rows[1].sha256, rows[2].sha256)])
    (found,) = inspect(facts)
    assert (found.rule, found.severity, found.image_ids) == ("alike", "warning", (0, 1, 2))
    far = Pair(9, rows[4].sha256, rows[5].sha256)
    assert [(each.rule, each.severity) for each in inspect(replace(facts, pairs=[far]))] == [("alike", "hint")]
    decided = replace(facts, decisions=[Decision(near.low, near.high, "same")], pairs=[near])
    assert inspect(decided) == []
    rows[1] = replace(rows[1], split="held-out")
    (side,) = inspect(replace(decided, rows=rows))
    assert (side.rule, side.severity, side.image_id) == ("copies-on-both-sides", "error", 1)
    apart = replace(decided, rows=rows, decisions=[Decision(near.low, near.high, "unrelated")])
    assert inspect(apart) == []
    rows[5] = replace(rows[5], sha256=rows[4].sha256)
    assert "equal-files" in [each.rule for each in inspect(replace(apart, rows=rows))]


def test_captions_that_say_nearly_the_same(clean: Facts) -> None:
    words = "a cat, red, on a chair, at night, in the rain, old, tall, wide, thin"
    rows = list(clean.rows)
    rows[2], rows[7] = replace(rows[2], caption=words), replace(rows[7], caption=f"thin, {words}, sleeping")
    (found,) = inspect(replace(clean, rows=rows))
    assert (found.rule, found.image_ids) == ("alike-caption", (7, 2))


def test_amounts_and_origins(clean: Facts) -> None:
    known = {each.id: Provenance(source="a book", licence="CC0-1.0") for each in clean.rows}
    facts = replace(clean, purpose="character", origins=known)
    assert inspect(facts) == []
    assert [each.rule for each in inspect(replace(facts, purpose="style"))] == ["too-few"]
    assert [each.rule for each in inspect(replace(facts, views=200))] == ["odd-views"]
    assert inspect(replace(facts, views=1600)) == []
    rows = [row(number) for number in range(51)]
    crowd = replace(facts, rows=rows, originals=[clean.originals[0]] * 51)
    assert [each.rule for each in inspect(crowd)] == ["many"]
    known[2], known[4] = Provenance(source="a book"), replace(known[4], no_ai=True)
    ai, unknown = inspect(replace(facts, origins=known))
    assert (ai.rule, ai.severity, ai.image_ids) == ("no-ai", "warning", (4,))
    assert (unknown.rule, unknown.severity, unknown.image_ids) == ("unknown-origin", "hint", (2,))
    held = [replace(each, split="held-out") if each.id < 3 else each for each in clean.rows]
    assert [each.rule for each in inspect(replace(clean, rows=held, purpose="character"))] == ["too-few"]


def test_a_whole_project_is_read(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 3)
    with read(engine) as session:
        facts = read_facts(session, settings, project_id)
    assert (len(facts.rows), len(facts.originals), facts.purpose) == (3, 3, "style")
    assert {finding.rule for finding in inspect(facts)} >= {"too-few", "unknown-origin"}
