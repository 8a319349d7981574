"""Bringing the store to the newest shape: checked, backed up, and either whole or not at all."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import URL, Connection, NullPool, create_engine, inspect

from app.config import ROOT, Settings
from app.contract.rundir import fsync_dir
from app.errors import Conflict, Unavailable

BACKUPS_KEPT = 5
MIGRATION_WAIT_S = 120
VERSION_TABLE = "alembic_version"


def has_wal_fix(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset race, by which two processes could damage the file."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def alembic_config() -> Config:
    """The settings of Alembic, which needs no file for them."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations").replace("%", "%%"))
    return config


def migrate(settings: Settings) -> None:
    """Make the store, or bring it up to date; safe to call from several processes at once.

    Raises Conflict when a newer studio wrote it, Unavailable when the file is damaged or cannot be read.
    """
    settings.backups.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.data / "migrate.lock", timeout=MIGRATION_WAIT_S):
        try:
            _bring_up_to_date(settings)
        except sqlite3.DatabaseError as error:
            raise _damaged(settings, str(error)) from error


def _bring_up_to_date(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.store_path, isolation_level=None, timeout=10)) as connection:
        _check(connection, settings)
        mode = "WAL" if has_wal_fix(sqlite3.sqlite_version_info) else "DELETE"
        connection.execute(f"PRAGMA journal_mode = {mode}")
        config = alembic_config()
        script = ScriptDirectory.from_config(config)
        current = _revision(connection)
        if current == script.get_current_head():
            return
        if current is not None:
            if current not in {revision.revision for revision in script.walk_revisions()}:
                raise _too_new(settings, current)
            _back_up(connection, settings.backups, current)
    settings.store_path.chmod(0o600)
    with _whole(settings.store_path) as migrating:
        config.attributes["connection"] = migrating
        command.upgrade(config, "head")


def _revision(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (VERSION_TABLE,)).fetchone()
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() if known else None
    return str(row[0]) if row else None


def _check(connection: sqlite3.Connection, settings: Settings) -> None:
    told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if told != "ok":
        raise _damaged(settings, str(told))


@contextmanager
def _whole(path: Path) -> Iterator[Connection]:
    """One transaction for all steps: rolled back when a step fails, a row is lost or a reference dangles."""
    engine = create_engine(URL.create("sqlite+pysqlite", database=os.fspath(path)), poolclass=NullPool)
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.isolation_level = None
        # Rebuilding a table would delete the rows that refer to it; inside a transaction this switch does nothing.
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("BEGIN IMMEDIATE")
        with connection.begin():
            before = _row_counts(connection)
            yield connection
            _refuse_losses(before, _row_counts(connection))
            if dangling := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
                raise Unavailable(f"The update of the store was undone: {len(dangling)} references would dangle.")


def _row_counts(connection: Connection) -> dict[str, int]:
    names = [name for name in inspect(connection).get_table_names() if name != VERSION_TABLE]
    return {name: int(connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()) for name in names}


def _refuse_losses(before: dict[str, int], after: dict[str, int]) -> None:
    for name, count in before.items():
        if name in after and after[name] < count:
            raise Unavailable(f"The update of the store was undone: {count - after[name]} rows of {name} would go.")


def _back_up(connection: sqlite3.Connection, folder: Path, revision: str) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    final = folder / f"store-{stamp}-{revision}.db"
    beside = final.with_suffix(".tmp")
    connection.execute("VACUUM INTO ?", (os.fspath(beside),))
    beside.chmod(0o600)
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    beside.replace(final)
    fsync_dir(folder)
    for old in backups(folder)[BACKUPS_KEPT:]:
        old.unlink()


def backups(folder: Path) -> list[Path]:
    """The backups of the store, newest first."""
    return sorted(folder.glob("store-*.db"), reverse=True)


def _restore_hint(settings: Settings) -> str:
    kept = backups(settings.backups)
    if not kept:
        return f"There is no backup yet; move {settings.store_path} away to start anew."
    return f"The newest backup is {kept[0]}: copy it over {settings.store_path.name}, or move that away to start anew."


def _damaged(settings: Settings, reason: str) -> Unavailable:
    return Unavailable(f"The store {settings.store_path} cannot be used: {reason}.", _restore_hint(settings))


def _too_new(settings: Settings, revision: str) -> Conflict:
    return Conflict(
        f"The store {settings.store_path} was written by a newer LoRA Studio (revision {revision}).",
        f"Update the studio. {_restore_hint(settings)}",
    )
