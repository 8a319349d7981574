"""Base models: listed once a path, missing when gone, hashed anew when changed."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.errors import NotFound
from app.store import bases
from app.store import settings as choices
from app.store.bases import FoundBase
from app.store.db import read, write


def found(path: Path, name: str = "model") -> FoundBase:
    """A base at a path that exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return FoundBase(name, str(path), "single-file", "sdxl", 7_000_000_000, 1024, False)


def test_a_second_look_keeps_ids_and_hashes(engine: Engine, tmp_path: Path) -> None:
    here, there = found(tmp_path / "a" / "model.safetensors"), found(tmp_path / "b" / "other.safetensors", "Other")
    with write(engine) as session:
        bases.put_found(session, [here, there])
        ids = [row.id for row in bases.listed(session)]
        for base_id in ids:
            bases.set_hash(session, base_id, "f" * 64)
    Path(there.path).unlink()
    with write(engine) as session:
        bases.put_found(session, [replace(here, size_bytes=8_000_000_000)])
        changed, gone = (bases.get(session, base_id) for base_id in ids)
        assert (changed.sha256, changed.is_missing) == (None, False)
        assert (gone.sha256, gone.is_missing) == ("f" * 64, True)
        bases.put_found(session, [here, found(Path(there.path), "Other")])
        assert not gone.is_missing


def test_a_base_outside_the_folder_looked_at_is_not_missing(engine: Engine, tmp_path: Path) -> None:
    with write(engine) as session:
        bases.add_found(session, found(tmp_path / "elsewhere.safetensors"))
        bases.put_found(session, [])
        assert [row.is_missing for row in bases.listed(session)] == [False]


def test_equal_names_are_told_apart(engine: Engine, tmp_path: Path) -> None:
    with write(engine) as session:
        names = [
            bases.add_found(session, found(tmp_path / folder / "x" / "model.safetensors")).name for folder in "abc"
        ]
    assert names == ["model", "model (x)", "model (2)"]


def test_found_by_name_or_path_or_told_which_there_are(engine: Engine, tmp_path: Path) -> None:
    here = found(tmp_path / "model.safetensors")
    with write(engine) as session:
        base_id = bases.add_found(session, here).id
    with read(engine) as session:
        assert bases.by_name_or_path(session, "model").id == base_id
        assert bases.by_name_or_path(session, here.path).id == base_id
        with pytest.raises(NotFound) as refused:
            bases.by_name_or_path(session, "flux")
        with pytest.raises(NotFound):
            bases.get(session, 99)
    assert "model" in refused.value.hint


def test_choices_are_remembered(engine: Engine) -> None:
    with write(engine) as session:
        assert choices.get(session, "base_folder", "none") == "none"
        choices.put(session, "base_folder", "/models")
        choices.put(session, "base_folder", "/more models")
    with read(engine) as session:
        assert choices.get(session, "base_folder", "none") == "/more models"
