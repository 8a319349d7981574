"""The review grid: baseline first, every row with every column, verdicts in their cells."""

from app.contract.events import CheckpointSaved, SampleDrawn
from app.contract.state import fold
from app.review.grid import build, sweep
from app.store.verdicts import Verdict, VerdictKey


def sample(step: int, prompt_index: int, strength: float = 1.0, seed: int = 42) -> SampleDrawn:
    path = f"samples/{step}/{prompt_index}-{strength}.png"
    return SampleDrawn(
        step=step, prompt_index=prompt_index, prompt=f"prompt {prompt_index}", seed=seed, strength=strength, path=path
    )


def test_columns_are_steps_and_gaps_stay_visible() -> None:
    state = fold(
        [
            sample(0, 0),
            sample(0, 1),
            CheckpointSaved(step=10, path="x", size_bytes=1, sha256="a"),
            sample(10, 0),
            CheckpointSaved(step=20, path="x", size_bytes=1, sha256="a"),
        ]
    )
    best = VerdictKey(7, 10, 0, 42, 100)
    grid = build(7, state, {best: Verdict("best", "clean lines")})
    assert [(column.label, column.is_baseline, column.has_checkpoint) for column in grid.columns] == [
        ("Baseline", True, False),
        ("Step 10", False, True),
        ("Step 20", False, True),
    ]
    assert [[cell.path is not None for cell in row.cells] for row in grid.rows] == [
        [True, True, False],
        [True, False, False],
    ]
    cell = grid.rows[0].cells[1]
    assert (cell.choice, cell.note) == ("best", "clean lines")
    assert [column.kept for column in grid.columns] == [0, 1, 0]


def test_a_sweep_has_a_column_a_strength() -> None:
    state = fold([sample(30, 0, 0.0), sample(30, 0, 0.8), sample(30, 0, 1.2)])
    grid = sweep(8, state, {VerdictKey(8, 30, 0, 42, 80): Verdict("reject", "")})
    assert [(column.label, column.is_baseline) for column in grid.columns] == [
        ("× 0", True),
        ("× 0.8", False),
        ("× 1.2", False),
    ]
    assert [cell.choice for cell in grid.rows[0].cells] == [None, "reject", None]
    assert grid.columns[1].rejected == 1


def test_nothing_drawn_is_an_empty_grid() -> None:
    assert build(1, fold([]), {}).rows == ()
