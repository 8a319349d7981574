"""Plans: what an import would do, listed before it is done."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.decoders import Decoders
from app.collect.fetch import Fetch
from app.collect.plans import Workshop, plan
from app.collect.sources import DropSource, PathSource, UrlSource
from app.config import Settings
from tests.collect.fixtures import encoded, noise


@pytest.fixture
def workshop(settings: Settings, engine: Engine) -> Iterator[Workshop]:
    """What a plan is made with."""
    decoders = Decoders(settings, 1)
    yield Workshop(settings, engine, decoders, Fetch(), settings.data / "imports" / "1")
    decoders.close()


def test_files_named_by_hand_are_opened_whatever_they_are_called(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "odd.dat").write_bytes(encoded(noise(1)))
    made = plan(PathSource.of([tmp_path / "odd.dat"]), workshop)
    (gathered,) = [task.gather() for task in made.tasks]
    assert gathered.new is not None
    assert gathered.new.name == "odd.dat"


def test_folders_of_one_name_stay_apart(workshop: Workshop, tmp_path: Path) -> None:
    for place in ("x", "y"):
        (tmp_path / place / "set").mkdir(parents=True)
        (tmp_path / place / "set" / "a.png").write_bytes(b"")
    made = plan(PathSource.of([tmp_path / "x" / "set", tmp_path / "y" / "set"]), workshop)
    assert [task.name for task in made.tasks] == ["set/a.png", "2/set/a.png"]


def test_addresses_and_drops(workshop: Workshop) -> None:
    made = plan(UrlSource(urls=("https://a/1.png", "https://b/2.png")), workshop)
    assert [task.name for task in made.tasks] == ["https://a/1.png", "https://b/2.png"]
    assert plan(DropSource(batch="x"), workshop).tasks == []
