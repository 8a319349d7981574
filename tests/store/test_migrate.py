"""Migrations: from nothing, again, from a newer studio, and undone whole when they fail."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from app.config import ROOT, Settings
from app.contract.recipe import Recipe
from app.errors import Conflict, Unavailable
from app.store import captions, images, projects, subjects
from app.store import migrate as migrating
from app.store.db import migrate, open_engine, read, write
from app.store.images import NewImage
from app.store.migrate import backups, has_wal_fix
from app.store.models import Model

HEAD = ScriptDirectory.from_config(migrating.alembic_config()).get_current_head()

PICTURE = NewImage("a" * 64, "png", 10, 64, 64, "a.png")


def fill(settings: Settings) -> None:
    """Make a store with one of each."""
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "", None).id
        image, _ = images.add(session, project_id, PICTURE, None, "you")
        captions.save(session, image.id, "a cat", "you")
    engine.dispose()


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Read the file past our own code."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def add_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tests may add revisions: a copy of the migrations, which the code reads instead of the real ones."""
    shutil.copytree(ROOT / "migrations", tmp_path / "root" / "migrations")
    monkeypatch.setattr(migrating, "ROOT", tmp_path / "root")
    return tmp_path / "root" / "migrations" / "versions"


def revision(folder: Path, *lines: str) -> None:
    """Write a revision that follows the first."""
    body = "\n".join(f"    {line}" for line in lines)
    (folder / "9999_next.py").write_text(
        f'import sqlalchemy as sa\nfrom alembic import op\nrevision = "9999"\ndown_revision = "{HEAD}"\n\n'
        f"def upgrade() -> None:\n{body}\n",
        "utf-8",
    )


def test_an_empty_folder_gets_the_tables_of_the_models(engine: Engine, settings: Settings) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"target_metadata": Model.metadata, "compare_server_default": True}
        )
        assert compare_metadata(context, Model.metadata) == []
    assert settings.store_path.stat().st_mode & 0o077 == 0
    assert list(settings.backups.iterdir()) == []


def test_again_is_harmless(settings: Settings) -> None:
    fill(settings)
    migrate(settings)
    migrate(settings)
    assert ask(settings.store_path, "SELECT text FROM caption") == [("a cat",)]
    assert list(settings.backups.iterdir()) == []


def test_a_newer_store_is_refused_and_left_alone(settings: Settings) -> None:
    fill(settings)
    with closing(sqlite3.connect(settings.store_path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = settings.store_path.read_bytes()
    with pytest.raises(Conflict, match="9999"):
        migrate(settings)
    assert settings.store_path.read_bytes() == before


def test_a_file_that_is_no_store_is_refused_in_words(settings: Settings) -> None:
    settings.make_folders()
    settings.store_path.write_bytes(b"no database at all" * 100)
    with pytest.raises(Unavailable) as refused:
        migrate(settings)
    assert "not a database" in refused.value.message
    assert str(settings.store_path) in refused.value.hint


def test_a_change_is_backed_up_first_and_keeps_every_row(settings: Settings, add_revision: Path) -> None:
    fill(settings)
    revision(
        add_revision,
        'with op.batch_alter_table("image", recreate="always") as table:',
        '    table.add_column(sa.Column("note", sa.Text(), nullable=True))',
    )
    migrate(settings)
    assert ask(settings.store_path, "SELECT name, note FROM image") == [("a.png", None)]
    # A rebuilt parent table with enforcement on would have taken this row along.
    assert ask(settings.store_path, "SELECT text FROM caption") == [("a cat",)]
    (backup,) = backups(settings.backups)
    assert ask(backup, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert ask(backup, "SELECT text FROM caption") == [("a cat",)]
    assert backup.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "step",
    [
        'op.execute("DELETE FROM caption")',
        'op.execute("DELETE FROM image")',
        "op.execute(\"UPDATE image SET sha256 = 'gone'\")",
        'op.execute("nonsense")',
    ],
)
def test_a_change_that_loses_something_is_undone_whole(settings: Settings, add_revision: Path, step: str) -> None:
    fill(settings)
    revision(add_revision, 'op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))', step)
    with pytest.raises(Exception, match=r"undone|nonsense"):
        migrate(settings)
    assert ask(settings.store_path, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert ask(settings.store_path, "SELECT name FROM sqlite_master WHERE name = 'extra'") == []
    assert ask(settings.store_path, "SELECT text FROM caption") == [("a cat",)]
    (add_revision / "9999_next.py").unlink()
    migrate(settings)
    engine = open_engine(settings.store_path)
    with read(engine) as session:
        assert [card.captioned_count for card in projects.cards(session)] == [1]
    engine.dispose()


def test_only_the_newest_backups_stay(settings: Settings, add_revision: Path) -> None:
    fill(settings)
    for number in range(7):
        (settings.backups / f"store-20200101-00000{number}-000000-old.db").touch()
    revision(add_revision, 'op.add_column("image", sa.Column("note", sa.Text(), nullable=True))')
    migrate(settings)
    kept = backups(settings.backups)
    assert len(kept) == 5
    assert ask(kept[0], "SELECT text FROM caption") == [("a cat",)]
    assert [path.name[6:21] for path in kept[1:]] == [f"20200101-00000{number}" for number in (6, 5, 4, 3)]


@pytest.mark.parametrize(
    ("version", "has_fix"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 0), True),
    ],
)
def test_write_ahead_log_only_where_it_is_safe(version: tuple[int, int, int], has_fix: bool) -> None:
    assert has_wal_fix(version) is has_fix


def test_the_journal_fits_this_sqlite(engine: Engine, settings: Settings) -> None:
    expected = "wal" if has_wal_fix(sqlite3.sqlite_version_info) else "delete"
    assert ask(settings.store_path, "PRAGMA journal_mode") == [(expected,)]


def test_a_store_of_the_first_studio_goes_on_with_all_it_holds(settings: Settings) -> None:
    settings.make_folders()
    with closing(sqlite3.connect(settings.store_path)) as connection:
        connection.execute("PRAGMA user_version")
    config = migrating.alembic_config()
    with migrating._whole(settings.store_path) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for sql in (
            "INSERT INTO project (id, name, name_key, purpose, trigger_word, created_us)"
            " VALUES (1, 'Ink', 'ink', 'style', '', 1)",
            "INSERT INTO blob VALUES ('aa', 'png', 10, 64, 48)",
            "INSERT INTO image (id, project_id, sha256, name, name_key, repeats, added_us)"
            " VALUES (1, 1, 'aa', 'a.png', 'a.png', 2, 1)",
            "INSERT INTO caption VALUES (1, 'a cat', 'you', 1)",
        ):
            connection.exec_driver_sql(sql)
    migrate(settings)
    engine = open_engine(settings.store_path)
    with read(engine) as session:
        row = images.get(session, 1)
    engine.dispose()
    assert (row.name, row.caption, row.repeats, row.recipe, row.split) == ("a.png", "a cat", 2, Recipe(), "train")
    assert (row.size.width, row.size.height) == (64, 48)


def test_a_filled_store_of_the_revision_before_keeps_its_images_and_gets_subjects(settings: Settings) -> None:
    settings.make_folders()
    config = migrating.alembic_config()
    with migrating._whole(settings.store_path) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for sql in (
            "INSERT INTO project (id, name, name_key, purpose, trigger_word, created_us)"
            " VALUES (1, 'Ink', 'ink', 'style', '', 1)",
            # Measured before bars and blocking were.
            "INSERT INTO blob (sha256, extension, size_bytes, width_px, height_px, facts)"
            ' VALUES (\'aa\', \'png\', 10, 64, 48, \'{"format":"PNG","mode":"RGB"}\')',
            "INSERT INTO image (id, project_id, sha256, name, name_key, repeats, added_us)"
            " VALUES (1, 1, 'aa', 'a.png', 'a.png', 1, 1)",
        ):
            connection.exec_driver_sql(sql)
    migrate(settings)
    engine = open_engine(settings.store_path)
    with read(engine) as session:
        assert images.get(session, 1).name == "a.png"
        assert subjects.of_project(session, 1) == []
    engine.dispose()
    assert ask(settings.store_path, "SELECT count(*) FROM subject") == [(0,)]
