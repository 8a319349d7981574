"""Training text: tags, trigger word, and the variants of an epoch."""

from random import Random

import pytest

from app.contract.captions import compose, has_trigger, tags, vary


def test_tags_are_trimmed_and_never_empty() -> None:
    assert tags(" a cat ,, on grass\n猫 ,\r\n") == ("a cat", "on grass", "猫")
    assert tags(" , \n ") == ()


@pytest.mark.parametrize(
    ("caption", "word", "is_there"),
    [
        ("a PEBBLO in snow", "pebblo", True),
        ("pebblo's hat", "pebblo", True),
        ("pebblos", "pebblo", False),
        ("repebblo", "pebblo", False),
        ("c++ code", "c++", True),
        ("anything", "", False),
        ("straße", "STRASSE", False),
        ("un été, chaud", "été", True),
    ],
)
def test_the_trigger_word_is_a_word_of_its_own(caption: str, word: str, is_there: bool) -> None:
    assert has_trigger(caption, word) is is_there


@pytest.mark.parametrize(
    ("caption", "word", "text"),
    [
        ("a cat, on grass", "pebblo", "pebblo, a cat, on grass"),
        ("a Pebblo cat", "pebblo", "a Pebblo cat"),
        ("", "pebblo", "pebblo"),
        (" ,\n", "", ""),
        ("a cat.\nIt sleeps.", "", "a cat., It sleeps."),
    ],
)
def test_the_trigger_word_leads_once(caption: str, word: str, text: str) -> None:
    assert compose(caption, word) == text
    assert compose(text, word) == text


def test_a_shuffle_keeps_the_first_tags_and_every_tag() -> None:
    text = "pebblo, a, b, c, d, e"
    variants = {vary(text, Random(seed), shuffles=True, keep=2, dropout=0) for seed in range(50)}
    assert len(variants) > 10
    for variant in variants:
        assert tags(variant)[:2] == ("pebblo", "a")
        assert sorted(tags(variant)) == sorted(tags(text))
    again = [vary(text, Random(7), shuffles=True, keep=2, dropout=0) for _ in range(2)]
    assert again[0] == again[1]


def test_dropout_drops_whole_texts_at_its_rate() -> None:
    random = Random(1)
    dropped = sum(vary("a", random, shuffles=False, keep=0, dropout=0.25) == "" for _ in range(4000))
    assert 900 < dropped < 1100
    assert vary("a", random, shuffles=False, keep=0, dropout=1) == ""
    assert vary("a", random, shuffles=False, keep=0, dropout=0) == "a"
