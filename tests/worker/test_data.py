"""The data order: whole epochs, one bucket a batch, known from seed and position alone."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from app.contract.captions import compose
from app.contract.families import FamilyKey
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from worker.data import Order, Visit


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


def of_epochs(order: Order, epochs: int) -> list[Visit]:
    """All visits of some epochs."""
    return [visit for position in range(epochs * order.batches_per_epoch) for visit in order.batch(position)]


def test_held_out_pictures_are_in_no_batch_and_change_no_other(tmp_path: Path, spec: TrainSpec) -> None:
    rows = tiny.make_pictures(tmp_path, spec)
    held_out = [
        row.model_copy(update={"split": "held-out"}) for row in tiny.make_pictures(tmp_path / "more", spec)[2:4]
    ]
    without, beside = Order(rows, spec), Order([*held_out, *rows], spec)
    assert beside.batches_per_epoch == without.batches_per_epoch
    assert of_epochs(beside, 3) == of_epochs(without, 3)
    assert [row.split for row in beside.held_out] == ["held-out", "held-out"]


def test_regularisation_pictures_show_the_class_without_the_trigger(tmp_path: Path, spec: TrainSpec) -> None:
    spec = tiny.with_changes(spec, data__prior_weight=0.25, data__caption_dropout=0.0, data__shuffles_tags=False)
    rows = tiny.make_pictures(tmp_path, spec)
    rows[1] = rows[1].model_copy(update={"split": "regularisation", "weight": 2.0})
    rows[2] = rows[2].model_copy(update={"weight": 0.5})
    visits = {visit.row.sha256: visit for visit in of_epochs(Order(rows, spec), 1)}
    prior = visits[rows[1].sha256]
    assert prior.text == rows[1].caption
    assert tiny.TRIGGER not in prior.text
    assert (prior.weight, visits[rows[2].sha256].weight, visits[rows[0].sha256].weight) == (0.5, 0.5, 1.0)


def test_every_second_visit_is_mirrored_and_cropped_from_the_other_side(tmp_path: Path, spec: TrainSpec) -> None:
    spec = tiny.with_changes(spec, data__mirrors=True)
    rows = tiny.make_pictures(tmp_path, spec, ((113, 64), (64, 64)))
    order = Order(rows, spec)
    for row in rows:
        sides = [visit.is_mirrored for visit in of_epochs(order, 4) if visit.row == row]
        assert sum(sides) * 2 == len(sides)
    wide = {visit.is_mirrored: visit.place for visit in of_epochs(order, 2) if visit.row == rows[0]}
    plain, mirrored = wide[False], wide[True]
    assert plain.left + mirrored.left == plain.scaled.width - plain.bucket.width
    assert plain.left != mirrored.left
    assert (plain.scaled, plain.top) == (mirrored.scaled, mirrored.top)


def test_a_caption_has_as_many_variants_as_were_asked_for(tmp_path: Path, spec: TrainSpec) -> None:
    spec = tiny.with_changes(spec, data__text_variants=2, data__caption_dropout=0.0, data__keep_tags=0)
    rows = tiny.make_pictures(tmp_path, spec)
    order = Order(rows, spec)
    for row in rows:
        texts = {visit.text for visit in of_epochs(order, 40) if visit.row == row}
        assert 1 <= len(texts) <= 2
    ahead = order.texts(steps=100_000, most=1000)
    assert ahead is not None
    assert {visit.text for visit in of_epochs(order, 40)} <= set(ahead)


@pytest.mark.parametrize(
    "changes",
    [
        {"data__lines": "any"},
        {"data__uses_wildcards": True},
        {"data__tag_dropout": 0.4},
        {"data__text_variants": 3, "data__tag_dropout": 0.4},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_every_text_of_a_run_is_known_ahead_however_it_varies(
    tmp_path: Path, spec: TrainSpec, changes: dict[str, object]
) -> None:
    spec = tiny.with_changes(spec, data__shuffles_tags=False, **changes)
    captions = ["red, {small|large}, shape\nblue, round", "a, b, c, d"]
    rows = [
        row.model_copy(update={"caption": caption, "text": compose(caption, tiny.TRIGGER)})
        for row, caption in zip(tiny.make_pictures(tmp_path, spec), captions * 3, strict=True)
    ]
    order = Order(rows, spec)
    ahead = order.texts(steps=20, most=1000)
    seen = {visit.text for step in range(20) for batch in order.of_step(step) for visit in batch}
    assert ahead is not None
    assert seen <= set(ahead)
    assert len(seen) > len(captions)


@pytest.mark.parametrize(
    "changes", [{}, {"data__uses_wildcards": True}, {"data__lines": "any"}, {"data__text_variants": 2}]
)
def test_no_text_is_listed_that_never_occurs(tmp_path: Path, spec: TrainSpec, changes: dict[str, object]) -> None:
    """Neither a caption's other lines nor its bars, braces and backslashes are encoded ahead for nothing."""
    spec = tiny.with_changes(spec, data__shuffles_tags=False, data__caption_dropout=0.0, **changes)
    caption = "red;;;large ||| {small|wide}, \\(old\\)\nblue, round"
    row = tiny.make_pictures(tmp_path, spec, ((64, 64),))[0]
    row = row.model_copy(update={"caption": caption, "text": compose(caption, tiny.TRIGGER), "repeats": 1})
    order = Order([row], spec)
    # Without a visit that draws it, the plain text stands for the picture where it is measured or stands in.
    occurs = {visit.text for step in range(21) for batch in order.of_step(step) for visit in batch}
    ahead = order.texts(steps=20, most=1000)
    assert ahead is not None
    assert occurs <= set(ahead) <= occurs | {order.plain_text(row)}
    assert row.text not in ahead
