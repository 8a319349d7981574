"""The plan: what it counts is what the trainer does, whatever the pictures and settings."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from app.config import Settings
from app.contract.spec import BaseModelRef, Data, Optimization, Prompt, Sampling, Saving, TrainSpec
from app.launch.freeze import freeze
from app.launch.plan import plan
from app.store.images import ImageRow
from worker.data import Order
from worker.train import is_due


def some_rows(random: Random) -> list[ImageRow]:
    """Up to thirty pictures of any shape, some of them repeated, some without a caption."""
    return [
        ImageRow(
            id=number,
            project_id=1,
            name=f"{number}.png",
            sha256=f"{number:064x}",
            extension=".png",
            width_px=random.randint(16, 3000),
            height_px=random.randint(16, 3000),
            repeats=random.choice((1, 1, 2, 7)),
            caption=random.choice((None, "", "  ", "a fox, red")),
            split=random.choice(("train", "train", "train", "held-out", "regularisation")) if number else "train",
        )
        for number in range(random.randint(1, 30))
    ]


def some_spec(random: Random) -> TrainSpec:
    """Settings that change how much a run does."""
    return TrainSpec(
        name="run",
        project="fox",
        purpose="concept",
        trigger_word="fxo",
        base=BaseModelRef(name="base", path="/models/base", family="sd15", sha256="0" * 64),
        optimization=Optimization(
            steps=random.randint(1, 120),
            batch=random.randint(1, 9),
            accumulation=random.randint(1, 5),
            seed=random.randrange(1000),
        ),
        data=Data(
            resolution_px=random.choice((64, 512, 520, 1024)),
            bucket_step_px=random.choice((8, 64)),
            enlarges=random.choice((True, False)),
        ),
        sampling=Sampling(
            prompts=tuple(Prompt(text=f"{number}") for number in range(random.randint(0, 4))),
            every_steps=random.randint(1, 150),
        ),
        saving=Saving(every_steps=random.randint(1, 150)),
    )


@pytest.mark.parametrize("seed", range(60))
def test_the_plan_counts_what_the_trainer_does(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    rows, spec = some_rows(random), some_spec(random)
    settings, counted = spec.optimization, plan(spec, rows)
    frozen = freeze(Settings(data=tmp_path), spec, rows)
    order = Order(frozen, spec)
    epoch = [visit.row for position in range(order.batches_per_epoch) for visit in order.batch(position)]
    batches = [batch for step in range(settings.steps) for batch in order.of_step(step)]

    training = [row for row in frozen if row.split == "train"]
    assert counted.images == len(training)
    assert counted.regularisation == sum(row.split == "regularisation" for row in frozen)
    assert counted.held_out == tuple(row.name for row in frozen if row.split == "held-out")
    assert all(row.split != "held-out" for row in epoch)
    assert counted.batches_per_epoch == order.batches_per_epoch
    assert counted.visits == len(epoch)
    assert dict(counted.buckets) == Counter(row.bucket for row in epoch)
    by_name = {row.name: row for row in rows}
    assert all(row.place == spec.data.buckets.fit(by_name[row.name].size) for row in frozen)
    assert counted.epochs == pytest.approx(len(batches) / order.batches_per_epoch)
    assert counted.captioned == sum(row.text not in ("", spec.trigger_word) for row in training)
    points = range(settings.steps + 1)
    assert counted.checkpoints == sum(is_due(step, spec.saving.every_steps, settings.steps) for step in points[1:])
    drawn = sum(is_due(step, spec.sampling.every_steps, settings.steps) for step in points)
    assert counted.samples == drawn * len(spec.sampling.prompts)


@pytest.mark.parametrize(
    ("enlarges", "side", "said"),
    [
        (True, 300, "1 image smaller than the bucket: scaled up, which trains blur. Use larger originals, or switch "
                    "off “Enlarge small images” to train them at their own size."),
        (False, 300, ""),
        (False, 40, "1 image smaller than the bucket: scaled up, which trains blur. They are smaller than one bucket "
                    "step: use larger originals, or a smaller bucket step."),
    ],
)  # fmt: skip
def test_small_images_are_warned_of_with_the_way_out(enlarges: bool, side: int, said: str) -> None:
    spec = some_spec(Random(1))
    data = Data(resolution_px=512, bucket_step_px=64, enlarges=enlarges)
    row = ImageRow(1, 1, "a.png", "ab" * 32, "png", side, side, 1, "a fox")
    warnings = plan(spec.model_copy(update={"data": data}), [row]).warnings
    assert [each for each in warnings if "smaller" in each] == ([said] if said else [])
