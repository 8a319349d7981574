"""How long a training takes: told by the newest that ran through in one attempt on the same base."""

from sqlalchemy import Engine, select

from app.config import Settings
from app.launch.pace import Pace, latest_pace
from app.launch.start import run_dir, start_training
from app.store import runs
from app.store.db import read, write
from app.store.models import Run
from tests.drawing import project_with_images
from tests.launch.test_start import made_spec


def finished(engine: Engine, run_id: int, took_s: float, attempts: int = 1) -> None:
    """Let a run have ended after so many seconds."""
    with write(engine) as session:
        run = session.get_one(Run, run_id)
        run.status, run.attempt = "completed", attempts
        run.claimed_us, run.ended_us = 5_000_000, 5_000_000 + round(took_s * 1e6)


def test_the_newest_that_ran_through_tells(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    spec = made_spec(engine, project_id)
    first, second, third = (start_training(settings, engine, project_id, spec) for _ in range(3))

    def told() -> Pace | None:
        with read(engine) as session:
            assert len(list(session.scalars(select(Run)))) == 3
            return latest_pace(settings, runs.listed(session), spec.base.path)

    assert told() is None
    finished(engine, first.id, 60)
    facts = (spec.optimization.steps, spec.optimization.batch, spec.data.resolution_px)
    assert told() == Pace(first.name, 60, *facts)
    finished(engine, second.id, 30.5)
    assert told() == Pace(second.name, 30.5, *facts)
    # What was cut off in between tells nothing of how long it takes.
    finished(engine, third.id, 9000, attempts=2)
    assert told() == Pace(second.name, 30.5, *facts)
    with read(engine) as session:
        assert latest_pace(settings, runs.listed(session), "/another/base") is None
    # Its settings are gone: the one before it tells.
    run_dir(settings, second).spec.unlink()
    assert told() == Pace(first.name, 60, *facts)
