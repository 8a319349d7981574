"""What a dataset says of its pictures, whatever tool wrote it: entries that the import takes one by one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from app.collect.files import Found, head_of, read_file
from app.collect.formats import HEAD_BYTES, begins_like_picture, is_picture, lacks_ending
from app.collect.refusals import Refused
from app.collect.sidecars import Words, encoding_of, folded, is_caption
from app.contract.splits import Split
from app.errors import Invalid

MAX_LIST_BYTES = 100_000_000
REPEATS_MOST = 1000


@dataclass(frozen=True)
class Entry:
    """A picture to take in with all that came with it; `sidecars` are its caption files, the closest first.

    `given` are words from a list of the whole dataset; `aside` is what the report says of it; `name` is what the image
    is called, its file's name where that is empty.
    """

    picture: Found
    sidecars: tuple[Found, ...] = ()
    given: tuple[Words, ...] = ()
    repeats: int = 1
    weight: float = 1.0
    split: Split = "train"
    mask: Found | None = None
    source: str = ""
    author: str = ""
    licence: str = ""
    collected_on: str = ""
    no_ai: bool = False
    aside: str = ""
    name: str = ""


@dataclass(frozen=True)
class Leftover:
    """A file that belongs to no picture or cannot be one."""

    found: Found
    refusal: Refused


@dataclass(frozen=True)
class Patch:
    """What one list, folder name or setting says of one picture; None where it says nothing."""

    words: Words | None = None
    sidecar: Found | None = None
    repeats: int | None = None
    weight: float | None = None
    split: Split | None = None
    mask: Found | None = None
    source: str = ""
    author: str = ""
    licence: str = ""
    collected_on: str = ""
    aside: str = ""
    is_off: bool = False
    no_ai: bool = False
    name: str = ""


@dataclass
class Said:
    """All that one layout reader found: patches by picture, the files that are no pictures of their own, and lines.

    `notes` say what of the dataset is left out, why, and what to do.
    """

    patches: dict[PurePosixPath, list[Patch]] = field(default_factory=dict)
    used: set[PurePosixPath] = field(default_factory=set)
    layouts: list[str] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def say(self, rel: PurePosixPath, patch: Patch) -> None:
        """Add what is said of a picture."""
        self.patches.setdefault(rel, []).append(patch)


class Tree:
    """The files of an import by folder and name, and the ways in which lists refer to them.

    `root_name` is what the outermost folder is called, which may mean something too.
    """

    def __init__(self, found: Iterable[Found], root_name: str = "") -> None:
        self.root_name = root_name
        self.files = {each.rel: each for each in found}
        self.folders: dict[PurePosixPath, list[Found]] = {}
        self._by_name: dict[str, list[PurePosixPath]] = {}
        self._bare = {each.rel for each in self.files.values() if is_bare_picture(each)}
        for each in self.files.values():
            self.folders.setdefault(each.rel.parent, []).append(each)
            if self.is_picture(each.rel):
                for key in {folded(each.rel.name), folded(each.rel.stem)}:
                    self._by_name.setdefault(key, []).append(each.rel)

    def is_picture(self, rel: PurePosixPath) -> bool:
        """Whether a file is a picture by its name, or by its bytes where the name has no ending."""
        return is_picture(rel.name) or rel in self._bare

    def pictures(self, folder: PurePosixPath) -> list[Found]:
        """The pictures that lie directly in a folder."""
        return [each for each in self.folders.get(folder, ()) if self.is_picture(each.rel)]

    def captions(self) -> list[Found]:
        """Every caption file."""
        return [each for each in self.files.values() if is_caption(each.rel.name)]

    def named(self, *suffixes: str) -> list[Found]:
        """The files with one of these endings, in order of their names."""
        chosen = [each for each in self.files.values() if each.rel.suffix.lower() in suffixes]
        return sorted(chosen, key=lambda each: each.rel)

    def picture_at(self, base: PurePosixPath, text: str) -> PurePosixPath | None:
        """The picture that a list in folder `base` means by a path, which may be from another computer.

        Its name must be equal; among equals the one with the longest equal end of its path is meant, if there is one.
        """
        parts = path_parts(text)
        if not parts:
            return None
        exact = base.joinpath(*parts)
        if exact in self.files and self.is_picture(exact):
            return exact
        same = self._by_name.get(folded(parts[-1]), [])
        return _closest(same, [*base.parts, *parts]) or _closest(same, parts)

    def folders_at(self, base: PurePosixPath, text: str) -> list[PurePosixPath]:
        """The folder that a list means by a path, as `picture_at` finds pictures; the list's own for an empty one.

        The outermost folder is meant where no other is called so, as when a list lies in the folder that it names.
        """
        parts = path_parts(text)
        if not parts:
            return [base]
        exact = base.joinpath(*parts)
        if exact in self.folders:
            return [exact]
        same = [folder for folder in self.folders if folder.name and folded(folder.name) == folded(parts[-1])]
        if not same and folded(parts[-1]) == folded(self.root_name):
            return [PurePosixPath()]
        closest = _closest(same, parts)
        return [closest] if closest else []

    def under(self, folder: PurePosixPath, *, deep: bool) -> list[Found]:
        """The pictures of a folder, with those of the folders inside when `deep`."""
        inside = [each for each in self.folders if each == folder or (deep and folder in each.parents)]
        return [picture for each in inside for picture in self.pictures(each)]


def is_bare_picture(found: Found) -> bool:
    """Whether a file whose name has no ending begins like a picture."""
    return lacks_ending(found.rel.name) and begins_like_picture(head_of(found.path, HEAD_BYTES))


def counted(count: int, noun: str) -> str:
    """A number with its noun, such as "1 row" and "2 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def few(names: Iterable[str], most: int = 4) -> str:
    """A few names in a row, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def path_parts(text: str) -> list[str]:
    """The parts of a path of any system, without a drive or dots that lead nowhere."""
    parts = text.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..") and not (len(part) == 2 and part[1] == ":")]


def _closest(candidates: Sequence[PurePosixPath], parts: Sequence[str]) -> PurePosixPath | None:
    scored = sorted(((_shared_end(each, parts), each) for each in candidates), key=lambda pair: -pair[0])
    if not scored or (len(scored) > 1 and scored[0][0] == scored[1][0]):
        return None
    return scored[0][1]


def _shared_end(rel: PurePosixPath, parts: Sequence[str]) -> int:
    # The last name is known to be equal, be it with or without its ending.
    count = 1
    for own, other in zip(reversed(rel.parts[:-1]), reversed(parts[:-1]), strict=False):
        if folded(own) != folded(other):
            break
        count += 1
    return count


def read_list(found: Found) -> tuple[str, str]:
    """Read a list of a dataset as text, with its encoding. Raises Refused naming the file."""
    try:
        data = read_file(found.path, MAX_LIST_BYTES)
    except (OSError, Invalid) as error:
        raise Refused("F01", f"{found.shown} cannot be read.", "Check that it is still there.") from error
    encoding = encoding_of(data) if len(data) <= MAX_LIST_BYTES else None
    if encoding is None:
        raise Refused("F10", f"{found.shown} is not a text file.", "Save it as plain text in UTF-8.")
    return data.decode(encoding), encoding


def patched(entry: Entry, patches: Sequence[Patch]) -> Entry:
    """The entry after all that is said of it; of two who say different numbers the later counts."""
    for patch in patches:
        entry = replace(
            entry,
            sidecars=(patch.sidecar, *entry.sidecars) if patch.sidecar else entry.sidecars,
            given=(*entry.given, patch.words) if patch.words is not None else entry.given,
            repeats=entry.repeats if patch.repeats is None else max(1, min(REPEATS_MOST, patch.repeats)),
            weight=entry.weight if patch.weight is None else patch.weight,
            split=patch.split or entry.split,
            mask=patch.mask or entry.mask,
            source=patch.source or entry.source,
            author=patch.author or entry.author,
            licence=patch.licence or entry.licence,
            collected_on=patch.collected_on or entry.collected_on,
            no_ai=entry.no_ai or patch.no_ai,
            name=patch.name or entry.name,
            aside=" ".join(each for each in (entry.aside, patch.aside) if each),
        )
    return entry
