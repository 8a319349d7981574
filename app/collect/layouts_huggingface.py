"""Hugging Face image folders: `metadata.jsonl` or `metadata.csv` beside the pictures, splits as folders."""

import csv
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import PurePosixPath

from app.collect.entries import Leftover, Patch, Said, Tree, counted, read_list
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
DELIMITERS = (",", ";", "\t", "|")
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
        rows = _csv_rows(found, text, said) if found.rel.suffix.lower() == ".csv" else _json_rows(found, text, said)
        count = sum(_join(tree, found, row, (encoding, said)) for row in rows)
        if count:
            said.used.add(found.rel)
            said.layouts.append(f"{found.rel.as_posix()}: {counted(count, 'row')}")
        elif is_metadata and tree.pictures(found.rel.parent) and not _is_told(said, found):
            words = f"{found.shown} names no image: it has no column called {', '.join(PATHS[:4])} or the like."
            said.leftovers.append(
                Leftover(found, Refused("F10", words, "Name the column file_name, then import again."))
            )
    return said


def _is_told(said: Said, found: Found) -> bool:
    return any(each.found.rel == found.rel for each in said.leftovers)


def _json_rows(found: Found, text: str, said: Said) -> Iterator[Mapping[str, object]]:
    for number, line in enumerate(text.splitlines(), 1):
        row = json_row(line)
        if row is not None:
            yield row
        elif line.strip():
            words = f"{found.shown}, line {number} is no JSON."
            said.leftovers.append(Leftover(found, Refused("F10", words, "Correct the line, then import again.")))


def _csv_rows(found: Found, text: str, said: Said) -> Iterator[Mapping[str, object]]:
    """Its rows, set apart by commas, or by what else sets a column of paths apart in its first line."""
    csv.field_size_limit(CSV_FIELD_LIMIT)
    header = text.partition("\n")[0]
    delimiter = next((each for each in DELIMITERS if set(_columns(header, each)) & set(PATHS)), ",")
    reader = csv.DictReader(StringIO(text, newline=""), _columns(header, delimiter), delimiter=delimiter)
    try:
        rows = list(reader)[1:]
    except csv.Error as error:
        words = f"{found.shown} cannot be read as a table: {str(error)[:200]}."
        said.leftovers.append(Leftover(found, Refused("F10", words, "Save it as CSV in UTF-8, then import again.")))
        return
    yield from ({key: value for key, value in row.items() if key is not None} for row in rows)


def _columns(header: str, delimiter: str) -> list[str]:
    try:
        return [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return []


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
