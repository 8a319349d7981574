"""Caption files: bytes to text, and whose they are."""

import pytest

from app.collect.sidecars import belongs, encoding_of, read_words, stem
from app.errors import Invalid

TEXTS = [
    ("utf-8", "café, 画像"),
    ("utf-8-sig", "sks, café"),
    ("utf-16", "sks, 猫 on a mat"),
    ("utf-16-le", "a black cat"),
    ("cp932", "1girl, 長い髪, 青い目"),
    ("cp932", "黒い猫が椅子に座っている、窓"),
    ("gb18030", "一只黑色的猫坐在椅子上，窗户"),
    ("gb18030", "1girl, 长头发, 蓝眼睛"),
    ("cp1252", "café crème, naïve"),
    ("cp1252", "“quote” – it’s"),
]


@pytest.mark.parametrize(("encoding", "text"), TEXTS)
def test_encodings_are_told_by_their_bytes(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    words = read_words(data, "a.txt")
    assert (words.text, words.raw, words.encoding, words.came_from) == (text, data, encoding, "a.txt")
    assert words.is_guess == (encoding in ("utf-16-le", "cp932", "gb18030", "cp1252"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n ",
        b" two\r\nlines ,\n",
        b"one\ntwo\nthree",
        b"a,b,c",
        b"1girl,,solo,",
        "a，b、c".encode(),
        rb"nero_\(fate\), nero_(fate/extra)",
        b":3, {a|b}, x ||| y, sky;;;cloud, [trigger]",
        ("tag, " * 1000).encode(),
        "שלום, 👩‍👩‍👧, <script>alert(1)</script>".encode(),
        b"\x81\x8d\x8f",
    ],
)
def test_bytes_are_kept_and_text_is_never_replaced(data: bytes) -> None:
    words = read_words(data, "a.txt")
    assert words.raw == data
    assert "\ufffd" not in words.text
    assert words.text.encode(words.encoding or "") == data


@pytest.mark.parametrize("data", [b"a\x00b", b"\x00\x01", b"\xff\xfe\x00", b"x" * 200_000])
def test_what_is_no_caption_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"a\.txt") as refusal:
        read_words(data, "a.txt")
    assert refusal.value.hint


def test_a_caption_shares_its_pictures_stem_whatever_the_case() -> None:
    assert stem("Cat.PNG") == stem("cat.txt")
    assert stem("cat.2.png") != stem("cat.png")


@pytest.mark.parametrize(
    ("caption", "picture", "is_its"),
    [
        ("a.png.txt", "a.png", True),
        ("a.txt", "a.png", True),
        ("A.caption", "a.jpg", True),
        ("a.png.txt", "a.jpg", False),
        ("a.b.txt", "a.b.png", True),
        ("a.txt", "a.b.png", False),
        ("猫.txt", "犬.png", False),
        ("e\u0301.txt", "\u00e9.png", True),
    ],
)
def test_whose_a_caption_is(caption: str, picture: str, is_its: bool) -> None:
    assert belongs(caption, picture) is is_its


def test_nothing_is_utf8() -> None:
    assert encoding_of(b"") == "utf-8"
