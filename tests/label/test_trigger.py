"""The trigger word: suggestions no model knows, doubts about ordinary words, refusals."""

import pytest

from app.errors import Invalid
from app.label.trigger import ORDINARY_WORDS, doubt_trigger, read_trigger, suggest_trigger


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Red fox", "rdfx"),
        ("Ink cats", "inkcts"),
        ("Élodie", "eld"),
        ("Cat", "ctqx"),
        ("A", "aqx"),
        ("猫", ""),
        ("", ""),
    ],
)
def test_a_suggestion_is_made_of_the_names_letters(name: str, word: str) -> None:
    assert suggest_trigger(name) == word


def test_no_suggestion_is_an_ordinary_word() -> None:
    assert not {suggest_trigger(name) for name in ORDINARY_WORDS} & ORDINARY_WORDS


@pytest.mark.parametrize("word", ["cat", "CAT", "red cat"])
def test_ordinary_words_are_doubted(word: str) -> None:
    assert word in doubt_trigger(word)


@pytest.mark.parametrize("word", ["", "pebblo", "pebblo cat"])
def test_made_up_words_are_not(word: str) -> None:
    assert doubt_trigger(word) == ""


def test_a_trigger_word_is_kept_without_the_space_around_it() -> None:
    assert read_trigger("  two \n words ") == "two words"


@pytest.mark.parametrize("text", ["a,b", "w" * 41])
def test_a_word_that_cannot_work_is_refused_beside_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_trigger(text)
    assert refusal.value.field == "trigger_word"
    assert refusal.value.hint
