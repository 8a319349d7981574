"""Changes of the words of one caption: every other byte stays."""

import pytest

from app.label import wording
from app.label.rows import fold


def is_b(tag: str) -> bool:
    """Whether it is the tag b."""
    return fold(tag) == "b"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a ,b,  c\r\nb\n", "a,  c\r\n\n"),
        ("b", ""),
        (" b , a", " a"),
        ("a, b ||| b", "a ||| "),
        ("a;;;b, c", "a, c"),
        ("b;;;a, c", "a, c"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_a_tag_goes_with_its_separator(text: str, after: str) -> None:
    assert wording.remove(text, is_b) == after


def test_words_that_are_not_meant_stay_byte_for_byte() -> None:
    text = "  A fox sits here ,calm. , x,y \r\n\r\n{a|b} ||| c;;;d\\, e"
    for changed in (
        wording.remove(text, is_b),
        wording.rename(text, is_b, ["z"]),
        wording.merge(text, ["x", "missing"], "z"),
        wording.dedupe(text),
        wording.add(text, ["Y"], is_b),
        wording.move_to_front(text, is_b),
    ):
        assert changed == text


def test_a_tag_moves_to_the_front_of_each_line_that_has_it() -> None:
    assert wording.move_to_front("a, b\nc\nb, a", is_b) == "b, a\nc\nb, a"
    assert wording.move_to_front("a", is_b, "b") == "b, a"
