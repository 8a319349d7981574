"""The queue: oldest first, one owner, fenced, orphans found."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from app.config import Settings
from app.errors import NotFound
from app.store import runs, verdicts
from app.store.db import read, write
from app.store.runs import Lost
from app.store.verdicts import Verdict, VerdictKey
from app.store.workers import live_workers, worker_lock


def queue(engine: Engine, project_id: int, count: int) -> list[int]:
    """Queue so many runs."""
    with write(engine) as session:
        return [
            runs.create(session, project_id, "train", f"run {n}", f"{runs.next_number(session):04d}-run").id
            for n in range(count)
        ]


def test_claims_take_the_oldest_and_count_attempts(engine: Engine, project_id: int) -> None:
    first, second = queue(engine, project_id, 2)
    with write(engine) as session:
        run = runs.claim(session, "one")
        assert run is not None
        assert (run.id, run.status, run.worker, run.attempt) == (first, "running", "one", 1)
        assert run.claimed_us is not None
    with write(engine) as session:
        runs.requeue(session, first, "one", "the worker was closed")
    with write(engine) as session:
        again = runs.claim(session, "two")
        other = runs.claim(session, "two")
        assert again is not None
        assert other is not None
        assert (again.id, again.attempt, other.id) == (first, 2, second)
        assert runs.claim(session, "two") is None
        assert not runs.has_queued(session)


def test_only_the_owner_may_end_or_requeue(engine: Engine, project_id: int) -> None:
    (run_id,) = queue(engine, project_id, 1)
    with pytest.raises(Lost), write(engine) as session:
        runs.end(session, run_id, "one", "completed", "")
    with write(engine) as session:
        runs.claim(session, "one")
    for refused in (
        lambda session: runs.end(session, run_id, "two", "failed", ""),
        lambda session: runs.requeue(session, run_id, "two"),
    ):
        with pytest.raises(Lost), write(engine) as session:
            refused(session)
    with write(engine) as session:
        runs.end(session, run_id, "one", "completed", "")
    with pytest.raises(Lost), write(engine) as session:
        runs.requeue(session, run_id, "one")
    with read(engine) as session:
        run = runs.get(session, run_id)
        assert (run.status, run.worker) == ("completed", "one")
        assert run.ended_us is not None


def test_orphans_are_the_running_runs_of_dead_workers(engine: Engine, project_id: int, settings: Settings) -> None:
    queue(engine, project_id, 3)
    with worker_lock(settings.data, "alive"), worker_lock(settings.data, "dead"):
        pass
    assert live_workers(settings.data) == set()
    with worker_lock(settings.data, "alive"), write(engine) as session:
        mine, orphan = runs.claim(session, "alive"), runs.claim(session, "dead")
        assert mine is not None
        assert orphan is not None
        assert live_workers(settings.data) == {"alive"}
        assert [run.id for run in runs.orphans(session, live_workers(settings.data))] == [orphan.id]


def test_a_folder_without_workers_has_no_live_ones(settings: Settings) -> None:
    assert live_workers(settings.data) == set()


def test_found_by_number_and_by_folder(engine: Engine, project_id: int) -> None:
    (run_id,) = queue(engine, project_id, 1)
    with read(engine) as session:
        assert runs.by_dir(session, "0001-run").id == runs.get(session, run_id).id
        assert runs.next_number(session) == run_id + 1
        assert [run.id for run in runs.listed(session)] == [run_id]
        assert runs.listed(session, project_id + 1) == []
        with pytest.raises(NotFound):
            runs.get(session, 99)
        with pytest.raises(NotFound):
            runs.by_dir(session, "0099-run")


def test_verdicts_are_set_changed_and_taken_back(engine: Engine, project_id: int) -> None:
    (run_id,) = queue(engine, project_id, 1)
    key, other = VerdictKey(run_id, 500, 1, 2**32 - 1, 100), VerdictKey(run_id, 500, 2, 42, -60)
    with write(engine) as session:
        verdicts.put(session, key, "keep", "")
        verdicts.put(session, other, "reject", "blurred")
        verdicts.put(session, key, "best", "sharp")
    with read(engine) as session:
        assert verdicts.for_runs(session, [run_id]) == {
            key: Verdict("best", "sharp"),
            other: Verdict("reject", "blurred"),
        }
        assert verdicts.for_runs(session, []) == {}
    with write(engine) as session:
        verdicts.put(session, key, None)
        verdicts.put(session, key, None)
    with read(engine) as session:
        assert verdicts.for_runs(session, [run_id]) == {other: Verdict("reject", "blurred")}
    with pytest.raises(IntegrityError), write(engine) as session:
        verdicts.put(session, VerdictKey(99, 0, 0, 0, 100), "keep")
