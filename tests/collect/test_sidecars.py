"""Caption files: bytes to text, and whose they are."""

from pathlib import Path

import pytest

from app.collect.sidecars import caption_beside, read_caption, stem
from app.errors import Invalid


@pytest.mark.parametrize(
    "data",
    ["café, 画像".encode(), "café, 画像".encode("utf-8-sig"), "café, 画像".encode("utf-16")],
    ids=["utf-8", "bom", "utf-16"],
)
def test_encodings_are_told_by_their_bytes(data: bytes) -> None:
    assert read_caption(data, "a.txt") == "café, 画像"


def test_windows_text_is_read() -> None:
    assert read_caption("café".encode("cp1252"), "a.txt") == "café"


def test_text_is_kept_as_it_is() -> None:
    assert read_caption(b" two\r\nlines ,\n", "a.txt") == " two\r\nlines ,\n"


@pytest.mark.parametrize("data", [b"a\x00b", b"x" * 200_000], ids=["nul", "long"])
def test_what_is_no_caption_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"a\.txt"):
        read_caption(data, "a.txt")


def test_stems_ignore_case() -> None:
    assert stem("IMG.JPG") == stem("img.txt")


def test_the_caption_beside(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert caption_beside(tmp_path / "a.png") is None
    (tmp_path / "a.txt").touch()
    assert caption_beside(tmp_path / "a.png") == tmp_path / "a.txt"
