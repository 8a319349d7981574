"""Bulk edits of many images, done in the background: how far each is, and a way to stop it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

from app.errors import AppError

Progress = Callable[[int, int], None]
Work = Callable[[Progress], str]


class Cancelled(Exception):
    """Somebody asked to stop; raised inside the work, before anything is written or between two parts."""


@dataclass(frozen=True)
class Job:
    """A bulk edit under way or just over; `said` is what it did or why it did not."""

    title: str
    done: int = 0
    total: int = 0
    is_over: bool = False
    is_cancelled: bool = False
    has_failed: bool = False
    said: str = ""


class BulkJobs:
    """At most one bulk edit a project in the background."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bulk")
        self._lock = Lock()
        self._jobs: dict[int, Job] = {}
        self._futures: dict[int, Future[None]] = {}

    def start(self, project_id: int, title: str, total: int, work: Work) -> bool:
        """Begin, unless one is under way already; whether it was begun."""
        with self._lock:
            if (job := self._jobs.get(project_id)) and not job.is_over:
                return False
            self._jobs[project_id] = Job(title, 0, total)
            self._futures[project_id] = self._pool.submit(self._run, project_id, work)
            return True

    def job(self, project_id: int) -> Job | None:
        """The one under way or the last one."""
        return self._jobs.get(project_id)

    def cancel(self, project_id: int) -> None:
        """Ask it to stop; what it has written already stays, and it says how much that is."""
        self._change(project_id, is_cancelled=True)

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(wait=True)

    def _run(self, project_id: int, work: Work) -> None:
        def progress(done: int, total: int) -> None:
            if self._jobs[project_id].is_cancelled:
                raise Cancelled
            self._change(project_id, done=done, total=total)

        try:
            said = work(progress)
        except Cancelled:
            self._change(project_id, is_over=True, said="Stopped; nothing was changed.")
        except AppError as error:
            self._change(project_id, is_over=True, has_failed=True, said=f"{error.message} {error.hint}")
        except BaseException:
            self._change(project_id, is_over=True, has_failed=True, said="It failed; nothing was changed.")
            raise
        else:
            total = self._jobs[project_id].total
            self._change(project_id, is_over=True, done=total, said=said)

    def _change(self, project_id: int, **values: object) -> None:
        with self._lock:
            if (job := self._jobs.get(project_id)) and not job.is_over:
                self._jobs[project_id] = replace(job, **values)  # type: ignore[arg-type]  # fields of Job by name
