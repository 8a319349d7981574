"""Formats: what is told by a name, and what is said of files that people take for pictures."""

import pytest

from app.collect.formats import (
    HEAD_BYTES,
    begins_like_picture,
    endless,
    has_lying_name,
    is_picture,
    left_out,
    unidentified,
)
from tests.collect.fixtures import encoded, noise


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.MP4", "video"),
        ("a.webm", "video"),
        ("a.mov", "video"),
        ("a.cr2", "camera raw"),
        ("drawing.psd", "drawing"),
        ("a.svg", "drawing"),
    ],
)
def test_what_is_left_out_is_named_with_a_way_out(name: str, words: str) -> None:
    refusal = left_out(name)
    assert refusal is not None
    assert (refusal.code, words in refusal.words, "then add th" in refusal.hint) == ("F03", True, True)


def test_what_has_nothing_to_do_with_pictures_is_passed_over() -> None:
    assert [left_out(name) for name in ("a.txt", "a.png", "Thumbs.db", "a")] == [None] * 4
    assert [endless(name) for name in ("a.txt", "a.png", "Thumbs.db", "LICENSE")] == [None] * 4


def test_pictures_are_known_by_how_they_begin() -> None:
    for container in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        assert begins_like_picture(encoded(noise(1), container)[:HEAD_BYTES]), container
    assert not any(map(begins_like_picture, (b"", b"BMW is a car", b"RIFF....AVI LIST", b"....ftypisom")))


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


MP4, WEBM, AVI = b"\0\0\0\x18ftypmp42\0\0\0\0", b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", b"RIFF\0\0\0\0AVI LIST"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.mp4", MP4),
        ("a.mov", b"\0\0\0\x14ftypqt  "),
        ("a.webm", WEBM),
        ("a.avi", AVI),
        ("a.png", MP4),
        ("a.mp4", b""),
    ],
)
def test_a_video_says_that_it_is_left_out_and_the_way_out(name: str, data: bytes) -> None:
    refusal = unidentified(name, data + bytes(100))
    assert (refusal.code, refusal.message) == ("F03", f"{name} is a video file, which is not taken in.")
    assert "as PNG" in refusal.hint
    assert "animated WebP" in refusal.hint


def test_a_damaged_still_is_no_video() -> None:
    refusal = unidentified("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0" + bytes(100))
    assert (refusal.code, "damaged HEIC or AVIF" in refusal.message) == ("F01", True)
    # What people take for a picture and none is keeps its own way out, also where it was named by hand.
    assert unidentified("a.cr2", b"II*\0").hint == left_out("a.cr2").hint  # type: ignore[union-attr] - it is one
