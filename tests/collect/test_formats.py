"""Formats: what is told by a name, and what is said of files that people take for pictures."""

import pytest

from app.collect.formats import has_lying_name, is_picture, left_out


@pytest.mark.parametrize(
    ("name", "words"), [("a.MP4", "film"), ("a.cr2", "camera raw"), ("drawing.psd", "drawing"), ("a.svg", "drawing")]
)
def test_what_is_left_out_is_named_with_a_way_out(name: str, words: str) -> None:
    refusal = left_out(name)
    assert refusal is not None
    assert (refusal.code, words in refusal.words, "then add th" in refusal.hint) == ("F03", True, True)


def test_what_has_nothing_to_do_with_pictures_is_passed_over() -> None:
    assert [left_out(name) for name in ("a.txt", "a.png", "Thumbs.db", "a")] == [None] * 4


def test_names_and_their_formats() -> None:
    assert [is_picture(name) for name in ("a.PNG", "a.jfif", "a.b.avif", "a.txt", "png")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert (has_lying_name("a.jpg", "PNG"), has_lying_name("a.jpg", "MPO"), has_lying_name("a", "PNG")) == (
        True,
        False,
        False,
    )
