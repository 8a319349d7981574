"""Comparisons in filters."""

import pytest

from app.label.numbers import read_range


@pytest.mark.parametrize(
    ("text", "number", "holds"),
    [
        (">5", 5, False),
        (">5", 6, True),
        (">=5", 5, True),
        ("<5", 5, False),
        ("<=5", 5, True),
        ("5", 5, True),
        ("==5", 4, False),
        ("!=5", 4, True),
        ("1..3", 3, True),
        ("1..3", 4, False),
        ("3:2", 1.5, True),
        ("1.33", 4 / 3, True),
        (" < 0.5", 0.4, True),
        ("3:0", 1, False),
    ],
)
def test_what_a_comparison_holds(text: str, number: float, holds: bool) -> None:
    found = read_range(text)
    assert found is not None
    assert found.holds(number) is holds


@pytest.mark.parametrize("text", ["", "five", ">", "1..", "1.2.3", "--1", "1e9", "5 px"])
def test_what_is_no_comparison(text: str) -> None:
    assert read_range(text) is None


def test_per_cent_is_told_apart() -> None:
    found = read_range(">85%")
    assert found is not None
    assert (found.least, found.is_percent) == (85.0, True)
