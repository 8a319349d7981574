"""One import run in this thread, whoever asks for it, and by one process at a time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from app.collect import retries
from app.collect.archives import Watch
from app.collect.decoders import Decoders
from app.collect.dropped import Outcome
from app.collect.fetch import Fetch
from app.collect.jobs import Job, Tell
from app.collect.plans import Workshop
from app.collect.sources import source_of
from app.config import Settings
from app.store import imports
from app.store.db import write
from app.store.imports import NewItem
from app.store.models import Import, ImportStatus


def folder_of(settings: Settings, import_id: int) -> Path:
    """Where an import keeps what it fetched or unpacked."""
    return settings.data / "imports" / str(import_id)


def sent_folder(folder: Path) -> Path:
    """Where an import keeps the folder that a browser sent, until it is done."""
    return folder / "sent"


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
    folder, watch = folder_of(settings, row.id), Watch(is_cancelled)
    try:
        run_one(Workshop(settings, engine, decoders, Fetch(), folder, watch), row, tell)
    finally:
        decoders.close()


def run_one(workshop: Workshop, row: Import, tell: Tell | None = None) -> bool | None:
    """Run an import and write down how it ended; False when it broke off, None when another process runs it.

    Where refused files of it are tried again, that is done alone, and it stands as it stood before.
    """
    with _own(workshop) as is_ours:
        if not is_ours:
            return None
        job = Job(workshop, row, workshop.watch.is_over, tell)
        retry = retries.remembered(workshop.folder)
        is_whole = job.retry(retry.names) if retry else job.run()
        status: ImportStatus = "failed" if not is_whole else "cancelled" if workshop.watch.is_over() else "done"
        if retry:
            status = retry.status
        with write(workshop.engine) as session:
            imports.set_status(session, row.id, status)
        shutil.rmtree(workshop.folder / "files", ignore_errors=True)
        if status == "done":
            shutil.rmtree(sent_folder(workshop.folder), ignore_errors=True)
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
