"""Rules of files: gone or damaged originals, transparency that nobody decided about, colours that are converted."""

from collections.abc import Iterator

from app.collect.facts import conversions, stamp_of
from app.inspect.findings import Facts, Finding, image_page, named


def original_missing(facts: Facts) -> Iterator[Finding]:
    """An original that is gone from the disk."""
    for row, path in zip(facts.rows, facts.originals, strict=True):
        if not path.is_file():
            yield Finding(
                "original-missing",
                "error",
                row.name,
                "Its file is gone.",
                "Add the image again.",
                row.id,
                "F01",
                facts.page("images"),
            )


def original_unreadable(facts: Facts) -> Iterator[Finding]:
    """An original that could not be read when it was last looked at, and has not been written anew since."""
    for row, path in zip(facts.rows, facts.originals, strict=True):
        found = facts.measures.get(row.sha256)
        if found and found.unreadable and path.is_file() and stamp_of(path) == found.unread_stamp:
            yield Finding(
                "original-unreadable",
                "error",
                row.name,
                found.unreadable,
                "Add the same file again, which puts it right, or remove the image.",
                row.id,
                "F01",
                facts.page("images"),
            )


def transparent(facts: Facts) -> Iterator[Finding]:
    """Transparency while nobody has said what it means."""
    if facts.alpha_is_decided:
        return
    for row, found in facts.measured():
        if found.uses_alpha and row.recipe.alpha == "flatten" and row.recipe.mask is None:
            yield Finding(
                "transparent",
                "warning",
                row.name,
                f"It is transparent in part; {row.recipe.background} shows there, and the LoRA learns it.",
                "Choose a background, or let transparency say what is learned.",
                row.id,
                "F05",
                facts.page("images"),
            )


def unmeasured(facts: Facts) -> Iterator[Finding]:
    """Images of which bars and compression blocks are not known, told once for all."""
    if facts.unmeasured:
        came = "1 image came" if len(facts.unmeasured) == 1 else f"{len(facts.unmeasured):,} images came"
        yield Finding(
            "unmeasured", "hint", "dataset",
            f"{came} in before bars and compression were measured: {named(facts.unmeasured)}.",
            "Have them measured; it can be stopped and gone on with.", None, "Q06", facts.page("imports"),
        )  # fmt: skip


def converted(facts: Facts) -> Iterator[Finding]:
    """Colours or frames that are not taken as they are."""
    for row, found in facts.measured():
        if said := conversions(found):
            words = ", ".join(said)
            reason = f"{words[0].upper()}{words[1:]}."
            yield Finding(
                "converted",
                "hint",
                row.name,
                reason,
                "Look at it once; nothing else is needed.",
                row.id,
                "F06",
                image_page(row),
            )
