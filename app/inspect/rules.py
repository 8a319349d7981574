"""Inspection: facts of a dataset in, findings out, one small function a rule."""

from collections.abc import Callable, Iterator

from app.inspect.amounts import odd_views, too_few
from app.inspect.files import converted, original_missing, original_unreadable, transparent, unmeasured
from app.inspect.findings import ORDER, Facts, Finding, image_page
from app.inspect.origins import no_ai, unknown_origin
from app.inspect.quality import badly_lit, bars, blocky, blurred, heavy_crop, upscaled, writing
from app.inspect.sameness import alike, alike_caption, copies_on_both_sides, equal_files, same_caption

__all__ = ["RULES", "Facts", "Finding", "inspect"]


def no_caption(facts: Facts) -> Iterator[Finding]:
    """An image without words."""
    for row in facts.rows:
        if not (row.caption or "").strip():
            yield Finding(
                "no-caption",
                "warning",
                row.name,
                "It has no caption, so everything in it binds to the trigger word.",
                "Say what is in the image.",
                row.id,
                "F09",
                image_page(row),
            )


def no_trigger(facts: Facts) -> Iterator[Finding]:
    """A dataset nothing calls by name."""
    if not facts.trigger_word:
        yield Finding(
            "no-trigger",
            "warning",
            "dataset",
            "There is no trigger word, so the LoRA acts on every prompt.",
            "Set one on the project's page.",
            None,
            "C01",
            f"/projects/{facts.project_id}#settings",
        )


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    too_few,
    odd_views,
    original_missing,
    original_unreadable,
    equal_files,
    copies_on_both_sides,
    no_caption,
    no_trigger,
    transparent,
    upscaled,
    heavy_crop,
    bars,
    blocky,
    blurred,
    writing,
    alike,
    no_ai,
    same_caption,
    alike_caption,
    unknown_origin,
    badly_lit,
    unmeasured,
    converted,
)


def inspect(facts: Facts) -> list[Finding]:
    """Run every rule; graver findings first."""
    findings = [finding for rule in RULES for finding in rule(facts)]
    return sorted(findings, key=lambda finding: ORDER[finding.severity])
