"""Captions that a browser sent and whose images have not come yet, kept on the disk: those of each drop apart."""

import hashlib
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from app.collect.sidecars import Words, belongs, folded, read_words, sidecar_names, stem
from app.contract.rundir import publish

ABANDONED_S = 24 * 3600
"""A drop that never said its end, as its page was closed, counts as over after so long."""


@dataclass(frozen=True)
class Waiting:
    """A caption that waits, and where it lies."""

    path: Path
    words: Words

    @property
    def name(self) -> str:
        """What its file was called."""
        return self.words.came_from


@dataclass(frozen=True)
class Pending:
    """The captions that wait in a project: those of the drop under way, without one those of earlier drops."""

    folder: Path
    drop: str = ""

    def keep(self, words: Words) -> Waiting:
        """Keep a caption; the same file once more is kept once, another of its name beside it."""
        data = words.came_from.encode("utf-8", "replace") + b"\n" + (words.raw or b"")
        path = self._folder(stem(words.came_from)) / f"{_digest(data)}.caption"
        publish(path, data)
        return Waiting(path, words)

    def of_picture(self, name: str) -> list[Waiting]:
        """The captions that wait for a picture, the closest first."""
        keys = dict.fromkeys((stem(name), stem(f"{name}.txt")))
        found = _read(path for key in keys for path in self._folder(key).glob("*.caption"))
        order = list(map(folded, sidecar_names(name)))
        mine = [each for each in found if belongs(each.name, name)]
        return sorted(mine, key=lambda each: (not is_exact(each.name, name), order.index(folded(each.name))))

    def nearest_to(self, name: str) -> list[Waiting]:
        """The captions of a picture's very name, else those that differ by case or composition."""
        mine = self.of_picture(name)
        return [each for each in mine if is_exact(each.name, name)] or mine

    def all(self) -> list[Waiting]:
        """Every caption of the drop, in order of their names."""
        return sorted(_read(self._root.glob("*/*.caption")), key=lambda each: each.name) if self.drop else []

    def let_wait(self, waiting: Waiting) -> None:
        """Have a caption wait on, for the image of a later drop."""
        replace(self, drop="").keep(waiting.words)
        waiting.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Forget the drop, and let captions wait on whose drops were never ended."""
        if self.drop:
            shutil.rmtree(self._root, ignore_errors=True)
        for root in self.folder.glob("drop-*"):
            try:
                is_abandoned = time.time() - root.stat().st_mtime > ABANDONED_S
            except FileNotFoundError:
                continue
            for waiting in _read(root.glob("*/*.caption")) if is_abandoned else ():
                self.let_wait(waiting)
            if is_abandoned:
                shutil.rmtree(root, ignore_errors=True)

    @property
    def _root(self) -> Path:
        return self.folder / f"drop-{_digest(self.drop.encode())}" if self.drop else self.folder

    def _folder(self, key: str) -> Path:
        return self._root / _digest(key.encode("utf-8", "surrogatepass"))


def is_exact(caption_name: str, picture_name: str) -> bool:
    """Whether a caption that belongs to a picture has its very name, not one of another case or composition."""
    return PurePath(caption_name).stem in (PurePath(picture_name).stem, picture_name)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _read(paths: Iterable[Path]) -> list[Waiting]:
    found = []
    for path in sorted(paths):
        try:
            name, _, data = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            continue
        found.append(Waiting(path, read_words(data, name.decode())))
    return found
