"""OneTrainer's concepts: a JSON list of folders with repeats, weights and roles."""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from app.collect.entries import Leftover, Patch, Said, Tree, counted, few, read_list
from app.collect.files import Found, read_file
from app.collect.layouts_masks import CONDITION_END, MASK_END
from app.collect.refusals import Refused
from app.collect.sidecars import MAX_CAPTION_BYTES, Words, read_words
from app.contract.splits import Split
from app.errors import Invalid

SPLITS: dict[object, Split] = {"VALIDATION": "held-out", "PRIOR_PREDICTION": "regularisation"}


def read(tree: Tree) -> Said:
    """Read every list of concepts; of what is switched off the pictures are left out."""
    said = Said()
    for found in tree.named(".json"):
        concepts = _concepts(found)
        if concepts:
            said.used.add(found.rel)
            for concept in concepts:
                _concept(tree, found, concept, said)
            said.layouts.append(f"OneTrainer {found.rel.name}: {counted(len(concepts), 'concept')}")
    return said


def _concepts(found: Found) -> list[Mapping[str, object]]:
    try:
        rows = json.loads(read_list(found)[0])
    except (Refused, ValueError, RecursionError):
        # A .json that is no list of ours is told of by kohya's reader.
        return []
    if isinstance(rows, dict):
        rows = rows.get("concepts")
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("path"), str)]


def _concept(tree: Tree, found: Found, concept: Mapping[str, object], said: Said) -> None:
    path = str(concept["path"])
    folders = tree.folders_at(found.rel.parent, path)
    if not folders:
        words = f"{found.shown} names the folder {path[:200]}, which is not here."
        said.leftovers.append(Leftover(found, Refused("F09", words, "Put the folder beside it, or correct the path.")))
    _tell_of_settings(found, concept, said)
    off: list[Found] = []
    shared = _shared_words(tree, found.rel.parent, concept, said)
    for folder in folders:
        for each in tree.under(folder, deep=concept.get("include_subdirectories") is True):
            named = Words(each.rel.stem, None, None, "the file name") if _source(concept) == "filename" else shared
            said.say(each.rel, _patch(concept, named))
            if concept.get("enabled") is False and not each.rel.stem.endswith((MASK_END, CONDITION_END)):
                off.append(each)
    if off:
        count = "its image is" if len(off) == 1 else f"its {len(off):,} images are"
        words = f"{found.shown} has the concept {_name(concept)} switched off, so that {count} left out"
        said.notes.append(f"{words}: {few(each.shown for each in off)}. Enable it there, or import its folder alone.")


def _tell_of_settings(found: Found, concept: Mapping[str, object], said: Said) -> None:
    strategy = concept.get("balancing_strategy", "REPEATS")
    if strategy != "REPEATS" and concept.get("enabled") is not False:
        words = f"{found.shown} balances the concept {_name(concept)} by {str(strategy)[:40].lower()}"
        said.notes.append(f"{words}, which is not taken over: its repeats are 1. Set the repeats of its images here.")


def _name(concept: Mapping[str, object]) -> str:
    return str(concept.get("name") or concept["path"])[:80]


def _patch(concept: Mapping[str, object], words: Words | None) -> Patch:
    amount, weight = concept.get("balancing"), concept.get("loss_weight")
    is_repeats = concept.get("balancing_strategy", "REPEATS") == "REPEATS"
    return Patch(
        words=words,
        repeats=max(1, round(amount)) if is_repeats and isinstance(amount, int | float) else None,
        weight=float(weight) if isinstance(weight, int | float) and 0 <= weight <= 100 else None,
        split=SPLITS.get(concept.get("type")),
        is_off=concept.get("enabled") is False,
    )


def _source(concept: Mapping[str, object]) -> str:
    text = concept.get("text")
    return str(text.get("prompt_source", "sample")) if isinstance(text, dict) else "sample"


def _shared_words(tree: Tree, base: PurePosixPath, concept: Mapping[str, object], said: Said) -> Words | None:
    """The one text of all pictures of a concept, where it has such a file."""
    text = concept.get("text")
    if _source(concept) != "concept" or not isinstance(text, dict):
        return None
    name = str(text.get("prompt_path", "")).replace("\\", "/").rpartition("/")[2]
    found = next((each for each in tree.captions() if name and each.rel.name == name), None)
    if found is None:
        return None
    said.used.add(found.rel)
    try:
        return read_words(read_file(found.path, MAX_CAPTION_BYTES), found.shown)
    except (OSError, Invalid) as error:
        refusal = error if isinstance(error, Refused) else Refused("F10", f"{name} cannot be read.", "Check the file.")
        said.leftovers.append(Leftover(found, refusal))
        return None
