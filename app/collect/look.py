"""What an import by path would read, told before anything is copied."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.collect import layouts
from app.collect.archives import member_name
from app.collect.files import files_in, found_under
from app.collect.formats import is_picture
from app.collect.sidecars import is_caption
from app.errors import Invalid

LAYOUTS_TOLD = 12


@dataclass(frozen=True)
class FolderLook:
    """What a folder or archive holds; nothing has been copied yet. `layouts` are datasets of other tools, in words.

    `unreadable` names the folders inside that cannot be read.
    """

    path: Path
    pictures: int
    captions: int
    others: int
    size_bytes: int
    layouts: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def is_archive(self) -> bool:
        """Whether it is a zip archive."""
        return is_archive(self.path)


def is_archive(path: Path) -> bool:
    """Whether a file is called like a zip archive."""
    return path.suffix.lower() == ".zip"


def holds_pictures(path: Path) -> bool:
    """Whether there is anything to import, told as soon as one picture is found. Raises OSError."""
    return is_archive(path) or (path.is_dir() and any(is_picture(file.name) for file in files_in(path)))


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
    found = listing.found
    names = [each.rel.name for each in found]
    pictures = [each for each in found if is_picture(each.rel.name)]
    captions = sum(map(is_caption, names))
    return FolderLook(
        path=path,
        pictures=len(pictures),
        captions=captions,
        others=len(found) - len(pictures) - captions,
        size_bytes=sum(_size_of(each.path) for each in pictures),
        layouts=layouts.read(found, path.name).layouts[:LAYOUTS_TOLD],
        unreadable=tuple(folder.shown_rel for folder, _ in listing.unreadable),
    )


def _look_into_archive(path: Path) -> FolderLook:
    try:
        with zipfile.ZipFile(path) as opened:
            members = [(member, member_name(member)) for member in opened.infolist() if not member.is_dir()]
    except zipfile.BadZipFile as error:
        raise Invalid(f"{path.name} is no whole zip archive.", "Copy or download it again.", field="path") from error
    named = [(member, rel.name) for member, rel in members if rel is not None]
    pictures = [member for member, name in named if is_picture(name)]
    captions = sum(is_caption(name) for _, name in named)
    size_bytes = sum(member.file_size for member in pictures)
    return FolderLook(path, len(pictures), captions, len(named) - len(pictures) - captions, size_bytes)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        # The import itself says of each file why it cannot be read.
        return 0
