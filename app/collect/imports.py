"""The import: files one by one into a project, and whole folders as a job with progress and cancel."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Literal

from sqlalchemy import Engine

from app.collect import blobs
from app.collect.pictures import Picture, read_picture
from app.collect.sidecars import caption_beside, is_caption, is_picture, read_caption, stem
from app.config import Settings
from app.contract.rundir import publish
from app.errors import AppError, Conflict, Invalid
from app.store import captions, images, projects
from app.store.db import read, write

Status = Literal["added", "known", "captioned", "waiting", "refused"]
OUTCOME_LABELS: dict[Status, str] = {
    "added": "added",
    "known": "already in the project",
    "captioned": "caption joined to its picture",
    "waiting": "caption waits for its picture",
    "refused": "refused",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    name: str
    status: Status
    reason: str = ""
    image_id: int | None = None


@dataclass(frozen=True)
class FolderLook:
    """What a folder import would read; nothing has been copied yet."""

    path: Path
    pictures: int
    captions: int
    others: int
    size_bytes: int


@dataclass(frozen=True)
class ImportProgress:
    """How far an import has come."""

    total: int
    done: int = 0
    added: int = 0
    known: int = 0
    refused: tuple[Outcome, ...] = ()
    is_over: bool = False
    was_cancelled: bool = False

    def after(self, outcome: Outcome) -> "ImportProgress":
        """Count one more file."""
        return replace(
            self,
            done=self.done + 1,
            added=self.added + (outcome.status == "added"),
            known=self.known + (outcome.status in ("known", "captioned")),
            refused=(*self.refused, outcome) if outcome.status == "refused" else self.refused,
        )


def take_file(
    settings: Settings, engine: Engine, project_id: int, name: str, data: bytes, *, by: str = "you"
) -> Outcome:
    """Take one dropped file, a picture or a caption, and say what became of it; never raises for a bad file."""
    try:
        if is_caption(name):
            return _take_caption(settings, engine, project_id, name, read_caption(data, name), by)
        return _take_picture(settings, engine, project_id, name, data, None, by)
    except Invalid as refusal:
        return Outcome(name, "refused", f"{refusal.message} {refusal.hint}".strip())


def take_path(settings: Settings, engine: Engine, project_id: int, path: Path, *, by: str = "you") -> Outcome:
    """Take one picture of a folder with the caption beside it; never raises for a bad file."""
    try:
        beside = caption_beside(path)
        caption = read_caption(beside.read_bytes(), beside.name) if beside else None
        return _take_picture(settings, engine, project_id, path.name, path.read_bytes(), caption, by)
    except Invalid as refusal:
        return Outcome(path.name, "refused", f"{refusal.message} {refusal.hint}".strip())
    except OSError as error:
        return Outcome(path.name, "refused", f"{path.name} cannot be read: {error.strerror or error}.")


def _take_picture(
    settings: Settings, engine: Engine, project_id: int, name: str, data: bytes, caption: str | None, by: str
) -> Outcome:
    picture = read_picture(data, name)
    blobs.put(settings, picture, data)
    with write(engine) as session:
        row, is_new = images.add(session, project_id, _new_image(picture, name), caption, by)
        image_id = row.id
    _join_waiting(engine, image_id, _pending_path(settings, project_id, name), by)
    return Outcome(name, "added" if is_new else "known", image_id=image_id)


def _join_waiting(engine: Engine, image_id: int, waiting: Path, by: str) -> None:
    """Give a picture the caption that came before it."""
    try:
        text = waiting.read_bytes().decode()
    except FileNotFoundError:
        return
    with write(engine) as session:
        if not (images.get(session, image_id).caption or "").strip():
            captions.save(session, image_id, text, by)
    waiting.unlink(missing_ok=True)


def _new_image(picture: Picture, name: str) -> images.NewImage:
    return images.NewImage(
        sha256=picture.sha256,
        extension=picture.extension,
        size_bytes=picture.size_bytes,
        width_px=picture.width_px,
        height_px=picture.height_px,
        name=name,
    )


def _take_caption(settings: Settings, engine: Engine, project_id: int, name: str, text: str, by: str) -> Outcome:
    # It waits first and looks then, as its picture comes in first and looks then: whoever is later sees the other.
    waiting = _pending_path(settings, project_id, name)
    publish(waiting, text.encode())
    with write(engine) as session:
        alike = images.starting_with(session, project_id, stem(name) + ".")
        found = [row for row in alike if stem(row.name) == stem(name)]
        for row in found:
            if not (row.caption or "").strip():
                captions.save(session, row.id, text, by)
    if not found:
        return Outcome(name, "waiting")
    waiting.unlink(missing_ok=True)
    if all((row.caption or "").strip() not in ("", text.strip()) for row in found):
        return Outcome(name, "known", f"{found[0].name} has a caption already; it was kept.", found[0].id)
    return Outcome(name, "captioned", image_id=found[0].id)


def _pending_path(settings: Settings, project_id: int, name: str) -> Path:
    key = hashlib.sha256(stem(name).encode()).hexdigest()[:32]
    return settings.data / "pending" / str(project_id) / f"{key}.txt"


def files_in(path: Path) -> Iterator[Path]:
    """Yield the files under a folder in a stable order; hidden ones and links to folders are passed over."""
    for folder, folders, names in os.walk(path, followlinks=False):
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
        raise Invalid(f"{path} {reason}.", "Give the path of a folder with pictures.", field="path")
    pictures = captions_found = others = size_bytes = 0
    for file in files_in(path):
        if is_picture(file.name):
            pictures += 1
            size_bytes += file.stat().st_size
        elif is_caption(file.name):
            captions_found += 1
        else:
            others += 1
    return FolderLook(path, pictures, captions_found, others, size_bytes)


def pictures_under(paths: list[Path]) -> list[Path]:
    """Return the picture files that the paths name: files as given, folders walked."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(file for file in files_in(path) if is_picture(file.name))
        else:
            found.append(path)
    return found


def import_paths(
    settings: Settings,
    engine: Engine,
    project_id: int,
    paths: list[Path],
    *,
    on_outcome: Callable[[Outcome, int], None],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Take every picture under the paths, telling each outcome and the total as it goes."""
    found = pictures_under(paths)
    for path in found:
        if is_cancelled():
            return
        on_outcome(take_path(settings, engine, project_id, path), len(found))


class ImportJobs:
    """Folder imports of the running server: at most one a project, on a background thread."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="import")
        self._lock = Lock()
        self._progress: dict[int, ImportProgress] = {}
        self._cancelled: dict[int, Event] = {}

    def start(self, project_id: int, paths: list[Path]) -> None:
        """Begin an import. Raises Conflict while one is under way, NotFound for an unknown project."""
        with read(self._engine) as session:
            projects.get(session, project_id)
        total = len(pictures_under(paths))
        with self._lock:
            known = self._progress.get(project_id)
            if known and not known.is_over:
                raise Conflict("An import into this project is under way.", "Wait for it or cancel it.")
            self._progress[project_id] = ImportProgress(total=total)
            self._cancelled[project_id] = Event()
        self._pool.submit(self._run, project_id, paths)

    def progress(self, project_id: int) -> ImportProgress | None:
        """Return how far the project's latest import has come, if there was one."""
        with self._lock:
            return self._progress.get(project_id)

    def cancel(self, project_id: int) -> None:
        """Ask the import to end after the file it is at; what came in stays."""
        with self._lock:
            if cancelled := self._cancelled.get(project_id):
                cancelled.set()

    def close(self) -> None:
        """Cancel everything and wait for the file at hand."""
        with self._lock:
            for cancelled in self._cancelled.values():
                cancelled.set()
        self._pool.shutdown(wait=True)

    def _run(self, project_id: int, paths: list[Path]) -> None:
        cancelled = self._cancelled[project_id]

        def count(outcome: Outcome, total: int) -> None:
            self._update(project_id, lambda progress: replace(progress.after(outcome), total=total))

        try:
            import_paths(
                self._settings,
                self._engine,
                project_id,
                paths,
                on_outcome=count,
                is_cancelled=cancelled.is_set,
            )
        except (AppError, OSError) as error:
            failure = Outcome("the import", "refused", f"It stopped: {error}")
            self._update(project_id, lambda progress: replace(progress.after(failure), done=progress.done))
        finally:
            self._update(
                project_id,
                lambda progress: replace(progress, is_over=True, was_cancelled=cancelled.is_set()),
            )

    def _update(self, project_id: int, change: Callable[[ImportProgress], ImportProgress]) -> None:
        with self._lock:
            self._progress[project_id] = change(self._progress[project_id])
