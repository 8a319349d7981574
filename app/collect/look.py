"""What an import by path would read, told before anything is copied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from app.collect import archives, layouts
from app.collect.entries import Leftover, is_bare_picture
from app.collect.files import Found, files_in, found_under
from app.collect.formats import is_picture
from app.collect.plans import folders_left_out, short
from app.collect.refusals import Refused
from app.errors import Invalid

LEFT_TOLD = 5


@dataclass(frozen=True)
class FolderLook:
    """What a folder or archive holds; nothing has been copied yet. `layouts` are datasets of other tools, in words.

    Of the `pictures`, `captions` have words and `masks` a mask. `others` counts the files that the report will name as
    left out, `left` says of the first few why; `notes` are said of the whole.
    """

    path: Path
    pictures: int
    captions: int
    masks: int
    others: int
    size_bytes: int
    layouts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def is_archive(self) -> bool:
        """Whether it is a zip archive."""
        return is_archive(self.path)


def is_archive(path: Path) -> bool:
    """Whether a file is called like a zip archive."""
    return path.suffix.lower() == ".zip"


def holds_pictures(path: Path) -> bool:
    """Whether there is anything to import, told as soon as one picture is found. Raises OSError."""
    return is_archive(path) or (path.is_dir() and any(map(_is_picture, files_in(path))))


def _is_picture(file: Path) -> bool:
    return is_picture(file.name) or is_bare_picture(Found(PurePosixPath(file.name), file))


def look(path: Path) -> FolderLook:
    """Count what an import of this folder or archive would read. Raises Invalid when it cannot be read, OSError."""
    if not path.is_absolute():
        raise Invalid(f"{path} is not a full path.", "Give the folder from its root on.", field="path")
    if is_archive(path) and path.is_file():
        return _look_into_archive(path)
    if not path.is_dir():
        reason = "is a file" if path.exists() else "does not exist"
        raise Invalid(f"{path} {reason}.", "Give the path of a folder with images, or of a zip archive.", field="path")
    listing = found_under([path])
    reading = layouts.read(listing.found, path.name)
    return _told(path, reading, folders_left_out(listing), lambda found: _size_of(found.path))


def _look_into_archive(path: Path) -> FolderLook:
    with TemporaryDirectory() as folder:
        try:
            listed = archives.glance(path, Path(folder) / "files", path.name)
        except Refused as refusal:
            raise Invalid(refusal.message, refusal.hint, field="path") from refusal
        reading = layouts.read(listed.found, path.stem)
    return _told(path, reading, listed.leftovers, lambda found: listed.sizes.get(found.rel, 0))


def _told(
    path: Path, reading: layouts.Reading, refused: Sequence[Leftover], size_of: Callable[[Found], int]
) -> FolderLook:
    left = [*refused, *reading.leftovers]
    return FolderLook(
        path=path,
        pictures=len(reading.entries),
        captions=sum(bool(each.sidecars or each.given) for each in reading.entries),
        masks=sum(each.mask is not None for each in reading.entries),
        others=len(left),
        size_bytes=sum(size_of(each.picture) for each in reading.entries),
        layouts=short(reading.layouts),
        notes=short(reading.notes),
        left=tuple(each.refusal.words for each in left[:LEFT_TOLD]),
    )


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        # The import itself says of each file why it cannot be read.
        return 0
