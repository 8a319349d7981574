"""The store's file: how it is opened, read and written. All that is peculiar to SQLite stands here and in migrate."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import NotFound, Unavailable
from app.store.migrate import migrate

__all__ = ["migrate", "open_engine", "read", "write"]

BUSY_WAIT_MS = 10_000
CONNECTIONS = 40
WORDS = {
    sqlite3.SQLITE_BUSY: ("The store is busy: something else has been writing for long.", "Try again in a moment."),
    sqlite3.SQLITE_FULL: ("The disk is full, so nothing was saved.", "Make room, then try again."),
    sqlite3.SQLITE_IOERR: ("The disk with the data folder does not answer.", "Check that it is still connected."),
    sqlite3.SQLITE_READONLY: ("The store may not be written.", "Check who owns the data folder."),
    sqlite3.SQLITE_CANTOPEN: ("The store cannot be opened.", "Check that the data folder is still there."),
    sqlite3.SQLITE_CORRUPT: ("The store is damaged.", "Start LoRA Studio again: it names the newest backup."),
    sqlite3.SQLITE_NOTADB: ("The store is damaged.", "Start LoRA Studio again: it names the newest backup."),
}


def open_engine(path: Path) -> Engine:
    """Open the store. Every connection enforces foreign keys, waits 10 s for a lock and makes each commit durable."""
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=_existing(path), query={"uri": "true"}),
        pool_size=8,
        max_overflow=CONNECTIONS - 8,
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _existing(path: Path) -> str:
    # Without this mode SQLite would put an empty store where an unplugged disk was.
    return f"{path.absolute().as_uri()}?mode=rw"


def _set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Python's own handling of transactions begins too late, and never for schema changes: we begin them ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_WAIT_MS}",
        "foreign_keys = ON",
        "synchronous = FULL",
        "trusted_schema = OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("is_write", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if is_write else 'ON'}")
    # A write that begins as a read fails at once, without waiting, when another writer was faster.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


@contextmanager
def read(engine: Engine) -> Iterator[Session]:
    """Give a session that sees one moment of the store and can change nothing.

    Rows stay usable afterwards. Keep it short, and never write inside it: a writer waits until every reader has left.
    Raises Unavailable when the store cannot be reached.
    """
    with _in_words(), Session(engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def write(engine: Engine) -> Iterator[Session]:
    """Give a session whose changes are on the disk when the block ends, or not made at all when it raises.

    One writer at a time. Raises Unavailable when the store is busy for more than 10 s or the disk is full.
    """
    bind = engine.execution_options(is_write=True)
    with _in_words(), Session(bind, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OverflowError as error:
        raise NotFound("So large a number names nothing here.", "Go back and choose from the page.") from error
    except DatabaseError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code not in WORDS:
            raise
        raise Unavailable(*WORDS[code]) from error
