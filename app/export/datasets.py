"""Dataset layouts out: pictures, captions and masks as other trainers expect them, into a folder or a zip."""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from app.errors import Conflict, Invalid, NotFound
from app.export.ai_toolkit import AI_TOOLKIT
from app.export.imagefolder import IMAGEFOLDER
from app.export.kohya import KOHYA
from app.export.layout import MASK_SUFFIX, Item, Layout, LayoutKey, Options, OutFile, PictureFormat, Place, Written
from app.export.manifest import manifest
from app.export.onetrainer import ONETRAINER
from app.export.pictures import has_mask, mask_bytes, picture_bytes
from app.export.plain import PLAIN
from app.export.words import leaving

LAYOUTS: dict[LayoutKey, Layout] = {each.key: each for each in (KOHYA, ONETRAINER, AI_TOOLKIT, IMAGEFOLDER, PLAIN)}
ZIP_SUFFIX = ".zip"


@dataclass(frozen=True)
class Exported:
    """What was written, and where; `path` is a folder or a .zip file."""

    path: Path
    images: int
    captions: int
    masks: int


class Sink(Protocol):
    """Takes the files of an export, one after the other."""

    def write(self, file: OutFile) -> None:
        """Keep one file."""


def layout_of(key: str) -> Layout:
    """Find a layout. Raises Invalid naming those that exist."""
    found = next((layout for layout in LAYOUTS.values() if layout.key == key), None)
    if found is None:
        raise Invalid(f"There is no layout {key}.", f"Choose one of {', '.join(LAYOUTS)}.", field="layout")
    return found


def export_dataset(
    items: Sequence[Item],
    layout: Layout,
    options: Options,
    to: Path,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Exported:
    """Write a dataset to a new or empty folder, or to a file that ends in .zip; it is there whole or not at all.

    Raises Conflict where something is in the way, NotFound and Invalid naming an image that cannot leave, and
    whatever `on_progress` raises.
    """
    if to.suffix == ZIP_SUFFIX:
        if to.exists():
            raise Conflict(f"{to} exists already.", "Name another file.")
    elif to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Conflict(f"{to} is not empty, or no folder.", "Name a new folder.")
    if missing := [item.row.name for item in items if not item.original.is_file()]:
        raise NotFound(f"The original of {missing[0]} is no longer on the disk.", "Add the image again, or remove it.")
    to.parent.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    with _zip_sink(to) if to.suffix == ZIP_SUFFIX else _folder_sink(to) as sink:
        for place in layout.place(items, options):
            written.append(_write(place, layout, options, sink))
            on_progress(len(written))
        for file in (*layout.extras(written, options), manifest(written)):
            sink.write(file)
    captions = sum(each.text is not None for each in written)
    return Exported(to, len(written), captions, sum(each.is_masked for each in written))


def _write(place: Place, layout: Layout, options: Options, sink: Sink) -> Written:
    item = place.item
    # Kohya pairs a mask with its picture by the whole file name in some versions, by the stem in others.
    kind: PictureFormat = "png" if place.needs_mask else options.pictures
    kinds = frozenset({"png"}) if place.needs_mask else layout.suffixes
    suffix, data, size = picture_bytes(item, kind, kinds, layout.keeps_bytes)
    picture = f"{place.folder}/{place.stem}.{suffix}"
    sink.write(OutFile(picture, data))
    words = caption_file(item, layout, options)
    if words is not None and layout.writes_captions:
        sink.write(OutFile(place.caption, words))
    mask = mask_bytes(item, size, place.needs_mask) if place.mask else None
    mask_path = f"{place.mask}{MASK_SUFFIX}" if mask is not None else None
    if mask is not None and mask_path is not None:
        sink.write(OutFile(mask_path, mask))
    text = None if words is None else words.decode(_encoding(item, words), errors="replace")
    is_masked = mask is not None and has_mask(item)
    return Written(place, picture, size[0], size[1], text, mask_path, is_masked)


def caption_file(item: Item, layout: Layout, options: Options) -> bytes | None:
    """Return the bytes of the caption file that an item gets in a layout, None without one."""
    words = leaving(item, options)
    # Kohya ends its run over a file of 0 bytes; an empty line says the same.
    return b"\n" if words == b"" and layout.key == "kohya" else words


def _encoding(item: Item, words: bytes) -> str:
    return item.encoding if item.raw == words else "utf-8"


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, file: OutFile) -> None:
        """Write one file."""
        path = self._root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, file: OutFile) -> None:
        """Add one file; pictures are packed already."""
        is_text = file.path.endswith((".txt", ".json", ".jsonl", ".toml", ".yaml"))
        kind = zipfile.ZIP_DEFLATED if is_text else zipfile.ZIP_STORED
        self._archive.writestr(file.path, file.data, kind)


@contextmanager
def _folder_sink(to: Path) -> Iterator[Sink]:
    beside = to.with_name(f".{to.name}.{uuid4().hex[:8]}.tmp")
    beside.mkdir()
    try:
        yield _Folder(beside)
        os.replace(beside, to)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _zip_sink(to: Path) -> Iterator[Sink]:
    beside = to.with_name(f".{to.name}.{uuid4().hex[:8]}.tmp")
    try:
        with zipfile.ZipFile(beside, "w") as archive:
            yield _Zip(archive)
        os.replace(beside, to)
    finally:
        beside.unlink(missing_ok=True)
