"""What a layout is made of: items in, places for their files, and the files that a trainer wants beside them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.collect.leaving import PictureFormat
from app.contract.splits import Split
from app.errors import AppError
from app.store.images import ImageRow
from app.store.provenance import Provenance

LayoutKey = Literal["kohya", "onetrainer", "ai-toolkit", "imagefolder", "plain"]
MASK_SUFFIX = ".png"


@dataclass(frozen=True)
class Parent:
    """The image that another was made from, as it is known outside of the studio too."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Item:
    """An image as it leaves: `raw` are the caption's bytes as they came, while nobody has edited them.

    `caption_version` is the id of the history entry that gave the caption its words, 0 where nobody has; `by` is who
    added the image, empty where nobody gave a name.
    """

    row: ImageRow
    original: Path
    mask: Path | None = None
    raw: bytes | None = None
    encoding: str = "utf-8"
    provenance: Provenance = field(default_factory=Provenance)
    caption_version: int = 0
    by: str = ""
    parent: Parent | None = None


@dataclass(frozen=True)
class Options:
    """What a person chose for an export; `root` is where it will lie, when that is known."""

    word: str = "images"
    trigger_word: str = ""
    leads_with_trigger: bool = False
    as_utf8: bool = False
    reads_all_lines: bool = False
    pictures: PictureFormat = "png"
    resolution_px: int = 512
    bucket_step_px: int = 64
    root: str = ""

    def path(self, folder: str) -> str:
        """A folder of the export as a configuration file names it."""
        return f"{self.root.rstrip('/')}/{folder}" if self.root else folder


@dataclass(frozen=True)
class Place:
    """Where an item's files go, relative to the export; the picture's and the mask's stem without their suffix.

    `needs_mask` says that a white mask is written where the item has none; an empty `mask` that none is written.
    """

    item: Item
    folder: str
    stem: str
    mask: str
    caption_suffix: str = ".txt"
    needs_mask: bool = False

    @property
    def caption(self) -> str:
        """The caption file."""
        return f"{self.folder}/{self.stem}{self.caption_suffix}".lstrip("/")


@dataclass(frozen=True)
class Written:
    """What was written for an item; `text` is the caption that left, None without one.

    `is_masked` says that the mask is the item's own, not a white one for a trainer that asks for all.
    """

    place: Place
    picture: str
    width_px: int
    height_px: int
    text: str | None
    mask: str | None
    is_masked: bool = False


@dataclass(frozen=True)
class LeftOut:
    """An item that could not be read, and why; the others leave without it."""

    item: Item
    error: AppError

    @property
    def reason(self) -> str:
        """Reason and way out in one line."""
        return f"{self.error.message} {self.error.hint}".strip()


@dataclass(frozen=True)
class OutFile:
    """A file of the export: its path with forward slashes, and its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Reading:
    """What a trainer makes of a caption: one of `texts` is read; `problem` says what would surprise its owner.

    `is_fatal` when the trainer would end its run over it.
    """

    texts: tuple[str, ...]
    problem: str = ""
    is_fatal: bool = False


@dataclass(frozen=True)
class Layout:
    """One layout: how it places items, what lies beside them, and how its trainer reads a caption file.

    `suffixes` are the kinds of picture that its trainer reads without another encoding; `keeps_bytes` lets even those
    leave untouched that a trainer would misread. `knows_*` say what the trainer can be told.
    """

    key: LayoutKey
    label: str
    sentence: str
    place: Callable[[Sequence[Item], Options], list[Place]]
    extras: Callable[[Sequence[Written], Options], Iterable[OutFile]]
    reads: Callable[[bytes | None, Options], Reading]
    suffixes: frozenset[str] = frozenset({"png", "jpg", "webp"})
    keeps_bytes: bool = False
    writes_captions: bool = True
    knows_held_out: bool = False
    knows_weights: bool = False


SPLIT_FOLDERS: dict[Split, str] = {"train": "train", "held-out": "held-out", "regularisation": "regularisation"}


def number_text(value: float) -> str:
    """A number as a folder's name shows it: 1, 0.5, 1.25."""
    return f"{value:g}".replace("-", "m")
