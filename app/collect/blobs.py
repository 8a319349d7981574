"""Originals on disk by content hash, and the re-encoded copies that pages show."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import get_ident

from app.collect.pictures import DISPLAY_SIDE_PX, THUMB_SIDE_PX, Picture, shrunk, webp
from app.config import Settings
from app.contract.pixels import open_rgb
from app.contract.recipe import UNTOUCHED, Recipe, look_key
from app.contract.rundir import fsync_dir, publish


def blob_path(settings: Settings, sha256: str, extension: str) -> Path:
    """Where the original's bytes are."""
    return settings.blob(sha256, extension)


def thumb_path(settings: Settings, sha256: str) -> Path:
    """Where the thumbnail is."""
    return settings.thumbs / sha256[:2] / f"{sha256}.webp"


def _display_path(settings: Settings, sha256: str) -> Path:
    return settings.thumbs / sha256[:2] / f"{sha256}-{DISPLAY_SIDE_PX}.webp"


def put(settings: Settings, picture: Picture, data: bytes, *, settles_later: bool = False) -> None:
    """Publish the original and its copies; a picture already there is left alone, unless its file was damaged.

    With `settles_later` the original is whole but not yet safe from a power cut: `settle` follows before any row.
    """
    original = blob_path(settings, picture.sha256, picture.extension)
    if not _holds(original, data):
        (write_copy if settles_later else publish)(original, data)
    copies = [(thumb_path(settings, picture.sha256), picture.thumb)]
    if picture.display:
        copies.append((_display_path(settings, picture.sha256), picture.display))
    for path, copy in copies:
        if not path.exists():
            write_copy(path, copy)


def put_bytes(settings: Settings, sha256: str, extension: str, data: bytes) -> None:
    """Publish bytes that are no picture of the project, such as a mask."""
    path = blob_path(settings, sha256, extension)
    if not _holds(path, data):
        publish(path, data)


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is there, byte for byte: adding a picture again is the way out when its original was damaged."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def settle(settings: Settings, named: Sequence[tuple[str, str]]) -> None:
    """Force originals, named by hash and ending, to the disk: all at once where the system can."""
    if sys.platform == "linux" and len(named) > 1:
        # One flush for a batch: a flush for each of 20,000 small files takes longer than decoding them.
        os.sync()
        return
    for sha256, extension in named:
        settle_one(settings, sha256, extension)


def settle_one(settings: Settings, sha256: str, extension: str) -> None:
    """Force one original to the disk."""
    path = blob_path(settings, sha256, extension)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    fsync_dir(path.parent)


def made_thumb(settings: Settings, sha256: str, extension: str) -> Path:
    """Return the thumbnail, made anew when it is missing. Raises one of pixels.UNREADABLE."""
    return polished_copy(settings, sha256, extension, UNTOUCHED, THUMB_SIDE_PX)


def display_path(settings: Settings, sha256: str, extension: str) -> Path:
    """Return the large copy for the screen, made when it is missing. Raises one of pixels.UNREADABLE."""
    return polished_copy(settings, sha256, extension, UNTOUCHED, DISPLAY_SIDE_PX)


def copy_path(settings: Settings, sha256: str, recipe: Recipe, side_px: int) -> Path:
    """Where a copy after a recipe is kept.

    Where the recipe changes nothing that is seen, it is the thumbnail or the large copy of the picture as it came.
    """
    if key := look_key(recipe):
        return settings.thumbs / sha256[:2] / f"{sha256}-{side_px}-{key}.webp"
    return (thumb_path if side_px == THUMB_SIDE_PX else _display_path)(settings, sha256)


def polished_copy(settings: Settings, sha256: str, extension: str, recipe: Recipe, side_px: int) -> Path:
    """Return a copy after a recipe, made when it is missing. Raises one of pixels.UNREADABLE."""
    path = copy_path(settings, sha256, recipe, side_px)
    if not is_made(path):
        write_copy(path, webp(shrunk(open_rgb(blob_path(settings, sha256, extension), recipe), side_px)))
    return path


def is_made(path: Path) -> bool:
    """Whether a copy is there: it is not forced to the disk, so that after a power cut it may be there and empty."""
    return path.exists() and path.stat().st_size > 0


def write_copy(path: Path, data: bytes) -> None:
    """Write a copy that can be made again: whole or not at all, but without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.tmp")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
