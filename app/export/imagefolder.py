"""Hugging Face imagefolder: a folder a split with metadata.jsonl beside the pictures."""

from collections.abc import Iterator, Sequence

from app.export.layout import Item, Layout, Options, OutFile, Place, Written
from app.export.names import json_line, unique_stems
from app.export.words import whole_file_reads

# The words by which the datasets library tells splits.
FOLDERS = {"train": "train", "held-out": "validation", "regularisation": "train"}


def place(items: Sequence[Item], options: Options) -> list[Place]:
    """Place training images and held-out ones in a split each; masks stay outside of both, or they would be loaded."""
    places = []
    for item, stem in zip(items, unique_stems(item.row.name for item in items), strict=True):
        places.append(Place(item, FOLDERS[item.row.split], stem, f"masks/{stem}"))
    return places


def extras(written: Sequence[Written], options: Options) -> Iterator[OutFile]:
    """One metadata.jsonl a split."""
    by_folder: dict[str, list[Written]] = {}
    for each in written:
        by_folder.setdefault(each.place.folder, []).append(each)
    for folder, inside in sorted(by_folder.items()):
        lines = "".join(json_line(_row(each)) for each in inside)
        yield OutFile(f"{folder}/metadata.jsonl", lines.encode())


def _row(each: Written) -> dict[str, object]:
    item = each.place.item
    return {
        "file_name": each.picture.rpartition("/")[2],
        "text": each.text,
        "repeats": item.row.repeats,
        "weight": item.row.weight,
        "source": item.provenance.source,
        "author": item.provenance.author,
        "licence": item.provenance.licence,
    }


IMAGEFOLDER = Layout(
    key="imagefolder",
    label="Hugging Face imagefolder",
    sentence="train and validation folders with metadata.jsonl, as the datasets library loads them.",
    place=place,
    extras=extras,
    reads=whole_file_reads,
    writes_captions=False,
    knows_held_out=True,
)
