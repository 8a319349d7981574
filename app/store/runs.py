"""The queue: which run waits, which worker has which, and how each ended. Facts of a run stand in its folder."""

from collections.abc import Set as AbstractSet

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.contract.events import Outcome
from app.contract.spec import RunKind
from app.errors import Conflict, NotFound
from app.store.models import Run, now_us


class Lost(Conflict):
    """The run is no longer this worker's: another has taken it over, or it has ended."""

    title = "Taken over"


def create(
    session: Session,
    project_id: int,
    kind: RunKind,
    name: str,
    dir: str,
    parent_id: int | None = None,
    history_id: int = 0,
) -> Run:
    """Queue a run whose folder is ready."""
    run = Run(
        project_id=project_id,
        kind=kind,
        name=name,
        dir=dir,
        status="queued",
        attempt=0,
        worker=None,
        created_us=now_us(),
        reason="",
        history_id=history_id,
        parent_id=parent_id,
    )
    session.add(run)
    session.flush()
    return run


def get(session: Session, run_id: int) -> Run:
    """Find a run. Raises NotFound."""
    if run := session.get(Run, run_id):
        return run
    raise NotFound(f"There is no run {run_id}.", "See Runs for those that exist.")


def by_dir(session: Session, name: str) -> Run:
    """Find a run by the name of its folder. Raises NotFound."""
    if run := session.scalar(select(Run).where(Run.dir == name)):
        return run
    raise NotFound(f"There is no run in a folder {name}.", "See Runs for those that exist.")


def listed(session: Session, project_id: int | None = None) -> list[Run]:
    """Runs of a project, or all, the newest first."""
    query = select(Run).order_by(Run.id.desc())
    return list(session.scalars(query if project_id is None else query.where(Run.project_id == project_id)))


def next_number(session: Session) -> int:
    """The number for the next run's folder name."""
    return (session.scalar(select(func.max(Run.id))) or 0) + 1


def has_queued(session: Session) -> bool:
    """Whether a run waits; needs no write, so that an idle worker disturbs nobody."""
    return session.scalar(select(Run.id).where(Run.status == "queued").limit(1)) is not None


def claim(session: Session, worker: str) -> Run | None:
    """Take the run that has waited longest, or None; no two workers ever get the same."""
    oldest = select(Run.id).where(Run.status == "queued").order_by(Run.id).limit(1)
    taking = (
        update(Run)
        .where(Run.id == oldest.with_for_update(skip_locked=True).scalar_subquery(), Run.status == "queued")
        .values(status="running", worker=worker, attempt=Run.attempt + 1, claimed_us=now_us(), reason="")
        .returning(Run)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(taking)


def requeue(session: Session, run_id: int, worker: str, reason: str = "") -> None:
    """Give a run back to the queue. Raises Lost when it is not this worker's any more."""
    _leave(session, run_id, worker, status="queued", worker_after=None, reason=reason)


def end(session: Session, run_id: int, worker: str, outcome: Outcome, reason: str) -> None:
    """Mark a run as over. Raises Lost when it is not this worker's any more."""
    _leave(session, run_id, worker, status=outcome, worker_after=worker, reason=reason)


def reopen(session: Session, run_id: int) -> None:
    """Put a run that has ended back into the queue. Raises NotFound, and Conflict for one that has not ended."""
    run = get(session, run_id)
    if run.status in ("queued", "running"):
        raise Conflict(f"{run.name} is {run.status} already.", "Wait for it, or stop it.")
    run.status, run.worker, run.reason, run.ended_us = "queued", None, "", None
    session.flush()


def _leave(session: Session, run_id: int, worker: str, *, status: str, worker_after: str | None, reason: str) -> None:
    ended_us = None if status == "queued" else now_us()
    left = session.scalar(
        update(Run)
        .where(Run.id == run_id, Run.worker == worker, Run.status == "running")
        .values(status=status, worker=worker_after, reason=reason, ended_us=ended_us)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )
    if left is None:
        raise Lost(f"Run {run_id} is no longer worked on by {worker}.", "Another worker has taken it over.")


def orphans(session: Session, live_workers: AbstractSet[str]) -> list[Run]:
    """The running runs whose worker is gone, oldest first."""
    running = session.scalars(select(Run).where(Run.status == "running").order_by(Run.id))
    return [run for run in running if run.worker not in live_workers]
