"""A store of its own for each test."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.store import projects
from app.store.db import write
from app.store.images import NewImage


@pytest.fixture
def project_id(engine: Engine) -> int:
    """A project called Ink."""
    with write(engine) as session:
        return projects.create(session, "Ink", "style", "inkstyle", None).id


@pytest.fixture
def picture() -> Callable[[str], NewImage]:
    """Makes a picture's facts from its name."""

    def make(name: str) -> NewImage:
        return NewImage(
            sha256=name.encode().hex().ljust(64, "0")[:64],
            extension="png",
            size_bytes=1000,
            width_px=640,
            height_px=480,
            name=name,
        )

    return make
