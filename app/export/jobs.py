"""Exports of the running server: one a project, on a background thread, as a zip to download."""

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock

from sqlalchemy import Engine

from app.collect.decoders import Decoders
from app.config import Settings
from app.errors import AppError, Conflict, Invalid, NotFound
from app.export.datasets import Exported, export_dataset
from app.export.items import read_items
from app.export.layout import Layout, Options
from app.store.db import read

log = logging.getLogger("lora_studio")


@dataclass(frozen=True)
class ExportProgress:
    """How far an export has come; `exported` is there once it is done, `error` when it ended otherwise."""

    layout: str
    total: int
    done: int = 0
    is_over: bool = False
    was_cancelled: bool = False
    error: str = ""
    exported: Exported | None = None
    size_bytes: int = 0


class _Cancelled(Exception):
    """Somebody asked the export to end."""


class ExportJobs:
    """At most one export a project is under way; a new one replaces the file of the last."""

    def __init__(self, settings: Settings, engine: Engine, decoders: Decoders) -> None:
        self._settings = settings
        self._engine = engine
        self._decoders = decoders
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="export")
        self._lock = Lock()
        self._progress: dict[int, ExportProgress] = {}
        self._cancelled: dict[int, Event] = {}

    def start(self, project_id: int, layout: Layout, options: Options) -> None:
        """Begin an export. Raises Conflict while one is under way, Invalid without images."""
        with read(self._engine) as session:
            total = len(read_items(session, self._settings, project_id))
        if not total:
            raise Invalid("There is nothing to export yet.", "Add images first.")
        with self._lock:
            known = self._progress.get(project_id)
            if known and not known.is_over:
                raise Conflict("An export of this project is under way.", "Wait for it or cancel it.")
            self._progress[project_id] = ExportProgress(layout.label, total)
            self._cancelled[project_id] = Event()
        self._pool.submit(self._run, project_id, layout, options).add_done_callback(_log_failure)

    def progress(self, project_id: int) -> ExportProgress | None:
        """Return how far the project's latest export has come, if there was one."""
        with self._lock:
            return self._progress.get(project_id)

    def download(self, project_id: int) -> Path:
        """Where the finished file is. Raises NotFound."""
        made = self.progress(project_id)
        if made and made.exported and made.exported.path.is_file():
            return made.exported.path
        raise NotFound("There is no finished export.", "Start one on the export page.")

    def cancel(self, project_id: int) -> None:
        """Ask the export to end after the image it is at; nothing of it stays."""
        with self._lock:
            if cancelled := self._cancelled.get(project_id):
                cancelled.set()

    def close(self) -> None:
        """Cancel everything and wait for the image at hand."""
        with self._lock:
            for cancelled in self._cancelled.values():
                cancelled.set()
        self._pool.shutdown(wait=True)

    def _run(self, project_id: int, layout: Layout, options: Options) -> None:
        cancelled = self._cancelled[project_id]

        def count(done: int) -> None:
            if cancelled.is_set():
                raise _Cancelled
            self._update(project_id, lambda progress: replace(progress, done=done))

        error, exported = "A mistake of LoRA Studio stopped the export. Start it again.", None
        try:
            exported, error = self._export(project_id, layout, options, count), ""
        except _Cancelled:
            error = ""
        except AppError as refusal:
            error = f"{refusal.message} {refusal.hint}"
        except OSError as problem:
            error = f"The disk refused: {problem.strerror or problem}. Check that it has room, then start again."
        finally:
            self._decoders.rest()
            size_bytes = exported.path.stat().st_size if exported else 0
            self._update(
                project_id,
                lambda progress: replace(
                    progress,
                    is_over=True,
                    was_cancelled=exported is None and not error,
                    error=error,
                    exported=exported,
                    size_bytes=size_bytes,
                ),
            )

    def _export(self, project_id: int, layout: Layout, options: Options, count: Callable[[int], None]) -> Exported:
        folder = self._settings.data / "exports" / str(project_id)
        shutil.rmtree(folder, ignore_errors=True)
        with read(self._engine) as session:
            items = read_items(session, self._settings, project_id)
        to = folder / f"{options.word}-{layout.key}.zip"
        return export_dataset(items, layout, options, to, count, self._decoders)

    def _update(self, project_id: int, change: Callable[[ExportProgress], ExportProgress]) -> None:
        with self._lock:
            self._progress[project_id] = change(self._progress[project_id])


def _log_failure(done: "Future[None]") -> None:
    if error := done.exception():
        log.error("an export broke", exc_info=error)
