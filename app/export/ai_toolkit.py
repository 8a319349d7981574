"""ai-toolkit: a folder of pictures and .txt captions, a folder of masks with the same stems, and its datasets block."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from app.export.layout import SPLIT_FOLDERS, Item, Layout, Options, OutFile, Place, Written
from app.export.names import unique_stems
from app.export.words import ai_toolkit_reads


def place(items: Sequence[Item], options: Options) -> list[Place]:
    """Place images of equal use and repeats in one folder."""
    places = []
    for item, stem in zip(items, unique_stems(item.row.name for item in items), strict=True):
        folder = f"{SPLIT_FOLDERS[item.row.split]}-x{item.row.repeats}"
        places.append(Place(item, folder, stem, f"{folder}-masks/{stem}"))
    return places


def extras(written: Sequence[Written], options: Options) -> Iterator[OutFile]:
    """The block of the job's configuration that names the folders; held-out images stay out of it."""
    folders: dict[str, list[Written]] = {}
    for each in written:
        if each.place.item.row.split != "held-out":
            folders.setdefault(str(PurePosixPath(each.picture).parent), []).append(each)
    lines = ["# Made by LoRA Studio. Paste it into the process of an ai-toolkit job."]
    if options.trigger_word:
        lines.append(f"trigger_word: {json.dumps(options.trigger_word, ensure_ascii=False)}")
    lines.append("datasets:" if folders else "datasets: []")
    for folder, inside in sorted(folders.items()):
        row = inside[0].place.item.row
        lines += [
            f"  - folder_path: {json.dumps(options.path(folder), ensure_ascii=False)}",
            "    caption_ext: txt",
            f"    num_repeats: {row.repeats}",
            f"    resolution: [{options.resolution_px}]",
        ]
        if row.split == "regularisation":
            lines.append("    is_reg: true")
        if any(each.mask for each in inside):
            lines.append(f"    mask_path: {json.dumps(options.path(f'{folder}-masks'), ensure_ascii=False)}")
    yield OutFile("dataset.yaml", ("\n".join(lines) + "\n").encode())


AI_TOOLKIT = Layout(
    key="ai-toolkit",
    label="ai-toolkit",
    sentence="Folders of images and .txt captions, masks in a folder of their own, dataset.yaml to paste.",
    place=place,
    extras=extras,
    reads=ai_toolkit_reads,
)
