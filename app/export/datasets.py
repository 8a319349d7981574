"""Dataset layouts out: originals and captions as other trainers expect them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.contract.rundir import publish
from app.errors import Conflict, Invalid, NotFound
from app.store.images import ImageRow

Layout = Literal["plain", "kohya"]
LAYOUTS: tuple[Layout, ...] = ("plain", "kohya")


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    images: int
    captions: int


def export_dataset(rows: Sequence[ImageRow], originals: Sequence[Path], layout: str, name: str, to: Path) -> Exported:
    """Write pictures and captions: `plain` into one folder, `kohya` into `<repeats>_<name>` folders.

    Names are numbers, so that no two collide on any file system. Raises Invalid for an unknown layout, Conflict for
    a folder that holds something.
    """
    if layout not in LAYOUTS:
        raise Invalid(f"There is no layout {layout}.", f"Choose one of {', '.join(LAYOUTS)}.")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Conflict(f"{to} is not empty, or no folder.", "Name a new folder.")
    if missing := [row.name for row, original in zip(rows, originals, strict=True) if not original.is_file()]:
        raise NotFound(f"The original of {missing[0]} is no longer on the disk.", "Add the image again, or remove it.")
    captions = 0
    for place, (row, original) in enumerate(zip(rows, originals, strict=True), start=1):
        folder = to / f"{row.repeats}_{name}" if layout == "kohya" else to
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, folder / f"{place:05d}.{row.extension}")
        if row.caption is not None:
            publish(folder / f"{place:05d}.txt", row.caption.encode())
            captions += 1
    return Exported(to, len(rows), captions)
