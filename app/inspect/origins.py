"""Rules of origin: images that nobody knows the source of, and owners who want no AI."""

from collections.abc import Iterator

from app.inspect.findings import Facts, Finding, named


def unknown_origin(facts: Facts) -> Iterator[Finding]:
    """Images without a source or a licence, told once for all."""
    rows = [row for row in facts.rows if (found := facts.origins.get(row.id)) and not (found.source and found.licence)]
    if rows:
        noun = "1 image has" if len(rows) == 1 else f"{len(rows)} images have"
        yield Finding(
            "unknown-origin", "hint", "dataset", f"{noun} no source or licence: {named([row.name for row in rows])}.",
            "Say where they came from; many can be set at once.", None, "P02",
            facts.page("provenance?show=missing"), tuple(row.id for row in rows),
        )  # fmt: skip


def no_ai(facts: Facts) -> Iterator[Finding]:
    """Images whose owners want no AI to learn from them, told once for all."""
    rows = [row for row in facts.rows if (found := facts.origins.get(row.id)) and found.no_ai]
    if rows:
        yield Finding(
            "no-ai", "warning", "dataset",
            f"Their owners want no AI to learn from {named([row.name for row in rows])}.",
            "Ask them, or remove the images.", None, "P02",
            facts.page("provenance?show=no-ai"), tuple(row.id for row in rows),
        )  # fmt: skip
