"""Plain folders: pictures and .txt captions as a person would lay them out, untouched originals byte for byte."""

from collections.abc import Iterator, Sequence

from app.export.layout import SPLIT_FOLDERS, Item, Layout, Options, OutFile, Place, Written
from app.export.names import unique_stems
from app.export.words import whole_file_reads


def place(items: Sequence[Item], options: Options) -> list[Place]:
    """Place each image in the folder of its use."""
    places = []
    for item, stem in zip(items, unique_stems(item.row.name for item in items), strict=True):
        folder = SPLIT_FOLDERS[item.row.split]
        places.append(Place(item, folder, stem, f"{folder}-masks/{stem}"))
    return places


def extras(written: Sequence[Written], options: Options) -> Iterator[OutFile]:
    """Nothing more."""
    yield from ()


PLAIN = Layout(
    key="plain",
    label="Plain folders",
    sentence="Images and .txt captions, no configuration. Images without a recipe leave byte for byte as they came.",
    place=place,
    extras=extras,
    reads=whole_file_reads,
    keeps_bytes=True,
    knows_held_out=True,
)
