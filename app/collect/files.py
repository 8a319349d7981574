"""Files as they lie in a person's folders: found, named and read so that none can hold up an import."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.collect.sidecars import is_caption, is_picture
from app.errors import Invalid

MAX_NAME = 200


@dataclass(frozen=True)
class FolderLook:
    """What a folder import would read; nothing has been copied yet."""

    path: Path
    pictures: int
    captions: int
    others: int
    size_bytes: int


def shown_name(raw: str) -> str:
    """Return the bare, printable name of a file; never a path, and never bytes that are no text."""
    text = raw.encode("utf-8", "replace").decode().replace("\\", "/")
    name = "".join(letter for letter in PurePosixPath(text).name if letter.isprintable()).strip()
    if len(name) <= MAX_NAME:
        return name or "unnamed"
    suffix = PurePosixPath(name).suffix[:10]
    return name[: MAX_NAME - len(suffix)] + suffix


def full_path(text: str) -> Path:
    """Return the path that a person typed; `~` is their home. Raises Invalid for the home of nobody."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise Invalid(f"{text} names the home of nobody here.", "Give the folder from its root on.") from error


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Read at most one byte more than the limit, by which the file is known as too large. Raises Invalid, OSError."""
    if path.exists() and not path.is_file():
        # Reading a pipe or a device may never end.
        raise Invalid(f"{shown_name(path.name)} is no file but a pipe, a device or a folder.", "Give files alone.")
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def files_in(path: Path) -> Iterator[Path]:
    """Yield the files under a folder in a stable order; hidden ones and links to folders are passed over.

    Raises OSError when the folder itself cannot be read.
    """

    def refuse(error: OSError) -> None:
        if error.filename == os.fspath(path):
            raise error

    for folder, folders, names in os.walk(path, onerror=refuse, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder) / name


def look(path: Path) -> FolderLook:
    """Count what an import of this folder would read. Raises Invalid when it is no readable folder."""
    if not path.is_absolute():
        raise Invalid(f"{path} is not a full path.", "Give the folder from its root on.", field="path")
    if not path.is_dir():
        reason = "is a file" if path.exists() else "does not exist"
        raise Invalid(f"{path} {reason}.", "Give the path of a folder with images.", field="path")
    pictures = captions_found = others = size_bytes = 0
    for file in files_in(path):
        if is_picture(file.name):
            pictures += 1
            size_bytes += _size_of(file)
        elif is_caption(file.name):
            captions_found += 1
        else:
            others += 1
    return FolderLook(path, pictures, captions_found, others, size_bytes)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        # The import itself says of each file why it cannot be read.
        return 0


def pictures_under(paths: list[Path]) -> list[Path]:
    """Return the picture files that the paths name: files as given, folders walked."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(file for file in files_in(path) if is_picture(file.name))
        else:
            found.append(path)
    return found
