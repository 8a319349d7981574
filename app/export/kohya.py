"""Kohya's sd-scripts: `N_word` folders with .txt captions, and the .toml that leads to them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from app.export.layout import Item, Layout, Options, OutFile, Place, Written
from app.export.names import unique_stems
from app.export.pictures import has_mask
from app.export.words import kohya_reads

FOLDERS = {"train": "img", "held-out": "validation", "regularisation": "reg"}
HEAD = "# Made by LoRA Studio."
RELATIVE = "# Folders are relative to the one in which sd-scripts is started: start it here, or write the whole paths."


def place(items: Sequence[Item], options: Options) -> list[Place]:
    """Place each image in the folder of its repeats; once one has a mask, all get one, since kohya asks for all."""
    has_masks = any(has_mask(item) for item in items)
    places = []
    for item, stem in zip(items, unique_stems(item.row.name for item in items), strict=True):
        folder = f"{FOLDERS[item.row.split]}/{item.row.repeats}_{options.word}"
        # Masks and regularisation do not go together in kohya's configuration; see the .toml below.
        takes_mask = has_masks and item.row.split != "regularisation"
        mask = f"masks/{folder}/{stem}" if takes_mask else ""
        places.append(Place(item, folder, stem, mask, needs_mask=takes_mask))
    return places


def extras(written: Sequence[Written], options: Options) -> Iterator[OutFile]:
    """One .toml for training; held-out images stand in a second, which only newer versions of kohya understand."""
    held_out = [each for each in written if each.place.item.row.split == "held-out"]
    training = [each for each in written if each not in held_out] if held_out else list(written)
    yield OutFile("dataset.toml", _toml(training, options).encode())
    if held_out:
        yield OutFile("dataset-with-validation.toml", _toml(written, options).encode())


def _toml(written: Sequence[Written], options: Options) -> str:
    # A subset with masks knows neither class words nor regularisation: kohya refuses the whole file over them.
    has_masks = any(each.mask for each in written)
    folders: dict[str, str] = {}
    for each in written:
        folders.setdefault(str(PurePosixPath(each.picture).parent), each.place.item.row.split)
    lines = [HEAD] if options.root else [HEAD, RELATIVE]
    lines += ["", "[general]", 'caption_extension = ".txt"', f"enable_wildcard = {_word(options.reads_all_lines)}", ""]
    for splits in (("train", "regularisation"), ("held-out",)):
        chosen = [folder for folder, split in sorted(folders.items()) if split in splits]
        if has_masks:
            chosen = [folder for folder in chosen if folders[folder] != "regularisation"]
        if chosen:
            lines += _dataset(options)
            lines += ["validation_split = 1.0", ""] if splits == ("held-out",) else [""]
        for folder in chosen:
            lines += _subset(folder, folders[folder], has_masks, options)
    return "\n".join(lines)


def _dataset(options: Options) -> list[str]:
    return [
        "[[datasets]]",
        f"resolution = {options.resolution_px}",
        "batch_size = 1",
        "enable_bucket = true",
        f"bucket_reso_steps = {options.bucket_step_px}",
        f"min_bucket_reso = {options.resolution_px // 2}",
        f"max_bucket_reso = {options.resolution_px * 2}",
    ]


def _subset(folder: str, split: str, has_masks: bool, options: Options) -> Iterator[str]:
    yield "  [[datasets.subsets]]"
    yield f"  image_dir = {_text(options.path(folder))}"
    # The folder's own number counts only without a .toml.
    yield f"  num_repeats = {PurePosixPath(folder).name.partition('_')[0]}"
    if has_masks:
        yield f"  conditioning_data_dir = {_text(options.path(f'masks/{folder}'))}"
    else:
        yield f"  class_tokens = {_text(options.trigger_word)}"
        if split == "regularisation":
            yield "  is_reg = true"
    yield ""


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _word(value: bool) -> str:
    return "true" if value else "false"


KOHYA = Layout(
    key="kohya",
    label="Kohya sd-scripts",
    sentence="Folders named by their repeats, .txt captions, dataset.toml; masks for its masked loss.",
    place=place,
    extras=extras,
    reads=kohya_reads,
    knows_held_out=True,
)
