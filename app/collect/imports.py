"""The imports of the running studio: begun, told of, cancelled, gone on with; one a project at a time."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Literal
from uuid import NAMESPACE_URL, uuid4, uuid5

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from app.collect.decode_child import Measured
from app.collect.decoders import Decoders
from app.collect.dropped import OUTCOME_LABELS, Dropper, Outcome, as_item, take_file
from app.collect.fetch import Fetch
from app.collect.jobs import Job, Tell
from app.collect.masks import MaskWish
from app.collect.measuring import measured_again
from app.collect.plans import Workshop
from app.collect.screen import Screen
from app.collect.sources import DropSource, Source, ZipSource, source_of
from app.config import Settings
from app.errors import AppError, Conflict, Invalid
from app.store import imports, measures, projects
from app.store.db import read, write
from app.store.imports import NewItem, Wanted
from app.store.models import Import, ImportStatus

__all__ = ["OUTCOME_LABELS", "ImportJobs", "ImportProgress", "Outcome", "import_paths", "take_file"]

log = logging.getLogger("lora_studio")

TOLD = 20
MISTAKE = NewItem(
    imports.TROUBLE,
    "refused",
    "stopped",
    "A mistake of LoRA Studio stopped the import.",
    "What came in stays; go on with it for the rest.",
)


@dataclass(frozen=True)
class ImportProgress:
    """How far an import has come; `refused` holds the first few, the report all of them."""

    id: int
    total: int
    done: int = 0
    added: int = 0
    known: int = 0
    questions: int = 0
    refused_count: int = 0
    refused: tuple[Outcome, ...] = ()
    is_over: bool = False
    was_cancelled: bool = False
    has_failed: bool = False


def progress_of(engine: Engine, import_id: int) -> ImportProgress:
    """Read how far an import has come. Raises NotFound."""
    with read(engine) as session:
        row = imports.get(session, import_id)
        counts = dict.fromkeys(("added", "known", "question", "refused"), 0)
        for tally in imports.tallies(session, import_id):
            counts[tally.outcome] += tally.count
        told = imports.items(session, import_id, Wanted("refused", limit=TOLD))
    return ImportProgress(
        id=row.id,
        total=row.total,
        done=row.done,
        added=counts["added"] + counts["question"],
        known=counts["known"],
        questions=counts["question"],
        refused_count=counts["refused"],
        refused=tuple(Outcome(each.name, "refused", f"{each.message} {each.hint}".strip()) for each in told),
        is_over=row.status != "running",
        was_cancelled=row.status == "cancelled",
        has_failed=row.status == "failed",
    )


def folder_of(settings: Settings, import_id: int) -> Path:
    """Where an import keeps what it fetched or unpacked."""
    return settings.data / "imports" / str(import_id)


def import_paths(
    settings: Settings,
    engine: Engine,
    project_id: int,
    paths: list[Path],
    *,
    on_outcome: Callable[[Outcome, int], None],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Take every picture under the paths in this thread, telling each outcome and the total as it goes."""

    def tell(item: NewItem, total: int) -> None:
        on_outcome(_outcome(item), total)

    with write(engine) as session:
        row = imports.create(session, project_id, source_of(paths).model_dump_json(), "you")
    decoders = Decoders(settings)
    try:
        run_one(Workshop(settings, engine, decoders, Fetch(), folder_of(settings, row.id)), row, is_cancelled, tell)
    finally:
        decoders.close()


def run_one(workshop: Workshop, row: Import, is_over: Callable[[], bool], tell: Tell | None = None) -> bool:
    """Run an import unless another process does, and write down how it ended; False when it broke off."""
    with _own(workshop) as is_ours:
        if not is_ours:
            return True
        is_whole = Job(workshop, row, is_over, tell).run()
        status: ImportStatus = "failed" if not is_whole else "cancelled" if is_over() else "done"
        with write(workshop.engine) as session:
            imports.set_status(session, row.id, status)
        shutil.rmtree(workshop.folder / "files", ignore_errors=True)
        return is_whole


@contextmanager
def _own(workshop: Workshop) -> Iterator[bool]:
    """Hold the import's lock, so that a restarted studio does not take up what the command line still runs."""
    workshop.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workshop.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _outcome(item: NewItem) -> Outcome:
    status: Literal["added", "known", "refused", "question"] = item.outcome
    reason = "" if status == "question" else f"{item.message} {item.hint}".strip()
    return Outcome(item.name, status, reason, item.image_id, item.code)


class ImportJobs:
    """Imports of the running server, on a background thread, and files that browsers send."""

    def __init__(self, settings: Settings, engine: Engine, fetch: Fetch | None = None) -> None:
        self._settings = settings
        self._engine = engine
        self._fetch = fetch or Fetch()
        self._decoders = Decoders(settings)
        self.screen = Screen(settings, self._decoders)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="import")
        self._lock = Lock()
        self._closing = Event()
        self._cancelled: dict[int, Event] = {}
        self._latest: dict[int, int] = {}

    def start(self, project_id: int, paths: list[Path]) -> int:
        """Begin an import of files and folders, as `start_source` does."""
        try:
            for path in paths:
                if path.is_dir():
                    os.scandir(path).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise Invalid(
                f"{paths[0]} cannot be read: {reason}.", "Give a folder that you may read.", "path"
            ) from error
        return self.start_source(project_id, source_of(paths))

    def start_source(self, project_id: int, source: Source, by: str = "you") -> int:
        """Begin an import and return its id. Raises Conflict while one is under way, NotFound without the project."""
        with self._lock:
            with write(self._engine) as session:
                projects.get(session, project_id)
                self._refuse_second(imports.listed(session, project_id))
                row = imports.create(session, project_id, source.model_dump_json(), by)
            self._submit(row)
        return row.id

    def start_upload(self, project_id: int, name: str, staged: Path) -> int:
        """Begin an import of an archive that a browser sent; the file is moved beside the import. Raises as above."""
        with self._lock:
            with write(self._engine) as session:
                projects.get(session, project_id)
                self._refuse_second(imports.listed(session, project_id))
                row = imports.create(session, project_id, "{}", "you")
                kept = folder_of(self._settings, row.id) / "upload.zip"
                kept.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(kept)
                row.source = ZipSource.of(kept, name, is_upload=True).model_dump_json()
            self._submit(row)
        return row.id

    def go_on(self, import_id: int) -> None:
        """Go on with an import that was cancelled or broke off. Raises Conflict while one is under way, NotFound."""
        with self._lock:
            with write(self._engine) as session:
                row = imports.get(session, import_id)
                self._refuse_second(imports.listed(session, row.project_id))
                imports.clear_trouble(session, import_id)
                imports.set_status(session, import_id, "running")
            self._submit(row)

    def resume(self) -> None:
        """Go on with what was under way when the studio ended."""
        with read(self._engine) as session:
            rows = imports.unfinished(session)
        with self._lock:
            for row in rows:
                self._submit(row)

    def retry(self, import_id: int, names: Sequence[str]) -> None:
        """Try refused files of an import once more, and wait for it. Raises NotFound, Refused, OSError."""
        with read(self._engine) as session:
            row = imports.get(session, import_id)
        workshop = self._workshop(import_id)
        with _own(workshop) as is_ours:
            if not is_ours:
                raise Conflict("The import is still under way.", "Try again once it is over.")
            try:
                Job(workshop, row, self._closing.is_set).retry(names)
            finally:
                shutil.rmtree(workshop.folder / "files", ignore_errors=True)

    def take_dropped(self, project_id: int, name: str, path: Path, batch: str = "", step: str = "") -> Outcome:
        """Take one file that a browser sent; what became of it stands in the report of its batch.

        All files of a batch, or without one of a `step`, are one step of the history.
        """
        step = str(uuid5(NAMESPACE_URL, f"drop:{project_id}:{batch}")) if batch else step or str(uuid4())
        dropper = Dropper(self._settings, self._engine, project_id, batch=step)
        outcome = dropper.take(name, path, self._decoders.measure)
        if batch:
            source = DropSource(batch=batch).model_dump_json()
            with write(self._engine) as session:
                row = imports.report_of_drop(session, project_id, source, "you")
                imports.add_items(session, row.id, [as_item(outcome)])
                imports.set_total(session, row.id, row.total + 1)
        return outcome

    def take_mask(self, name: str, path: Path, wish: MaskWish) -> Measured:
        """Have a mask file that a browser sent decoded by a child, and keep it. Raises Refused, Unavailable."""
        return self._decoders.measure(path, name, as_mask=wish)

    def measure(self, project_id: int, image_id: int) -> None:
        """Look at an original anew where not all was measured of it, and wait for it. Raises Refused, Unavailable."""
        with read(self._engine) as session:
            waiting = measures.unmeasured(session, project_id, [image_id])
        for each in waiting:
            found = measured_again(each, self._settings, self._decoders)
            with write(self._engine) as session:
                measures.put(session, found.sha256, found.facts.to_json(), (found.phash, found.phash_mirrored))

    def staging(self) -> Path:
        """A new path for a file that a browser sends."""
        folder = self._settings.data / "imports" / "staging"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid4().hex

    def progress(self, project_id: int) -> ImportProgress | None:
        """Return how far the latest import of this project has come, if one ran since the studio started."""
        with self._lock:
            latest = self._latest.get(project_id)
        return progress_of(self._engine, latest) if latest else None

    def cancel(self, project_id: int) -> None:
        """Ask the project's import to end after the files at hand; what came in stays."""
        with self._lock:
            if cancelled := self._cancelled.get(self._latest.get(project_id, 0)):
                cancelled.set()

    def close(self) -> None:
        """Break off after the files at hand; what is left is gone on with at the next start."""
        self._closing.set()
        self._decoders.close()
        self._pool.shutdown(wait=True)

    def _refuse_second(self, rows: Sequence[Import]) -> None:
        if any(row.status == "running" for row in rows):
            raise Conflict("An import into this project is under way.", "Wait for it or cancel it.")

    def _workshop(self, import_id: int) -> Workshop:
        folder = folder_of(self._settings, import_id)
        return Workshop(self._settings, self._engine, self._decoders, self._fetch, folder)

    def _submit(self, row: Import) -> None:
        self._cancelled[row.id] = Event()
        self._latest[row.project_id] = row.id
        self._pool.submit(self._run, row).add_done_callback(_log_failure)

    def _run(self, row: Import) -> None:
        cancelled = self._cancelled[row.id]
        try:
            if not self._closing.is_set():
                run_one(self._workshop(row.id), row, lambda: cancelled.is_set() or self._closing.is_set())
        except AppError as error:
            log.warning("an import ended: %s %s", error.message, error.hint)
        finally:
            self._leave(row.id, is_kept_for_later=self._closing.is_set() and not cancelled.is_set())
            self._decoders.rest()

    def _leave(self, import_id: int, *, is_kept_for_later: bool) -> None:
        """See to it that an import is under way in the store only while it will be gone on with."""
        try:
            with write(self._engine) as session:
                status = imports.get(session, import_id).status
                if is_kept_for_later and status == "cancelled":
                    imports.set_status(session, import_id, "running")
                if not is_kept_for_later and status == "running":
                    imports.put_trouble(session, import_id, MISTAKE)
                    imports.set_status(session, import_id, "failed")
        except AppError as error:
            log.warning("an import was left as it stood: %s", error.message)


def _log_failure(done: "Future[None]") -> None:
    if error := done.exception():
        log.error("an import broke", exc_info=error)
