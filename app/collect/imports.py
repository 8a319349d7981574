"""The imports of the running studio: begun, told of, cancelled, gone on with; one a project at a time."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from uuid import NAMESPACE_URL, uuid4, uuid5

from sqlalchemy import Engine

from app.collect import retries
from app.collect.archives import Watch
from app.collect.decode_child import Measured
from app.collect.decoders import Decoders
from app.collect.drop_ends import Ended, end_drop
from app.collect.dropped import OUTCOME_LABELS, Dropper, Outcome, take_file
from app.collect.fetch import Fetch, check_switch
from app.collect.masks import MaskWish
from app.collect.measuring import measured_again
from app.collect.plans import Workshop
from app.collect.progress import ImportProgress, Stage, progress_of, retry_stage
from app.collect.retries import Retry
from app.collect.running import folder_of, import_paths, run_one, sent_folder
from app.collect.screen import Screen
from app.collect.sent import SentFolders, label_of_sent
from app.collect.sources import PathSource, Source, ZipSource, label_of, source_of
from app.config import Settings
from app.errors import AppError, Conflict, Invalid
from app.store import imports, measures, projects
from app.store.db import read, write
from app.store.imports import NewItem
from app.store.models import Import

__all__ = ["OUTCOME_LABELS", "ImportJobs", "ImportProgress", "Outcome", "import_paths", "progress_of", "take_file"]

log = logging.getLogger("lora_studio")

MISTAKE = NewItem(
    imports.TROUBLE,
    "refused",
    "stopped",
    "A mistake of LoRA Studio stopped the import.",
    "What came in stays; go on with it for the rest.",
)


class ImportJobs:
    """Imports of the running server, on a background thread, and files that browsers send."""

    def __init__(self, settings: Settings, engine: Engine, fetch: Fetch | None = None) -> None:
        self._settings = settings
        self._engine = engine
        self._fetch = fetch or Fetch()
        self.decoders = Decoders(settings)
        self.screen = Screen(settings, self.decoders)
        self.sent = SentFolders(settings)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="import")
        self._lock = Lock()
        self._closing = Event()
        self._cancelled: dict[int, Event] = {}
        self._latest: dict[int, int] = {}
        self._waiting: dict[int, Future[None]] = {}
        self._unpacked: dict[int, tuple[int, int]] = {}
        self._current: int | None = None

    def start(self, project_id: int, paths: list[Path], by: str = "you") -> int:
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
        return self.start_source(project_id, source_of(paths), by)

    def start_source(self, project_id: int, source: Source, by: str = "you") -> int:
        """Begin an import and return its id. Raises Conflict while one is under way, NotFound without the project."""
        with self._lock:
            with write(self._engine) as session:
                projects.get(session, project_id)
                self._refuse_second(imports.listed(session, project_id))
                row = imports.create(session, project_id, source.model_dump_json(), by)
            self._submit(row)
        return row.id

    def start_upload(self, project_id: int, name: str, staged: Path, by: str = "you") -> int:
        """Begin an import of an archive that a browser sent; the file is moved beside the import. Raises as above."""
        with self._lock:
            with write(self._engine) as session:
                projects.get(session, project_id)
                self._refuse_second(imports.listed(session, project_id))
                row = imports.create(session, project_id, "{}", by)
                kept = folder_of(self._settings, row.id) / "upload.zip"
                kept.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(kept)
                row.source = ZipSource.of(kept, name, is_upload=True).model_dump_json()
            self._submit(row)
        return row.id

    def start_sent(self, project_id: int, drop: str, files: int, by: str = "you") -> int:
        """Begin an import of a folder that a browser sent, as by path; it is moved beside the import.

        Raises as above, and Invalid when not all of its files are here.
        """
        with self._lock:
            with write(self._engine) as session:
                projects.get(session, project_id)
                self._refuse_second(imports.listed(session, project_id))
                self.sent.check_whole(project_id, drop, files)
                row = imports.create(session, project_id, "{}", by)
                roots = self.sent.hand_over(project_id, drop, sent_folder(folder_of(self._settings, row.id)))
                row.source = PathSource.of(roots, label_of_sent(roots)).model_dump_json()
            self._submit(row)
        return row.id

    def go_on(self, import_id: int) -> None:
        """Go on with an import that was cancelled or broke off.

        Raises Conflict while one is under way, and for addresses while fetching is off; NotFound.
        """
        with self._lock:
            with write(self._engine) as session:
                row = imports.get(session, import_id)
                self._refuse_second(imports.listed(session, row.project_id))
                check_switch(session, row.source)
                if row.status == "done":
                    raise Conflict("This import has come to its end.", "Import the same again to take in what is new.")
                imports.clear_trouble(session, import_id)
                imports.set_status(session, import_id, "running")
            retries.forget(folder_of(self._settings, import_id))
            self._submit(row)

    def resume(self) -> None:
        """Go on with what was under way when the studio ended."""
        self.sent.clear()
        with read(self._engine) as session:
            rows = imports.unfinished(session)
        with self._lock:
            for row in rows:
                self._submit(row)

    def retry(self, import_id: int, names: Sequence[str]) -> int:
        """Begin another try of refused files of an import, as a job like it, and return how many they are.

        Raises Conflict while an import is under way, when none of them is refused any more, and for addresses while
        fetching is off; NotFound.
        """
        with self._lock:
            with write(self._engine) as session:
                row = imports.get(session, import_id)
                self._refuse_second(imports.listed(session, row.project_id))
                check_switch(session, row.source)
                again = [name for name in imports.refused_names(session, import_id) if name in set(names)]
                if not again:
                    raise Conflict("No such file is refused any more.", "Reload the report.")
                if row.status != "failed":
                    imports.clear_trouble(session, import_id)
                folder = folder_of(self._settings, import_id)
                retries.remember(folder, Retry(names=tuple(again), status=row.status))
                imports.set_status(session, import_id, "running")
                imports.recount(session, import_id, less=len(again))
            self._submit(row)
        return len(again)

    def take_dropped(
        self, project_id: int, name: str, path: Path, batch: str = "", step: str = "", by: str = "you"
    ) -> Outcome:
        """Take one file that a browser sent; what became of it stands in the report of its batch.

        All files of a batch, or without one of a `step`, are one step of the history.
        """
        return self._dropper(project_id, batch, by, step).take(name, path, self.decoders.measure)

    def end_drop(self, project_id: int, batch: str, unsent: Sequence[str] = (), by: str = "you") -> Ended:
        """Join what the files of a batch left open; `unsent` are those that never came. Raises NotFound."""
        return end_drop(self._dropper(project_id, batch, by), unsent)

    def check_project(self, project_id: int) -> None:
        """Tell whether there is such a project. Raises NotFound."""
        with read(self._engine) as session:
            projects.get(session, project_id)

    def _dropper(self, project_id: int, batch: str, by: str, step: str = "") -> Dropper:
        self.check_project(project_id)
        step = str(uuid5(NAMESPACE_URL, f"drop:{project_id}:{batch}")) if batch else step or str(uuid4())
        return Dropper(self._settings, self._engine, project_id, by, step, batch)

    def take_mask(self, name: str, path: Path, wish: MaskWish) -> Measured:
        """Have a mask file that a browser sent decoded by a child, and keep it. Raises Refused, Unavailable."""
        return self.decoders.measure(path, name, as_mask=wish, for_page=True)

    def measure(self, project_id: int, image_id: int) -> None:
        """Look at an original anew where not all was measured of it, and wait for it. Raises Refused, Unavailable."""
        with read(self._engine) as session:
            waiting = measures.unmeasured(session, project_id, [image_id])
        for each in waiting:
            found = measured_again(each, self._settings, self._engine, self.decoders)
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
        return self.progress_of(latest) if latest else None

    def progress_of(self, import_id: int) -> ImportProgress:
        """Return how far an import has come, and what it does or waits for before its files are counted.

        Raises NotFound.
        """
        reached = progress_of(self._engine, import_id)
        return reached if reached.is_over else replace(reached, stage=self._stage(reached))

    def check_free(self, project_id: int) -> None:
        """Tell whether an import may begin. Raises Conflict while one is under way, NotFound without the project."""
        with read(self._engine) as session:
            projects.get(session, project_id)
            self._refuse_second(imports.listed(session, project_id))

    def cancel(self, project_id: int) -> None:
        """Ask the project's import to end after the files at hand, at once while it waits; what came in stays."""
        with self._lock:
            latest = self._latest.get(project_id, 0)
            if cancelled := self._cancelled.get(latest):
                cancelled.set()
            waiting = self._waiting.get(latest)
            if waiting is not None and waiting.cancel():
                self._end_waiting(latest)

    def close(self) -> None:
        """Break off after the files at hand; what is left is gone on with at the next start."""
        self._closing.set()
        self.decoders.close()
        self._pool.shutdown(wait=True)

    def _refuse_second(self, rows: Sequence[Import]) -> None:
        if any(row.status == "running" for row in rows):
            raise Conflict("An import into this project is under way.", "Wait for it or cancel it.")

    def _workshop(self, import_id: int) -> Workshop:
        cancelled = self._cancelled[import_id]
        watch = Watch(
            is_over=lambda: cancelled.is_set() or self._closing.is_set(),
            unpacked=lambda done, total: self._tell_unpacked(import_id, done, total),
        )
        folder = folder_of(self._settings, import_id)
        return Workshop(self._settings, self._engine, self.decoders, self._fetch, folder, watch)

    def _tell_unpacked(self, import_id: int, done: int, total: int) -> None:
        if done < total:
            self._unpacked[import_id] = (done, total)
        else:
            self._unpacked.pop(import_id, None)

    def _stage(self, reached: ImportProgress) -> Stage | None:
        """What an import does that the number of its files does not tell."""
        import_id, current = reached.id, self._current
        if current is not None and current != import_id and import_id in self._waiting:
            with read(self._engine) as session:
                row = imports.get(session, current)
                project = projects.get(session, row.project_id)
                return Stage(f"Waits until the import of {label_of(row.source)} into {project.name} has ended")
        if unpacked := self._unpacked.get(import_id):
            return Stage(f"Unpacking, {unpacked[0]:,} of {unpacked[1]:,}", *unpacked)
        retry = retries.remembered(folder_of(self._settings, import_id))
        return retry_stage(reached, len(retry.names)) if retry else None

    def _submit(self, row: Import) -> None:
        self._cancelled[row.id] = Event()
        self._latest[row.project_id] = row.id
        self._waiting[row.id] = future = self._pool.submit(self._run, row)
        future.add_done_callback(_log_failure)

    def _run(self, row: Import) -> None:
        self._current = row.id
        cancelled, is_ours = self._cancelled[row.id], True
        try:
            if not self._closing.is_set():
                is_ours = run_one(self._workshop(row.id), row) is not None
        except AppError as error:
            log.warning("an import ended: %s %s", error.message, error.hint)
        finally:
            with self._lock:
                # Its end shows before this: whoever goes on with it meanwhile has begun it anew.
                is_latest = self._cancelled[row.id] is cancelled
                if is_ours and is_latest:
                    self._leave(row.id, is_kept_for_later=self._closing.is_set() and not cancelled.is_set())
                if is_latest:
                    self._waiting.pop(row.id, None)
            self._current = None
            self._unpacked.pop(row.id, None)
            self.decoders.rest()

    def _end_waiting(self, import_id: int) -> None:
        """Write down that an import was cancelled before its turn; a try of refused files leaves it as it stood."""
        folder = folder_of(self._settings, import_id)
        retry = retries.remembered(folder)
        with write(self._engine) as session:
            imports.set_status(session, import_id, retry.status if retry else "cancelled")
            imports.recount(session, import_id)
        retries.forget(folder)

    def _leave(self, import_id: int, *, is_kept_for_later: bool) -> None:
        """See to it that an import is under way in the store only while it will be gone on with."""
        folder = folder_of(self._settings, import_id)
        is_retry = retries.remembered(folder) is not None
        try:
            with write(self._engine) as session:
                status = imports.get(session, import_id).status
                if is_kept_for_later and (is_retry or status == "cancelled"):
                    imports.set_status(session, import_id, "running")
                if not is_kept_for_later and status == "running":
                    imports.put_trouble(session, import_id, MISTAKE)
                    imports.set_status(session, import_id, "failed")
        except AppError as error:
            log.warning("an import was left as it stood: %s", error.message)
        if not is_kept_for_later:
            retries.forget(folder)


def _log_failure(done: "Future[None]") -> None:
    if not done.cancelled() and (error := done.exception()):
        log.error("an import broke", exc_info=error)
