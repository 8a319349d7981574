"""The import: files one by one into a project, and whole folders as a job with progress and cancel."""

import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import Literal

from sqlalchemy import Engine

from app.collect import blobs
from app.collect.files import pictures_under, read_file, shown_name
from app.collect.pictures import MAX_BYTES, Picture, read_picture
from app.collect.sidecars import MAX_CAPTION_BYTES, caption_beside, is_caption, read_caption, stem
from app.config import Settings
from app.contract.rundir import publish
from app.errors import AppError, Conflict, Invalid
from app.store import captions, images, projects
from app.store.db import read, write

log = logging.getLogger("lora_studio")

Status = Literal["added", "known", "captioned", "waiting", "refused"]
OUTCOME_LABELS: dict[Status, str] = {
    "added": "added",
    "known": "already in the project",
    "captioned": "caption joined to its image",
    "waiting": "caption waits for its image",
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
    name = shown_name(path.name)
    try:
        beside = caption_beside(path)
        caption = read_caption(read_file(beside, MAX_CAPTION_BYTES), shown_name(beside.name)) if beside else None
        data = read_file(path, MAX_BYTES)
    except Invalid as refusal:
        return Outcome(name, "refused", f"{refusal.message} {refusal.hint}".strip())
    except OSError as error:
        reason = f"{name} cannot be read: {error.strerror or 'the disk does not answer'}. Check that it is still there."
        return Outcome(name, "refused", reason)
    try:
        return _take_picture(settings, engine, project_id, name, data, caption, by)
    except Invalid as refusal:
        return Outcome(name, "refused", f"{refusal.message} {refusal.hint}".strip())


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
        try:
            total = len(pictures_under(paths))
        except OSError as error:
            raise Invalid(
                f"{paths[0]} cannot be read: {error.strerror or error}.", "Give a folder that you may read.", "path"
            ) from error
        with self._lock:
            known = self._progress.get(project_id)
            if known and not known.is_over:
                raise Conflict("An import into this project is under way.", "Wait for it or cancel it.")
            self._progress[project_id] = ImportProgress(total=total)
            self._cancelled[project_id] = Event()
        self._pool.submit(self._run, project_id, paths).add_done_callback(_log_failure)

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

        failure = "A mistake of LoRA Studio stopped the import; what came in stays. Start it again."
        try:
            import_paths(
                self._settings,
                self._engine,
                project_id,
                paths,
                on_outcome=count,
                is_cancelled=cancelled.is_set,
            )
            failure = ""
        except AppError as error:
            failure = f"It stopped: {error.message} {error.hint} What came in stays."
        except OSError as error:
            failure = f"It stopped: {error.strerror or error}. What came in stays; start it again for the rest."
        finally:
            if failure:
                told = Outcome("the import", "refused", failure)
                self._update(project_id, lambda progress: replace(progress.after(told), done=progress.done))
            self._update(
                project_id,
                lambda progress: replace(progress, is_over=True, was_cancelled=cancelled.is_set()),
            )

    def _update(self, project_id: int, change: Callable[[ImportProgress], ImportProgress]) -> None:
        with self._lock:
            self._progress[project_id] = change(self._progress[project_id])


def _log_failure(done: "Future[None]") -> None:
    if error := done.exception():
        log.error("an import broke", exc_info=error)
