"""The manifest that our own exports carry: what no other tool's layout can say of a picture."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import get_args

from app.collect.entries import REPEATS_MOST, Patch, Said, Tree, counted, read_list
from app.collect.files import UNNAMED, shown_name
from app.collect.layouts_kohya import json_row
from app.collect.refusals import Refused
from app.contract.splits import Split

NAME = "manifest.jsonl"
SPLITS: tuple[Split, ...] = get_args(Split)


def read(tree: Tree) -> Said:
    """Read every manifest; a line that is none, or whose picture is not here, says nothing."""
    said = Said()
    for found in tree.named(".jsonl"):
        if found.rel.name != NAME:
            continue
        try:
            text, _ = read_list(found)
        except Refused:
            # Another reader tells of lists that cannot be read.
            continue
        rows = [row for row in map(json_row, text.split("\n")) if row is not None and "sha256" in row]
        count = sum(_join(tree, found.rel.parent, row, said) for row in rows)
        if count:
            said.used.add(found.rel)
            said.layouts.append(f"our own {NAME}: {counted(count, 'image')}")
    return said


def _join(tree: Tree, base: PurePosixPath, row: Mapping[str, object], said: Said) -> bool:
    rel = tree.picture_at(base, _text(row, "file"))
    if rel is None:
        return False
    repeats, weight, split = row.get("repeats"), row.get("weight"), row.get("split")
    mask = tree.picture_at(base, _text(row, "mask"))
    if mask is not None:
        said.used.add(mask)
    said.say(
        rel,
        Patch(
            repeats=repeats if isinstance(repeats, int) and 1 <= repeats <= REPEATS_MOST else None,
            weight=float(weight) if isinstance(weight, int | float) and 0 <= weight <= 100 else None,
            split=next((each for each in SPLITS if each == split), None),
            mask=tree.files[mask] if mask else None,
            source=_text(row, "source"),
            author=_text(row, "author"),
            licence=_text(row, "licence"),
            collected_on=_text(row, "collected_on"),
            no_ai=row.get("no_ai") is True,
            name=_name(_text(row, "original_name")),
        ),
    )
    return True


def _name(told: str) -> str:
    """The bare name that the image had, as any other file's is read; empty where it is none."""
    name = shown_name(told)
    return "" if name == ".." or (name == UNNAMED and UNNAMED not in told) else name


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
