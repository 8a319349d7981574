"""The words of other trainers: each stands for one of ours that there is."""

from collections.abc import Mapping
from typing import get_args

import pytest

from app.contract.spec import Loss, Optimizer, Precision, Schedule, Storage, Weighting
from app.launch.settings_rules import LOSSES, OPTIMIZERS, PRECISIONS, SCHEDULES, STORAGES, WEIGHTINGS, is_on, side


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (OPTIMIZERS, Optimizer),
        (SCHEDULES, Schedule),
        (LOSSES, Loss),
        (PRECISIONS, Precision),
        (STORAGES, Storage),
        (WEIGHTINGS, Weighting),
    ],
)
def test_every_word_stands_for_one_of_ours(words: Mapping[str, str], ours: object) -> None:
    assert set(words.values()) <= set(get_args(ours))
    assert all(word == word.lower() for word in words)


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (768, "768"),
        ("1024", "1024"),
        ("512,768", "624"),
        ("512x512", "512"),
        ([512, 768, 1024], "1024"),
        ("515", "512"),
    ],
)
def test_a_resolution_becomes_the_side_of_a_square(theirs: object, expected: str) -> None:
    assert side(theirs) == {"data.resolution_px": expected}


def test_yes_has_many_words() -> None:
    assert all(is_on(word) for word in (True, "true", "ON", 1, "CPU_OFFLOADED"))
    assert not any(is_on(word) for word in (False, "off", "OFF", 0, "none"))
