"""Files as they lie in a person's folders: found, named and read so that none can hold up an import."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from app.errors import Invalid

MAX_NAME = 200
UNNAMED = "unnamed"


def shown_name(raw: str) -> str:
    """Return the bare, printable name of a file; never a path, and never bytes that are no text."""
    text = raw.encode("utf-8", "replace").decode().replace("\\", "/")
    name = "".join(letter for letter in PurePosixPath(text).name if letter.isprintable()).strip()
    if len(name) <= MAX_NAME:
        return name or UNNAMED
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


def files_in(
    path: Path,
    on_unreadable: Callable[[OSError], None] = lambda _: None,
    on_link: Callable[[Path], None] = lambda _: None,
) -> Iterator[Path]:
    """Yield the files under a folder in a stable order; hidden ones and links to folders are passed over.

    A folder inside that cannot be read is told by the error that names it, a link to a folder by its path.
    Raises OSError for the folder itself.
    """

    def refuse(error: OSError) -> None:
        if error.filename == os.fspath(path):
            raise error
        on_unreadable(error)

    for folder, folders, names in os.walk(path, onerror=refuse, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (link := Path(folder) / name).is_symlink():
                on_link(link)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder) / name


def head_of(path: Path, size_bytes: int) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        return read_file(path, size_bytes)[:size_bytes]
    except (OSError, Invalid):
        return b""


@dataclass(frozen=True)
class Found:
    """A file of an import: its name inside what is imported, and where its bytes are on this disk."""

    rel: PurePosixPath
    path: Path

    @property
    def shown(self) -> str:
        """The bare name, as pages show it."""
        return shown_name(self.rel.name)

    @property
    def shown_rel(self) -> str:
        """The name with its folders, printable, as reports list it."""
        parts = [shown_name(part) for part in self.rel.parts]
        return "/".join(parts) or UNNAMED


@dataclass(frozen=True)
class Listing:
    """The files that paths name, the folders that cannot be read, each with the reason, and links to folders."""

    found: list[Found]
    unreadable: list[tuple[Found, str]]
    links: list[Found] = field(default_factory=list)


def found_under(paths: list[Path]) -> Listing:
    """List the files that the paths name: files as given, folders walked. Raises OSError for what is not there.

    Names begin inside the folder; where several paths are given, with the folder's own name.
    """
    found: dict[PurePosixPath, Found] = {}
    unreadable: list[tuple[Found, str]] = []
    links: list[Found] = []
    for number, path in enumerate(paths):
        head = PurePosixPath(path.name) if len(paths) > 1 else PurePosixPath()
        if path.is_dir():
            errors: list[OSError] = []
            linked: list[Path] = []
            rels = [(_rel(head, file, path), file) for file in files_in(path, errors.append, linked.append)]
            links += [Found(_rel(head, link, path), link) for link in linked]
            for error in errors:
                folder = Path(error.filename)
                reason = error.strerror or type(error).__name__
                unreadable.append((Found(_rel(head, folder, path), folder), reason))
        elif os.path.lexists(path):
            rels = [(PurePosixPath(path.name), path)]
        else:
            raise FileNotFoundError(errno.ENOENT, "it is no longer there", os.fspath(path))
        for rel, file in rels:
            # Folders of one name in two places are two folders.
            free = rel if rel not in found else PurePosixPath(str(number + 1)) / rel
            found[free] = Found(free, file)
    return Listing(list(found.values()), unreadable, links)


def _rel(head: PurePosixPath, inner: Path, root: Path) -> PurePosixPath:
    return head / inner.relative_to(root).as_posix()
