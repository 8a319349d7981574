"""Which images to hold out: how many, like the rest, and no copies on both sides."""

from collections import Counter
from dataclasses import replace

import pytest

from app.collect.held_out import Choosable, propose, wanted_count


def crowd(count: int) -> list[Choosable]:
    """Images of two shapes and three places."""
    return [
        Choosable(
            image_id=number,
            sha256=f"{number:064d}",
            group=f"{number}",
            bucket="512x512" if number % 3 else "448x576",
            tags=frozenset({"cat", ("park", "sea", "town")[number % 3 if number % 2 else 0]}),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("images", "count"), [(0, 0), (11, 0), (12, 2), (20, 2), (30, 4), (100, 12), (134, 16), (20_000, 16)]
)
def test_how_many(images: int, count: int) -> None:
    assert wanted_count(images) == count


def test_too_few_images_are_told_in_words() -> None:
    proposal = propose(crowd(9))
    assert proposal.image_ids == ()
    assert "Add 3 more" in proposal.reason


def test_equal_seeds_choose_equally_and_others_do_not() -> None:
    images = crowd(60)
    first = propose(images, 1)
    assert propose(list(reversed(images)), 1) == first
    assert len({propose(images, seed).image_ids for seed in range(6)}) > 1


def test_the_chosen_are_spread_like_all() -> None:
    images = crowd(90)
    chosen = propose(images).image_ids
    assert len(chosen) == 11
    shapes = Counter(images[each].bucket for each in chosen)
    assert 3 <= shapes["448x576"] <= 5
    for place in ("park", "sea", "town"):
        share = sum(place in each.tags for each in images) / len(images)
        got = sum(place in images[each].tags for each in chosen)
        assert abs(got - share * len(chosen)) <= 1.5, place


def test_copies_stay_on_one_side() -> None:
    images = [replace(each, group=str(each.image_id // 2)) if each.image_id < 20 else each for each in crowd(24)]
    proposal = propose(images)
    assert set(proposal.image_ids) <= {20, 21, 22, 23}
    assert len(proposal.image_ids) == 3
    pairs = [replace(each, group=str(each.image_id // 2)) for each in crowd(24)]
    chosen = propose(pairs)
    assert len(chosen.image_ids) == 2
    assert chosen.image_ids[0] // 2 == chosen.image_ids[1] // 2
    assert "Only 2" in chosen.reason
    one = propose([replace(each, group="x") for each in crowd(24)])
    assert one.image_ids == ()
    assert "duplicates" in one.reason
