"""What a trainer will read of an export, before it is written: caption by caption, and what gets lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.export.datasets import caption_file
from app.export.layout import Item, Layout, Options, Reading
from app.store.images import ImageRow

SHOWN = 12


@dataclass(frozen=True)
class Line:
    """One image and what is read for it."""

    row: ImageRow
    reading: Reading


@dataclass(frozen=True)
class Preview:
    """The first images, those with a problem before the others, and sentences about the whole."""

    lines: Sequence[Line]
    images: int
    fatal: int
    problems: int
    notes: Sequence[str]


def preview(items: Sequence[Item], layout: Layout, options: Options) -> Preview:
    """Read every caption as the layout's trainer would."""
    lines = [Line(item.row, layout.reads(caption_file(item, layout, options), options)) for item in items]
    fatal = [line for line in lines if line.reading.is_fatal]
    odd = [line for line in lines if line.reading.problem and not line.reading.is_fatal]
    fine = [line for line in lines if not line.reading.problem]
    return Preview(
        lines=(*fatal, *odd, *fine)[:SHOWN],
        images=len(lines),
        fatal=len(fatal),
        problems=len(odd),
        notes=tuple(_notes(items, layout)),
    )


def _notes(items: Sequence[Item], layout: Layout) -> Iterator[str]:
    held_out = sum(item.row.split == "held-out" for item in items)
    if held_out and layout.knows_held_out:
        yield f"{_images(held_out)} held out: a set of their own for validation."
    elif held_out:
        yield f"{_images(held_out)} held out: a folder that {layout.label} is not told of, so they do not train."
    weighted = sum(item.row.weight != 1 for item in items)
    if weighted and not layout.knows_weights:
        yield f"{_images(weighted)} with a loss weight: {layout.label} cannot be told; it stands in the manifest."
    masked = sum(item.mask is not None or item.row.recipe.alpha == "mask" for item in items)
    regularising = sum(item.row.split == "regularisation" for item in items)
    if layout.key == "kohya" and masked:
        yield "As some images have a mask, every image gets one (white: all of it counts), since kohya asks for all."
        if regularising:
            yield "Kohya knows no regularisation beside masks: those images are written, but dataset.toml omits them."
    if no_ai := sum(item.provenance.no_ai for item in items):
        yield f"{_images(no_ai)} marked “no AI” by their owners. Think twice before you hand them on."


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
