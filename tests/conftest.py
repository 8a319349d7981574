"""Fixtures and skips that every folder of tests shares."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.checks import find_chromium
from app.config import Settings
from app.store.db import migrate, open_engine
from app.store.migrate import has_wal_fix


def pytest_report_header() -> str:
    """Say which journal the store tests run with, since it depends on the machine's SQLite."""
    journal = "write-ahead log" if has_wal_fix(sqlite3.sqlite_version_info) else "rollback journal, too old for WAL"
    return f"SQLite {sqlite3.sqlite_version}: {journal}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run."""
    lacks_browser = find_chromium() is None
    lacks_gpu = shutil.which("nvidia-smi") is None
    for item in items:
        if lacks_browser and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="no Chromium; Debian: apt install chromium"))
        if lacks_gpu and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU"))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a studio with a data folder of its own and no worker."""
    return Settings(data=tmp_path / "studio", starts_worker=False)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An open, migrated store."""
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser for tests marked `browser`."""
    path = find_chromium()
    assert path is not None
    return path
