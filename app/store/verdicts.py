"""Verdicts: what a person said of each sample."""

from collections.abc import Collection
from dataclasses import astuple, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.models import Choice, VerdictRow, now_us

MAX_NOTE = 2000


@dataclass(frozen=True)
class VerdictKey:
    """Names one sample: which run, at which step, which prompt with which seed, at which strength in percent."""

    run_id: int
    step: int
    prompt_index: int
    seed: int
    strength_pct: int


@dataclass(frozen=True)
class Verdict:
    """A choice and its reason."""

    choice: Choice
    note: str


def put(session: Session, key: VerdictKey, choice: Choice | None, note: str = "") -> None:
    """Set the verdict on a sample; None takes it back. Raises sqlalchemy's IntegrityError for a run that is not."""
    row = session.get(VerdictRow, astuple(key))
    if choice is None:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(VerdictRow(**vars(key), choice=choice, note=note[:MAX_NOTE], at_us=now_us()))
    else:
        row.choice, row.note, row.at_us = choice, note[:MAX_NOTE], now_us()
    session.flush()


def for_runs(session: Session, run_ids: Collection[int]) -> dict[VerdictKey, Verdict]:
    """All verdicts on the samples of these runs."""
    rows = session.scalars(select(VerdictRow).where(VerdictRow.run_id.in_(run_ids)))
    return {
        VerdictKey(row.run_id, row.step, row.prompt_index, row.seed, row.strength_pct): Verdict(row.choice, row.note)
        for row in rows
    }
