"""One tag through many images: in which order they are asked about."""

from app.label.one_tag import Limits, in_doubt_first
from app.label.suggestions import Seen


def seen(image_id: int, confidence: float, category: str = "general", model: str = "wd") -> Seen:
    """What a model said of a hat."""
    return Seen(image_id, image_id, "tag", "hat", category, confidence, model)


def test_the_doubtful_come_first_then_the_unknown_then_the_sure() -> None:
    scores = {
        1: [seen(1, 0.97)],
        2: [seen(2, 0.5)],
        3: [seen(3, 0.36)],
        5: [seen(5, 0.02, "doubt")],
        6: [seen(6, 0.95)],
    }
    # The caption of 6 lacks what the model is sure of, that of 5 has what it does not see.
    asked = in_doubt_first([1, 2, 3, 4, 5, 6], {1, 2, 3, 4, 5}, scores, {"wd": Limits(0.35, 0.85)})
    assert [each.id for each in asked] == [3, 2, 5, 6, 4, 1]
    assert [each.confidence for each in asked] == [0.36, 0.5, 0.02, 0.95, None, 0.97]


def test_each_model_and_kind_of_tag_has_its_own_threshold() -> None:
    scores = {1: [seen(1, 0.6, "character")], 2: [seen(2, 0.6, model="other"), seen(2, 0.99)]}
    asked = in_doubt_first([1, 2], {2}, scores, {"wd": Limits(0.1, 0.85), "other": Limits(0.59, 0.9)})
    assert [(each.id, each.confidence) for each in asked] == [(2, 0.6), (1, 0.6)]
    assert in_doubt_first([], set(), scores, {}) == []
