"""Folders that a browser sends file by file: gathered under the data folder until they are imported as by path."""

import hashlib
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from app.collect.archives import MAX_MEMBERS, MAX_TOTAL_BYTES, SHARE_OF_FREE, free_name
from app.collect.entries import path_parts
from app.collect.files import shown_name
from app.collect.refusals import Refused
from app.config import Settings
from app.errors import Invalid, Unavailable

MAX_DEPTH = 32
ABANDONED_S = 24 * 3600
SIGNS = re.compile(r'[<>:"|?*]')
"""Signs that some systems keep for drives, streams and patterns."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
"""Names that some systems keep for devices, with whatever ending."""


@dataclass
class Sending:
    """How much of a folder has come, and when its last file did."""

    files: int = 0
    size_bytes: int = 0
    at_s: float = 0.0


class SentFolders:
    """The folders that browsers are sending; each is known by its project and the browser's word for it."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.data / "imports" / "sent"
        self._lock = Lock()
        self._sendings: dict[Path, Sending] = {}
        self._discarded: set[Path] = set()

    def take(self, project_id: int, drop: str, name: str, staged: Path) -> None:
        """Move a file that came to its place in its folder.

        Raises Refused for a name that cannot be kept, Unavailable when the folder is larger than may come in, or was
        discarded.
        """
        rel = sent_name(name)
        size_bytes = staged.stat().st_size
        with self._lock:
            self._forget_abandoned()
            folder = self._folder(project_id, drop)
            if folder in self._discarded:
                raise Unavailable("This folder was given up.", "Add it again.")
            sending = self._sendings.setdefault(folder, Sending())
            _check_room(sending, size_bytes, staged)
            target = folder / rel
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                while target.exists():
                    target = target.with_name(free_name(PurePosixPath(target.name), {PurePosixPath(target.name)}).name)
                staged.replace(target)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise _refused(rel, "a file and a folder have the same name") from error
            except OSError as error:
                raise _refused(rel, error.strerror or "it cannot be written") from error
            sending.files += 1
            sending.size_bytes += size_bytes
            sending.at_s = time.monotonic()

    def check_whole(self, project_id: int, drop: str, files: int) -> None:
        """Tell whether as many files came as were sent. Raises Invalid."""
        with self._lock:
            came = self._sendings.get(self._folder(project_id, drop), Sending()).files
        if came != files or not files:
            raise Invalid(f"{came:,} of {files:,} files are here.", "Add the folder again.")

    def hand_over(self, project_id: int, drop: str, into: Path) -> list[Path]:
        """Move a folder to its import; return what was dropped: the folders at the top."""
        folder = self._folder(project_id, drop)
        with self._lock:
            into.parent.mkdir(parents=True, exist_ok=True)
            folder.replace(into)
            self._sendings.pop(folder, None)
        return sorted(into.iterdir())

    def discard(self, project_id: int, drop: str) -> None:
        """Delete what has come of a folder."""
        with self._lock:
            folder = self._folder(project_id, drop)
            # A file that was on its way would bring the folder back.
            self._discarded.add(folder)
            self._delete(folder)

    def clear(self) -> None:
        """Delete what came before the studio ended: no page goes on sending it."""
        with self._lock:
            self._sendings.clear()
            shutil.rmtree(self._root, ignore_errors=True)

    def _forget_abandoned(self) -> None:
        before_s = time.monotonic() - ABANDONED_S
        for folder in [each for each, sending in self._sendings.items() if sending.at_s < before_s]:
            self._delete(folder)

    def _delete(self, folder: Path) -> None:
        self._sendings.pop(folder, None)
        shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, project_id: int, drop: str) -> Path:
        return self._root / hashlib.sha256(f"{project_id}:{drop}".encode("utf-8", "replace")).hexdigest()[:32]


def sent_name(name: str) -> PurePosixPath:
    """The name of a sent file with its folders, cleared of ways out and of names of devices. Raises Refused."""
    parts = [_harmless(shown_name(part)) for part in path_parts(name)]
    rel = PurePosixPath(*parts)
    if len(parts) < 2:
        raise _refused(rel, "it lies in no folder")
    if len(parts) > MAX_DEPTH:
        raise _refused(rel, f"it lies in more than {MAX_DEPTH} folders")
    if any(part.startswith(".") for part in parts):
        raise _refused(rel, "it is hidden")
    return rel


def label_of_sent(roots: Sequence[Path]) -> str:
    """What a person calls the folders that were sent."""
    first = shown_name(roots[0].name) if roots else "nothing"
    return first if len(roots) < 2 else f"{first} and {len(roots) - 1} more"


def _harmless(part: str) -> str:
    # Some systems drop dots and spaces at the end of a name.
    part = SIGNS.sub("_", part.rstrip(". ") or part)
    bare, dot, rest = part.partition(".")
    return f"{bare}_{dot}{rest}" if bare.strip().lower() in DEVICES else part


def _check_room(sending: Sending, size_bytes: int, staged: Path) -> None:
    if sending.files >= MAX_MEMBERS:
        raise Unavailable(f"The folder holds more than {MAX_MEMBERS:,} files.", "Add it in parts.")
    free = shutil.disk_usage(staged.parent).free
    if sending.size_bytes + size_bytes > MAX_TOTAL_BYTES or size_bytes > free * SHARE_OF_FREE:
        raise Unavailable("The folder is larger than the disk may hold.", "Make room, or add it in parts.")


def _refused(rel: PurePosixPath, reason: str) -> Refused:
    return Refused("F08", f"{rel.as_posix()[:200]} is left out: {reason}.", "Rename it, then add it again.")
