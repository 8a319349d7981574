"""OneTrainer: a folder a concept, `-masklabel.png` beside the picture, and concepts.json."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from app.export.layout import SPLIT_FOLDERS, Item, Layout, Options, OutFile, Place, Written, number_text
from app.export.names import unique_stems
from app.export.words import onetrainer_reads

TYPES = {"train": "STANDARD", "held-out": "VALIDATION", "regularisation": "PRIOR_PREDICTION"}


def place(items: Sequence[Item], options: Options) -> list[Place]:
    """Place images of equal use, repeats and weight in one concept."""
    places = []
    for item, stem in zip(items, unique_stems(item.row.name for item in items), strict=True):
        folder = f"{SPLIT_FOLDERS[item.row.split]}-x{item.row.repeats}"
        if item.row.weight != 1:
            folder += f"-w{number_text(item.row.weight)}"
        places.append(Place(item, folder, stem, f"{folder}/{stem}-masklabel"))
    return places


def extras(written: Sequence[Written], options: Options) -> Iterator[OutFile]:
    """The list of concepts."""
    folders: dict[str, Item] = {}
    for each in written:
        folders.setdefault(str(PurePosixPath(each.picture).parent), each.place.item)
    concepts = [_concept(folder, item, options) for folder, item in sorted(folders.items())]
    yield OutFile("concepts.json", json.dumps(concepts, indent=2, ensure_ascii=False).encode())


def _concept(folder: str, item: Item, options: Options) -> dict[str, object]:
    row = item.row
    return {
        "__version": 2,
        "name": f"{options.word} {folder}",
        "path": options.path(folder),
        "seed": 0,
        "enabled": True,
        "type": TYPES[row.split],
        "include_subdirectories": False,
        "image_variations": 1,
        "text_variations": 1,
        "balancing": float(row.repeats),
        "balancing_strategy": "REPEATS",
        "loss_weight": row.weight,
        "text": {"prompt_source": "sample", "prompt_path": "", "tag_delimiter": ","},
    }


ONETRAINER = Layout(
    key="onetrainer",
    label="OneTrainer",
    sentence="A folder a concept with concepts.json, masks as -masklabel.png beside each image.",
    place=place,
    extras=extras,
    reads=onetrainer_reads,
    knows_held_out=True,
    knows_weights=True,
)
