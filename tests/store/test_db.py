"""The file: what a read may, what a write promises, and errors in words."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.config import Settings
from app.errors import NotFound, Unavailable
from app.store import projects
from app.store.db import open_engine, read, write


def test_every_connection_is_set_up(engine: Engine) -> None:
    with read(engine) as session:
        told = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("foreign_keys", "busy_timeout", "synchronous", "trusted_schema")
        }
    assert told == {"foreign_keys": 1, "busy_timeout": 10_000, "synchronous": 2, "trusted_schema": 0}


def test_a_read_cannot_write_and_the_connection_can_write_again(engine: Engine) -> None:
    with pytest.raises(Unavailable), read(engine) as session:
        projects.create(session, "Oil", "style", "", None)
    with write(engine) as session:
        projects.create(session, "Oil", "style", "", None)
    with read(engine) as session:
        assert projects.by_name(session, "Oil") is not None


def test_a_write_that_raises_changes_nothing(engine: Engine) -> None:
    def fail_late() -> None:
        with write(engine) as session:
            projects.create(session, "Oil", "style", "", None)
            raise KeyError

    with pytest.raises(KeyError):
        fail_late()
    with read(engine) as session:
        assert projects.cards(session) == []


def test_a_write_begins_as_one(engine: Engine, settings: Settings) -> None:
    other = sqlite3.connect(settings.store_path, isolation_level=None, timeout=0)
    with write(engine) as session:
        session.scalar(text("SELECT 1"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_rows_are_usable_after_their_session(engine: Engine) -> None:
    with write(engine) as session:
        project = projects.create(session, "Oil", "style", "nib", None)
    assert (project.name, project.trigger_word) == ("Oil", "nib")


def test_a_store_that_is_gone_is_said_so(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gone" / "store.db")
    with pytest.raises(Unavailable, match="cannot be opened"), read(engine) as session:
        projects.cards(session)
    engine.dispose()


def test_a_store_that_is_gone_is_not_made_anew(settings: Settings, engine: Engine) -> None:
    engine.dispose()
    settings.store_path.unlink()
    again = open_engine(settings.store_path)
    with pytest.raises(Unavailable, match="cannot be opened"), read(again) as session:
        projects.by_name(session, "Oil")
    assert not settings.store_path.exists()
    again.dispose()


def test_a_store_that_was_written_over_is_told_of_in_words(settings: Settings, engine: Engine) -> None:
    engine.dispose()
    settings.store_path.write_bytes(b"not a database " * 1000)
    again = open_engine(settings.store_path)
    with pytest.raises(Unavailable, match="damaged"), read(again) as session:
        projects.by_name(session, "Oil")
    again.dispose()


def test_a_number_beyond_the_store_names_nothing(engine: Engine) -> None:
    with pytest.raises(NotFound, match="So large a number"), read(engine) as session:
        projects.get(session, 10**20)
