"""The words that leave, and what each trainer makes of them."""

import pytest

from app.export.layout import Options, Reading
from app.export.words import (
    ai_toolkit_reads,
    kohya_reads,
    lead,
    leaving,
    onetrainer_reads,
    whole_file_reads,
)
from tests.export.parts import item_of

TRIGGER = Options(trigger_word="rdfx")


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"a, b\r\n", "utf-8"),
        (b"\xef\xbb\xbfa, b", "utf-8-sig"),
        ("café".encode("cp1252"), "cp1252"),
        ("猫, 犬".encode("cp932"), "cp932"),
        ("a\nb".encode("utf-16"), "utf-16"),
        (b"", "utf-8"),
        (b" \n\n", "utf-8"),
    ],
)
def test_untouched_bytes_leave_as_they_came(raw: bytes, encoding: str) -> None:
    kept = item_of(caption=raw.decode(encoding), raw=raw, encoding=encoding)
    assert leaving(kept, TRIGGER) == raw
    edited = item_of(caption=raw.decode(encoding) + " edited", raw=raw, encoding=encoding)
    assert leaving(edited, TRIGGER) == edited.row.caption.encode()  # type: ignore[union-attr]


def test_words_on_request() -> None:
    odd = item_of(caption="\ufeffcafé\r\nb", raw="\ufeffcafé\r\nb".encode(), encoding="utf-8")
    assert leaving(odd, Options(as_utf8=True)) == "café\nb".encode()
    assert leaving(item_of(caption="a cat"), Options(trigger_word="rdfx", leads_with_trigger=True)) == b"rdfx, a cat"
    assert lead("RDFX, a cat\n\nat night", "rdfx") == "RDFX, a cat\n\nrdfx, at night"
    assert lead(" ", "rdfx") == "rdfx"
    assert leaving(item_of(caption=None), TRIGGER) is None
    assert leaving(item_of(caption=""), TRIGGER) == b""


def test_kohya_reads_one_line_and_dies_of_two_things() -> None:
    assert kohya_reads(None, TRIGGER) == Reading(("rdfx",))
    assert kohya_reads(b"", TRIGGER).is_fatal
    assert kohya_reads("é".encode("cp1252"), TRIGGER).is_fatal
    assert kohya_reads(b" a, b \r\nsecond", TRIGGER) == Reading(("a, b",), "Only the first line is read.")
    assert kohya_reads(b"\nsecond", TRIGGER).texts == ("",)
    lines = Options(reads_all_lines=True)
    assert kohya_reads(b"a\r\n\r\nb {{x}}", lines).texts == ("a", "b {x}")
    assert "byte order mark" in kohya_reads(b"\xef\xbb\xbfa", TRIGGER).problem
    assert kohya_reads(b"{a|b}", TRIGGER) == Reading(("{a|b}",))


def test_the_other_readers() -> None:
    assert onetrainer_reads(b"a, b\n\n c\n", TRIGGER).texts == ("a, b", "c")
    assert onetrainer_reads(b"\xff", TRIGGER).is_fatal
    assert ai_toolkit_reads(b"a, b\nc", TRIGGER).texts == ("rdfx a,  b\nc",)
    assert ai_toolkit_reads(b"[trigger] on a chair", TRIGGER).texts == ("rdfx on a chair",)
    assert ai_toolkit_reads(None, TRIGGER).texts == ("rdfx",)
    assert whole_file_reads(b"a\nb", TRIGGER) == Reading(("a\nb",))
    assert whole_file_reads(None, TRIGGER).problem
