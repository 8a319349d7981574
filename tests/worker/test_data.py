"""The data order: whole epochs, one bucket a batch, known from seed and position alone."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from app.contract.families import FamilyKey
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from worker.data import Order


@pytest.fixture
def spec(bases: dict[FamilyKey, BaseModelRef]) -> TrainSpec:
    """Shuffled and dropped texts, two batches a step."""
    return tiny.make_spec(
        bases["sd15"], optimization__accumulation=2, data__shuffles_tags=True, data__caption_dropout=0.2
    )


def test_an_epoch_visits_every_picture_as_often_as_it_repeats(tmp_path: Path, spec: TrainSpec) -> None:
    rows = tiny.make_pictures(tmp_path, spec)
    order = Order(rows, spec)
    for epoch in range(3):
        first = epoch * order.batches_per_epoch
        batches = [order.batch(first + place) for place in range(order.batches_per_epoch)]
        seen = Counter(visit.row.sha256 for batch in batches for visit in batch)
        assert seen == {row.sha256: row.repeats for row in rows}
        assert all(len({visit.row.bucket for visit in batch}) == 1 for batch in batches)
        assert all(1 <= len(batch) <= 2 for batch in batches)


def test_batches_are_as_many_as_the_plan_says(tmp_path: Path, spec: TrainSpec) -> None:
    rows = tiny.make_pictures(tmp_path, spec)
    visits = Counter[tuple[int, int]]()
    for row in rows:
        visits[row.bucket.width, row.bucket.height] += row.repeats
    assert Order(rows, spec).batches_per_epoch == sum(-(-count // 2) for count in visits.values())


def test_the_order_follows_from_seed_and_position_alone(tmp_path: Path, spec: TrainSpec) -> None:
    rows = tiny.make_pictures(tmp_path, spec)
    walked, jumped = Order(rows, spec), Order(rows, spec)
    whole = [walked.of_step(step) for step in range(12)]
    assert [jumped.of_step(step) for step in reversed(range(12))] == list(reversed(whole))
    assert [batch for batches in whole for batch in batches] == [walked.batch(position) for position in range(24)]
    other = spec.model_copy(update={"optimization": spec.optimization.model_copy(update={"seed": 8})})
    assert [Order(rows, other).of_step(step) for step in range(12)] != whole


def test_epochs_differ_in_order_and_texts(tmp_path: Path, spec: TrainSpec) -> None:
    order = Order(tiny.make_pictures(tmp_path, spec), spec)
    length = order.batches_per_epoch
    epochs = [[order.batch(epoch * length + place) for place in range(length)] for epoch in range(6)]
    assert any(one != other for one, other in pairwise(epochs))
    texts = {visit.text for epoch in epochs for batch in epoch for visit in batch}
    assert "" in texts
    assert any(text.startswith(f"{tiny.TRIGGER}, large") for text in texts)
    assert all(text.startswith(tiny.TRIGGER) for text in texts - {""})


def test_the_texts_of_a_whole_run_are_known_ahead(tmp_path: Path, spec: TrainSpec) -> None:
    order = Order(tiny.make_pictures(tmp_path, spec), spec)
    ahead = order.texts(steps=10, most=1000)
    assert ahead is not None
    assert {visit.text for step in range(10) for batch in order.of_step(step) for visit in batch} <= set(ahead)
    assert len(ahead) == len(set(ahead))
    assert order.texts(steps=10, most=3) is None


def test_a_tag_order_for_each_picture_is_its_own(tmp_path: Path, spec: TrainSpec) -> None:
    """Adding a picture leaves the texts of the others as they were."""
    rows = tiny.make_pictures(tmp_path, spec)
    fewer, more = Order(rows[:-1], spec), Order(rows, spec)
    assert [fewer.text(row, 3) for row in rows[:-1]] == [more.text(row, 3) for row in rows[:-1]]
