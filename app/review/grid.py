"""The review grid: prompts down, checkpoints across, the baseline first; pure data from a run's state and verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.contract.events import SampleDrawn
from app.contract.state import RunState
from app.store.verdicts import Verdict, VerdictKey

FULL_STRENGTH_PCT = 100


@dataclass(frozen=True)
class Column:
    """One checkpoint, or one strength of a sweep."""

    run_id: int
    step: int
    strength_pct: int
    label: str
    is_baseline: bool
    has_checkpoint: bool
    kept: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Cell:
    """One sample, or the place where it is missing (`path` None)."""

    run_id: int
    step: int
    prompt_index: int
    seed: int
    strength_pct: int
    prompt: str
    path: str | None
    choice: str | None
    note: str
    is_baseline: bool


@dataclass(frozen=True)
class Row:
    """One prompt with its seed across all columns."""

    prompt_index: int
    prompt: str
    seed: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """Columns and rows; every row has a cell for every column."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def build(run_id: int, state: RunState, verdicts: Mapping[VerdictKey, Verdict]) -> Grid:
    """Return the grid of a training run: step 0 is the baseline, then every step that drew samples."""
    saved = {checkpoint.step for checkpoint in state.checkpoints}
    steps = sorted({sample.step for sample in state.samples} | saved)
    columns = tuple(
        Column(
            run_id=run_id,
            step=step,
            strength_pct=FULL_STRENGTH_PCT,
            label="Baseline" if step == 0 else f"Step {step:,}",
            is_baseline=step == 0,
            has_checkpoint=step in saved,
        )
        for step in steps
    )
    return _grid(run_id, state, columns, verdicts)


def sweep(run_id: int, state: RunState, verdicts: Mapping[VerdictKey, Verdict]) -> Grid:
    """Return the grid of a render run: one column a strength, 0 being the base model alone."""
    drawn = sorted({(round(sample.strength * 100), sample.step) for sample in state.samples})
    columns = tuple(
        Column(
            run_id=run_id,
            step=step,
            strength_pct=percent,
            label=f"× {percent / 100:g}",
            is_baseline=percent == 0,
            has_checkpoint=False,
        )
        for percent, step in drawn
    )
    return _grid(run_id, state, columns, verdicts)


def _grid(run_id: int, state: RunState, columns: tuple[Column, ...], verdicts: Mapping[VerdictKey, Verdict]) -> Grid:
    found = {_key(run_id, sample): sample for sample in state.samples}
    prompts = sorted({(sample.prompt_index, sample.seed) for sample in state.samples})
    texts = {(sample.prompt_index, sample.seed): sample.prompt for sample in state.samples}
    rows = tuple(
        Row(
            prompt_index=index,
            prompt=texts[index, seed],
            seed=seed,
            cells=tuple(
                _cell(
                    VerdictKey(run_id, column.step, index, seed, column.strength_pct),
                    column,
                    texts[index, seed],
                    found,
                    verdicts,
                )
                for column in columns
            ),
        )
        for index, seed in prompts
    )
    return Grid(tuple(_counted(column, place, rows) for place, column in enumerate(columns)), rows)


def _key(run_id: int, sample: SampleDrawn) -> VerdictKey:
    return VerdictKey(run_id, sample.step, sample.prompt_index, sample.seed, round(sample.strength * 100))


def _cell(
    key: VerdictKey,
    column: Column,
    prompt: str,
    found: Mapping[VerdictKey, SampleDrawn],
    verdicts: Mapping[VerdictKey, Verdict],
) -> Cell:
    sample = found.get(key)
    verdict = verdicts.get(key)
    return Cell(
        run_id=key.run_id,
        step=key.step,
        prompt_index=key.prompt_index,
        seed=key.seed,
        strength_pct=key.strength_pct,
        prompt=prompt,
        path=sample.path if sample else None,
        choice=verdict.choice if verdict else None,
        note=verdict.note if verdict else "",
        is_baseline=column.is_baseline,
    )


def _counted(column: Column, place: int, rows: tuple[Row, ...]) -> Column:
    choices = [row.cells[place].choice for row in rows]
    return replace(
        column,
        kept=sum(choice in ("keep", "best") for choice in choices),
        rejected=choices.count("reject"),
    )
