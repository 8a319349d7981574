"""Names that leave: portable, unique, and still one's own."""

import re

from hypothesis import given
from hypothesis import strategies as st

from app.export.names import folder_word, safe_stem, unique_stems

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=120)


def test_what_becomes_of_names() -> None:
    assert safe_stem("Red Fox (2).PNG") == "red-fox-2"
    assert safe_stem("a.b.png") == "a-b"
    assert safe_stem("img_1_2_3_4.png") == "img-1-2-3-4"
    assert safe_stem("Ünïcode é.jpg") == "unicode-e"
    assert safe_stem("CON.png") == "con-image"
    assert safe_stem("x-masklabel.png") == "x-masklabel-image"
    assert safe_stem("猫.png") == safe_stem("🐱.png") == "image"
    assert unique_stems(["猫.png", "犬.png", "IMAGE.jpg", "image-2.png"]) == [
        "image",
        "image-2",
        "image-3",
        "image-2-2",
    ]
    assert unique_stems(["é.png", "é.png", "a.png", "A.jpg"]) == ["e", "e-2", "a", "a-2"]
    assert folder_word("猫") == "images"
    assert folder_word("rd_fx") == "rd-fx"


@given(st.lists(NAMES, max_size=12))
def test_any_names_are_portable_and_apart(names: list[str]) -> None:
    stems = unique_stems(names)
    assert len(set(stems)) == len(names)
    for stem in stems:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", stem)
        assert len(stem) < 100
        assert not stem.endswith(("-masklabel", "-condlabel"))
