"""Findings: each rule by itself, where it says nothing, and what a finding names."""

from dataclasses import replace
from pathlib import Path

from app.collect.facts import PictureFacts
from app.contract.recipe import Crop, Recipe
from app.inspect.amounts import odd_views, too_few
from app.inspect.files import converted, original_missing, transparent
from app.inspect.findings import Facts, named
from app.inspect.origins import no_ai, unknown_origin
from app.inspect.quality import bars, blocky, blurred, upscaled, writing
from app.inspect.rules import RULES
from app.inspect.sameness import alike_caption, equal_files
from app.store.images import ImageRow

NOTHING = Facts([], [], "", 512, 64)


def row(number: int, side_px: int = 512, caption: str = "") -> ImageRow:
    return ImageRow(number, 1, f"{number}.png", f"{number:064d}", "png", side_px, side_px, 1, caption)


def test_names_are_few() -> None:
    assert named(["a"]) == "a"
    assert named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_an_empty_project_has_one_finding_and_one_hint_at_most() -> None:
    assert [finding.rule for rule in RULES for finding in rule(NOTHING)] == ["too-few", "no-trigger"]
    assert next(too_few(NOTHING)).severity == "error"


def test_rules_without_their_facts_say_nothing(tmp_path: Path) -> None:
    facts = Facts([row(1)], [tmp_path / "gone.png"], "x", 512, 64)
    for rule in (
        odd_views,
        converted,
        transparent,
        unknown_origin,
        no_ai,
        bars,
        blocky,
        blurred,
        writing,
        equal_files,
        alike_caption,
    ):
        assert list(rule(facts)) == []
    assert [finding.code for finding in original_missing(facts)] == ["F01"]


def test_how_much_is_invented() -> None:
    facts = Facts([row(1, 500), row(2, 300)], [], "x", 512, 64)
    assert [finding.severity for finding in upscaled(facts)] == ["warning", "error"]
    guessed = Facts([row(2, 300)], [], "x", 512, 64, has_base=False)
    assert [finding.severity for finding in upscaled(guessed)] == ["warning"]
    large = Facts([row(1, 900)], [], "x", 1024, 64)
    assert [finding.rule for finding in upscaled(large)] == ["upscaled"]


def test_bars_lead_to_where_they_are_trimmed_and_are_not_told_once_they_are() -> None:
    measures = {row(1).sha256: PictureFacts(container="PNG", mode="RGB", bars=(0.0, 0.1, 0.0, 0.15))}
    (found,) = bars(Facts([row(1)], [], "x", 512, 64, measures=measures))
    assert (found.code, found.href) == ("Q06", "/images/1/polish")
    assert "25%" in found.reason
    trimmed = replace(row(1), recipe=Recipe(crop=Crop(left=0, top=50, width=512, height=380)))
    assert list(bars(Facts([trimmed], [], "x", 512, 64, measures=measures))) == []


def test_large_sets_are_compared_by_equal_tags_alone() -> None:
    rows = [row(number, caption=f"a, b, c, {number}") for number in range(1600)]
    rows[9] = row(9, caption="c, b, a, 3")
    found = list(alike_caption(Facts(rows, [], "x", 512, 64)))
    assert [finding.image_ids for finding in found] == [(9, 3)]


def test_conversions_are_told_as_a_sentence() -> None:
    facts = Facts([row(1)], [], "x", 512, 64, measures={row(1).sha256: PictureFacts(container="JPEG", mode="CMYK")})
    (found,) = converted(facts)
    assert found.reason == "CMYK inks become sRGB."
