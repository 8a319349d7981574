"""How far an import has come, as pages and the command line tell it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from app.collect.dropped import Outcome
from app.collect.outcomes import KNOWN_QUESTION_CODE
from app.store import imports
from app.store.db import read
from app.store.imports import Tally, Wanted

TOLD = 20


@dataclass(frozen=True)
class Stage:
    """What an import does that the number of its files does not tell, in words, and how far that is, if it counts."""

    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class ImportProgress:
    """How far an import has come; `refused` holds the first few, the report all of them.

    An image that was here before is `known`, also while it is asked which caption it is to have.
    """

    id: int
    total: int
    done: int = 0
    added: int = 0
    known: int = 0
    questions: int = 0
    refused_count: int = 0
    refused: tuple[Outcome, ...] = ()
    is_over: bool = False
    was_cancelled: bool = False
    has_failed: bool = False
    stage: Stage | None = None


def progress_of(engine: Engine, import_id: int) -> ImportProgress:
    """Read how far an import has come. Raises NotFound."""
    with read(engine) as session:
        row = imports.get(session, import_id)
        tallies = imports.tallies(session, import_id)
        told = imports.items(session, import_id, Wanted("refused", limit=TOLD))
    questions = _count(tallies, "question")
    of_known = sum(each.count for each in tallies if each.code == KNOWN_QUESTION_CODE)
    return ImportProgress(
        id=row.id,
        total=row.total,
        done=row.done,
        added=_count(tallies, "added") + questions - of_known,
        known=_count(tallies, "known") + of_known,
        questions=questions,
        refused_count=_count(tallies, "refused"),
        refused=tuple(Outcome(each.name, "refused", f"{each.message} {each.hint}".strip()) for each in told),
        is_over=row.status != "running",
        was_cancelled=row.status == "cancelled",
        has_failed=row.status == "failed",
    )


def retry_stage(reached: ImportProgress, files: int) -> Stage:
    """How many of the files that are tried again are done with; those that are not are missing from `done`."""
    rows = reached.added + reached.known + reached.refused_count
    tried = max(0, min(files, reached.done - (rows - files)))
    return Stage(f"Trying again, {tried:,} of {files:,}", tried, files)


def _count(tallies: Sequence[Tally], outcome: str) -> int:
    return sum(each.count for each in tallies if each.outcome == outcome)
