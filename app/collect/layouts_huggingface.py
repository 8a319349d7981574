"""Hugging Face image folders: `metadata.jsonl` or `metadata.csv` beside the pictures, splits as folders."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import PurePosixPath

from app.collect.entries import Leftover, Patch, Said, Tree, read_list
from app.collect.files import Found
from app.collect.layouts_kohya import CAPTIONS, PATHS, composed, json_row
from app.collect.refusals import Refused
from app.collect.sidecars import Words
from app.contract.splits import Split

HELD_OUT = ("test", "validation", "valid", "val", "dev")
AUTHORS = ("author", "artist", "credit")
LICENCES = ("licence", "license")
SOURCES = ("source", "source_url", "url", "original_url")
DATES = ("date", "collected_on", "created")
CSV_FIELD_LIMIT = 1_000_000


def read(tree: Tree) -> Said:
    """Read every metadata file; a picture in a `test` or `validation` folder is held out."""
    said = Said()
    for found in tree.named(".jsonl", ".csv"):
        is_metadata = found.rel.name.lower() in ("metadata.jsonl", "metadata.csv")
        if not is_metadata and found.rel.suffix.lower() != ".csv":
            continue
        try:
            text, encoding = read_list(found)
        except Refused as refusal:
            said.leftovers.append(Leftover(found, refusal))
            continue
        rows = _csv_rows(text) if found.rel.suffix.lower() == ".csv" else _json_rows(found, text, said)
        count = sum(_join(tree, found, row, (encoding, said)) for row in rows)
        if count:
            said.used.add(found.rel)
            said.layouts.append(f"{found.rel.as_posix()}: {count} rows")
    return said


def _json_rows(found: Found, text: str, said: Said) -> Iterator[Mapping[str, object]]:
    for number, line in enumerate(text.splitlines(), 1):
        row = json_row(line)
        if row is not None:
            yield row
        elif line.strip():
            words = f"{found.shown}, line {number} is no JSON."
            said.leftovers.append(Leftover(found, Refused("F10", words, "Correct the line, then import again.")))


def _csv_rows(text: str) -> Iterator[Mapping[str, object]]:
    csv.field_size_limit(CSV_FIELD_LIMIT)
    try:
        rows = list(csv.DictReader(StringIO(text, newline="")))
    except csv.Error:
        return
    yield from ({key: value for key, value in row.items() if key is not None} for row in rows)


def _join(tree: Tree, found: Found, row: Mapping[str, object], rest: tuple[str, Said]) -> bool:
    encoding, said = rest
    key = _first(row, PATHS)
    if not key:
        return False
    rel = tree.picture_at(found.rel.parent, key)
    if rel is None:
        words = f"{found.shown} names {key[:200]}, which is not here or not one image alone."
        said.leftovers.append(Leftover(found, Refused("F09", words, "Put the image beside it, or correct file_name.")))
        return True
    text = composed(row)
    if text is None:
        text = next((value for name, value in row.items() if isinstance(value, str) and name not in _KNOWN), None)
    said.say(
        rel,
        Patch(
            words=None if text is None else Words(text, None, encoding, found.shown),
            split=_split(rel),
            source=_first(row, SOURCES),
            author=_first(row, AUTHORS),
            licence=_first(row, LICENCES),
            collected_on=_first(row, DATES),
        ),
    )
    return True


_KNOWN = (*PATHS, *SOURCES, *AUTHORS, *LICENCES, *DATES, *CAPTIONS)


def _first(row: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := row.get(name), str) and value), "")


def _split(rel: PurePosixPath) -> Split | None:
    return "held-out" if any(part.lower() in HELD_OUT for part in rel.parts[:-1]) else None
