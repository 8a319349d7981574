"""The list of base models: found in the folder a person named, hashed in the background."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from sqlalchemy import Engine

from app.config import Settings
from app.launch.base_choices import remember
from app.launch.bases import Look, bundled, hash_base, look
from app.store import bases
from app.store import settings as store_settings
from app.store.db import read, write

log = logging.getLogger("lora_studio")

FOLDER_SETTING = "base_folder"


def scan(engine: Engine, folder: Path | None) -> None:
    """Find and list base models: the bundled one, and those under the folder; remember the folder."""
    seen = look(folder) if folder else Look()
    with write(engine) as session:
        if folder:
            store_settings.put(session, FOLDER_SETTING, str(folder))
            remember(session, seen)
        bases.put_found(session, [bundled(), *seen.found])


def known_folder(engine: Engine, settings: Settings) -> Path:
    """The folder that was named last, else the data folder's own."""
    with read(engine) as session:
        return Path(store_settings.get(session, FOLDER_SETTING, str(settings.models)))


def hash_listed(engine: Engine, is_cancelled: Callable[[], bool] = lambda: False) -> None:
    """Hash the listed bases that have no hash yet, one after the other."""
    with read(engine) as session:
        unhashed = [(row.id, Path(row.path)) for row in bases.listed(session) if not row.sha256 and not row.is_missing]
    for base_id, path in unhashed:
        if is_cancelled():
            return
        try:
            digest = hash_base(path)
        except OSError as error:
            log.warning("The base model at %s cannot be read: %s.", path, error.strerror or error)
            with write(engine) as session:
                bases.set_missing(session, base_id)
        else:
            with write(engine) as session:
                bases.set_hash(session, base_id, digest)


class BaseScan:
    """Looks for base models and hashes them on a background thread, so that gigabytes never hold up a page."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bases")
        self._cancelled = Event()

    def start(self, folder: Path | None = None) -> None:
        """List what the folder holds at once, and hash it in the background. Raises Invalid for no folder."""
        known = folder or known_folder(self._engine, self._settings)
        scan(self._engine, known if folder or known.is_dir() else None)
        self._pool.submit(hash_listed, self._engine, self._cancelled.is_set)

    def close(self, *, waits: bool = False) -> None:
        """Stop after the file at hand; with `waits`, let the hashing finish first."""
        if not waits:
            self._cancelled.set()
        self._pool.shutdown(wait=waits, cancel_futures=not waits)
