"""Datasets as kohya's sd-scripts reads them: `10_name` folders, a .toml, fine-tune JSON and JSONL."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from app.collect.entries import Leftover, Patch, Said, Tree, counted, few, read_list
from app.collect.files import Found
from app.collect.layouts_masks import join_masks
from app.collect.refusals import Refused
from app.collect.sidecars import Words, is_caption
from app.contract.splits import Split

FOLDER = re.compile(r"^(\d{1,4})_(.*)$", re.DOTALL)
REGULARISATION = ("reg", "regs", "regularisation", "regularization")
PATHS = ("image_path", "file_name", "file_path", "filename", "image", "path", "file")
CAPTIONS = ("caption", "text", "prompt", "description")

WRITE_OUT = "Add the words to the captions of these images here, for many at once on the captions page."
UNTAKEN = {
    "class_tokens": "It is the caption of images that have none; write one for those here.",
    "caption_prefix": WRITE_OUT,
    "caption_suffix": WRITE_OUT,
    "secondary_separator": "Write the captions with commas alone here.",
    "enable_wildcard": "Write out here what may stand in braces.",
    "alpha_mask": "Say here on the image's page what becomes of transparent parts, or give it a mask.",
}
"""Settings that change what is trained, and what to do instead."""


def read(tree: Tree) -> Said:
    """Read whichever of the three are there; a folder that a .toml describes is not parsed by its name."""
    said = Said()
    described = _tomls(tree, said)
    for folder in tree.folders:
        if folder not in described:
            _repeats(tree, folder, said)
    for found in tree.named(".json"):
        _fine_tune(tree, found, said)
    for found in tree.named(".jsonl"):
        if found.rel.name.lower() != "metadata.jsonl":
            _lines(tree, found, said)
    return said


def _repeats(tree: Tree, folder: PurePosixPath, said: Said) -> None:
    name = folder.name or tree.root_name
    named = FOLDER.match(name)
    pictures = tree.pictures(folder)
    if named is None or not pictures or int(named[1]) < 1:
        return
    repeats, class_tokens = int(named[1]), named[2].strip()
    is_regularisation = any(part.lower() in REGULARISATION for part in folder.parent.parts)
    split: Split | None = "regularisation" if is_regularisation else None
    for each in pictures:
        said.say(each.rel, Patch(repeats=repeats, split=split))
    said.layouts.append(f"kohya folder {name}: {counted(repeats, 'repeat')}, class {class_tokens or 'none'}")


def _tomls(tree: Tree, said: Said) -> set[PurePosixPath]:
    described: set[PurePosixPath] = set()
    for found in tree.named(".toml"):
        try:
            text, _ = read_list(found)
            settings = tomllib.loads(text)
        except (Refused, tomllib.TOMLDecodeError, RecursionError) as error:
            said.leftovers.append(Leftover(found, _unread(found, error)))
            continue
        datasets = settings.get("datasets")
        if not isinstance(datasets, list):
            continue
        said.used.add(found.rel)
        before, merged = len(described), []
        for dataset in datasets:
            for subset in dataset.get("subsets", ()) if isinstance(dataset, dict) else ():
                if isinstance(subset, dict):
                    merged.append({**_plain(settings.get("general")), **_plain(dataset), **subset})
                    described |= _subset(tree, found, merged[-1], said)
        _tell_of_settings(found, merged, said)
        said.layouts.append(f"kohya {found.rel.name}: {counted(len(described) - before, 'folder')}")
    return described


def _subset(tree: Tree, found: Found, subset: Mapping[str, object], said: Said) -> set[PurePosixPath]:
    folders = tree.folders_at(found.rel.parent, str(subset.get("image_dir", "")))
    repeats = subset.get("num_repeats")
    patch = Patch(
        repeats=repeats if isinstance(repeats, int) and repeats >= 1 else None,
        split="regularisation" if subset.get("is_reg") is True else None,
    )
    ending = str(subset.get("caption_extension") or "")
    for folder in folders:
        for each in tree.pictures(folder):
            said.say(each.rel, patch)
            own = tree.files.get(folder / f"{each.rel.stem}{ending}") if ending else None
            if own is not None and not is_caption(own.rel.name) and not tree.is_picture(own.rel):
                said.say(each.rel, Patch(sidecar=own))
                said.used.add(own.rel)
        for masks in tree.folders_at(found.rel.parent, str(subset.get("conditioning_data_dir", "") or "?")):
            join_masks(tree, masks, [folder], said)
    if not folders:
        words = f"{found.shown} names the folder {str(subset.get('image_dir'))[:200]}, which is not here."
        said.leftovers.append(Leftover(found, Refused("F09", words, "Put the folder beside it, or correct image_dir.")))
    return set(folders)


def _tell_of_settings(found: Found, subsets: Sequence[Mapping[str, object]], said: Said) -> None:
    """What a .toml adds to captions or reads from pictures while kohya trains is in no file that could be read."""
    for key, way_out in UNTAKEN.items():
        values = list(dict.fromkeys(str(each[key])[:80] for each in subsets if each.get(key)))
        if values:
            shown = "" if values == ["True"] else f" ({few(values)})"
            said.notes.append(f"{found.shown} sets {key}{shown}, which is not taken over. {way_out}")


def _plain(settings: object) -> dict[str, object]:
    return {key: value for key, value in settings.items() if key != "subsets"} if isinstance(settings, dict) else {}


def _fine_tune(tree: Tree, found: Found, said: Said) -> None:
    """`{path: {"caption": …, "tags": …}}`, where tags are one text or a list."""
    try:
        text, encoding = read_list(found)
        rows = json.loads(text)
    except (Refused, ValueError, RecursionError) as error:
        if tree.pictures(found.rel.parent):
            said.leftovers.append(Leftover(found, _unread(found, error)))
        return
    if not isinstance(rows, dict) or not any(_is_row(row) for row in rows.values()):
        return
    said.used.add(found.rel)
    for key, row in rows.items():
        if _is_row(row):
            _join(tree, found, (str(key), row, encoding), said)
    said.layouts.append(f"kohya {found.rel.name}: {counted(len(rows), 'caption')}")


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and bool({"caption", "tags"} & row.keys())


def _lines(tree: Tree, found: Found, said: Said) -> None:
    try:
        text, encoding = read_list(found)
    except Refused as refusal:
        said.leftovers.append(Leftover(found, refusal))
        return
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        row = json_row(line)
        if row is None and line.strip():
            words = f"{found.shown}, line {number} is no JSON."
            said.leftovers.append(Leftover(found, Refused("F10", words, "Correct the line, then import again.")))
        key = next((row[name] for name in PATHS if isinstance(row.get(name), str)), None) if row else None
        if row and isinstance(key, str):
            _join(tree, found, (key, row, encoding), said)
            count += 1
    if count:
        said.used.add(found.rel)
        said.layouts.append(f"{found.rel.name}: {counted(count, 'caption')}")


def _join(tree: Tree, found: Found, row: tuple[str, Mapping[str, object], str], said: Said) -> None:
    key, values, encoding = row
    text = composed(values)
    rel = tree.picture_at(found.rel.parent, key)
    if rel is None:
        words = f"{found.shown} names {key[:200]}, which is not here or not one image alone."
        said.leftovers.append(Leftover(found, Refused("F09", words, "Put the image beside it, or correct the path.")))
    elif text is not None:
        said.say(rel, Patch(words=Words(text, None, encoding, found.shown)))


def json_row(line: str) -> dict[str, object] | None:
    """One line of JSON as an object, or None."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def composed(row: Mapping[str, object]) -> str | None:
    """Caption and tags as kohya joins them: the tags behind the caption, set apart by a comma."""
    caption = next((row[name] for name in CAPTIONS if isinstance(row.get(name), str)), None)
    tags = row.get("tags")
    if isinstance(tags, list):
        tags = ", ".join(str(tag) for tag in tags)
    parts = [part for part in (caption, tags) if isinstance(part, str)]
    return ", ".join(part for part in parts if part) if parts else None


def _unread(found: Found, error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    return Refused("F10", f"{found.shown} cannot be read: {str(error)[:200]}.", "Correct it, then import again.")
