"""Dataset layouts out: pictures, captions and masks as other trainers expect them, into a folder or a zip."""

import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

from app.collect.lanes import in_order
from app.collect.leaving import LeaveWish, Left, leave
from app.collect.refusals import Refused
from app.errors import Conflict, Invalid, NotFound
from app.export.ai_toolkit import AI_TOOLKIT
from app.export.imagefolder import IMAGEFOLDER
from app.export.kohya import KOHYA
from app.export.layout import MASK_SUFFIX, Item, Layout, LayoutKey, LeftOut, Options, OutFile, Place, Written
from app.export.manifest import manifest
from app.export.onetrainer import ONETRAINER
from app.export.pictures import has_mask, wish_of
from app.export.plain import PLAIN
from app.export.words import leaving

LAYOUTS: dict[LayoutKey, Layout] = {each.key: each for each in (KOHYA, ONETRAINER, AI_TOOLKIT, IMAGEFOLDER, PLAIN)}
ZIP_SUFFIX = ".zip"


@dataclass(frozen=True)
class Gap:
    """An image that could not be read, and why it is not in the export."""

    name: str
    reason: str


@dataclass(frozen=True)
class Exported:
    """What was written, and where; `path` is a folder or a .zip file, `left_out` what could not be read."""

    path: Path
    images: int
    captions: int
    masks: int
    left_out: tuple[Gap, ...] = ()


class Reader(Protocol):
    """Reads images and writes them as they leave, `size` of them at once: decoding children, or this process."""

    @property
    def size(self) -> int:
        """How many at once."""

    def leave(self, wish: LeaveWish) -> Left:
        """Write one; raises Refused naming it."""


class _Here:
    size = 1

    def leave(self, wish: LeaveWish) -> Left:
        """Read it in this process."""
        return leave(wish)


HERE: Reader = _Here()
"""For pictures that are trusted: one that crashes or eats memory takes this process along."""


class Sink(Protocol):
    """Takes the files of an export, one after the other."""

    def write(self, file: OutFile) -> None:
        """Keep one file."""

    def copy(self, path: str, source: Path) -> None:
        """Keep what another file holds, without having it in memory."""


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
    reader: Reader = HERE,
) -> Exported:
    """Write a dataset to a new or empty folder, or to a file that ends in .zip; it is there whole or not at all.

    An image that cannot be read is left out and named. Raises Conflict where something is in the way, NotFound and
    Invalid naming the first image where none can leave, and whatever `on_progress` raises.
    """
    if to.suffix == ZIP_SUFFIX:
        if to.exists():
            raise Conflict(f"{to} exists already.", "Name another file.")
    elif to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Conflict(f"{to} is not empty, or no folder.", "Name a new folder.")
    to.parent.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    left_out: list[LeftOut] = []
    with _sink(to) as sink, _staging(to) as staging:
        places = layout.place(items, options)
        asked = [
            partial(_ask, reader, place, wish_of(place, layout, options, staging / str(number)))
            for number, place in enumerate(places)
        ]
        with ThreadPoolExecutor(reader.size, thread_name_prefix="leave") as lanes:
            for answer in in_order(lanes, asked, window=2 * reader.size):
                if isinstance(answer, LeftOut):
                    left_out.append(answer)
                else:
                    written.append(_write(answer, layout, options, sink))
                on_progress(len(written) + len(left_out))
        if left_out and not written:
            raise left_out[0].error
        for file in (*layout.extras(written, options), manifest(written, left_out)):
            sink.write(file)
    captions = sum(each.text is not None for each in written)
    gaps = tuple(Gap(each.item.row.name, each.reason) for each in left_out)
    return Exported(to, len(written), captions, sum(each.is_masked for each in written), gaps)


class _Ready(NamedTuple):
    """A place, what was asked of its item, and what lies there now."""

    place: Place
    wish: LeaveWish
    left: Left


def _ask(reader: Reader, place: Place, wish: LeaveWish) -> _Ready | LeftOut:
    if not wish.original.is_file():
        told = f"The original of {wish.name} is no longer on the disk."
        return LeftOut(place.item, NotFound(told, "Add the image again, or remove it."))
    try:
        return _Ready(place, wish, reader.leave(wish))
    except Refused as refusal:
        return LeftOut(place.item, refusal)


def _write(ready: _Ready, layout: Layout, options: Options, sink: Sink) -> Written:
    place, wish, left = ready
    item = place.item
    picture = f"{place.folder}/{place.stem}.{left.suffix}"
    sink.copy(picture, item.original if left.is_kept else wish.picture_path)
    words = caption_file(item, layout, options)
    if words is not None and layout.writes_captions:
        sink.write(OutFile(place.caption, words))
    mask = f"{place.mask}{MASK_SUFFIX}" if left.has_mask else None
    if mask is not None:
        sink.copy(mask, wish.mask_path)
    for spent in (wish.picture_path, wish.mask_path):
        spent.unlink(missing_ok=True)
    text = None if words is None else words.decode(_encoding(item, words), errors="replace")
    is_masked = mask is not None and has_mask(item)
    return Written(place, picture, left.width_px, left.height_px, text, mask, is_masked)


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
        self._place(file.path).write_bytes(file.data)

    def copy(self, path: str, source: Path) -> None:
        """Copy one file."""
        shutil.copyfile(source, self._place(path))

    def _place(self, path: str) -> Path:
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, file: OutFile) -> None:
        """Add one file; words are packed."""
        self._archive.writestr(file.path, file.data, zipfile.ZIP_DEFLATED)

    def copy(self, path: str, source: Path) -> None:
        """Add a picture, which is packed already."""
        entry = zipfile.ZipInfo(path, time.localtime()[:6])
        entry.file_size = source.stat().st_size
        with source.open("rb") as data, self._archive.open(entry, "w") as out:
            shutil.copyfileobj(data, out)


@contextmanager
def _staging(to: Path) -> Iterator[Path]:
    """A folder beside the export, on the same disk, where the pictures wait to be taken in."""
    folder = _beside(to)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside(to: Path) -> Path:
    return to.with_name(f".{to.name}.{uuid4().hex[:8]}.tmp")


@contextmanager
def _sink(to: Path) -> Iterator[Sink]:
    beside = _beside(to)
    try:
        if to.suffix == ZIP_SUFFIX:
            with zipfile.ZipFile(beside, "w") as archive:
                yield _Zip(archive)
        else:
            beside.mkdir()
            yield _Folder(beside)
        os.replace(beside, to)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)
