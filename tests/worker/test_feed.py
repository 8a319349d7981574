"""What the loop eats: noise that nothing shifts, pictures left out in words, and an end when too many are."""

import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.contract.events import EventLog, Warned, read_events
from app.contract.families import FamilyKey
from app.contract.recipe import Recipe
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from worker.cache import Latents, TensorCache
from worker.data import Order
from worker.errors import EmptyDataset
from worker.families import load
from worker.feed import Batch, Feed, Pictures
from worker.memory import choose_machine
from worker.objectives import Noising
from worker.train import train

MACHINE = choose_machine("fp32")
MANY = ((64, 64),) * 21 + ((80, 120),) * 3


def feed_of(spec: TrainSpec, rows: list[DatasetRow], folder: Path) -> Feed:
    """A feed over the rows with an empty cache and a log in the folder."""
    family = load(spec.base, torch.float32)
    latents = Latents(family.parts, TensorCache(folder / "cache"), MACHINE)
    order = Order(rows, spec)
    pictures = Pictures(latents, order, spec.data, EventLog(folder / "events.jsonl", 1))
    return Feed(order, pictures, MACHINE, Noising(spec.optimization, family.objective.timesteps))


@pytest.fixture
def spec(bases: dict[FamilyKey, BaseModelRef]) -> TrainSpec:
    """Three pictures a batch."""
    return tiny.make_spec(bases["sd15"], optimization__batch=3, sampling__prompts=[])


def test_a_step_is_the_same_however_often_it_is_asked(spec: TrainSpec, tmp_path: Path) -> None:
    rows = tiny.make_pictures(tmp_path / "pictures", spec)
    feed = feed_of(spec, rows, tmp_path)
    (first,), (again,) = feed.of_step(3), feed.of_step(3)
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.timesteps, again.timesteps)
    assert first.texts == again.texts
    assert first.latents.shape == first.noise.shape
    assert len(first) == len(first.places) == len(first.timesteps)


def by_text(batch: Batch) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Each picture's noise and timestep by its text, which is its own."""
    return {text: (batch.noise[place], batch.timesteps[place]) for place, text in enumerate(batch.texts)}


def test_a_picture_left_out_shifts_nothing_for_the_others(spec: TrainSpec, tmp_path: Path) -> None:
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"caption_dropout": 0.0})})
    rows = tiny.make_pictures(tmp_path / "pictures", spec, MANY)
    whole = feed_of(spec, rows, tmp_path / "whole")
    before = [by_text(batch) for step in range(10) for batch in whole.of_step(step)]
    Path(rows[4].path).unlink()
    broken = feed_of(spec, rows, tmp_path / "broken")
    after = [by_text(batch) for step in range(10) for batch in broken.of_step(step)]
    assert sum(rows[4].text in batch for batch in before) > 0
    for old, new in zip(before, after, strict=True):
        assert set(new) == set(old) - {rows[4].text}
        assert all(torch.equal(new[text][0], old[text][0]) and new[text][1] == old[text][1] for text in new)


def test_a_batch_that_cannot_be_read_at_all_trains_on_another_picture(spec: TrainSpec, tmp_path: Path) -> None:
    rows = tiny.make_pictures(tmp_path / "pictures", spec, ((64, 64),) * 24 + ((80, 160),))
    rows = [row.model_copy(update={"weight": 0.5}) for row in rows]
    Path(rows[24].path).unlink()
    feed = feed_of(spec, rows, tmp_path)
    names = [feed.names_of(step) for step in range(20)]
    lonely = names.index([rows[24].name])
    (batch,) = feed.of_step(lonely)
    assert len(batch) == 1
    assert batch.texts[0] in {row.text for row in rows[:24]}
    assert batch.weights.tolist() == [0.5], "the one that stands in counts as it always does"


def test_a_few_unreadable_pictures_are_named_and_left_out(spec: TrainSpec, tmp_path: Path) -> None:
    run_dir = tiny.new_run(tmp_path, spec, MANY)
    lost = run_dir.read_dataset()[4]
    path = Path(lost.path)
    path.write_bytes(path.read_bytes()[:40])
    train(tiny.context_of(run_dir, spec))
    (warning,) = [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]
    assert warning.message.startswith(f"The picture {lost.name} is left out: ")
    assert run_dir.lora(8).is_file()


def test_a_picture_that_goes_bad_in_the_middle_of_a_run_is_left_out(spec: TrainSpec, tmp_path: Path) -> None:
    """The cache may be deleted at any time; then the picture itself is asked again."""
    rows = tiny.make_pictures(tmp_path / "pictures", spec, MANY)
    feed = feed_of(spec, rows, tmp_path)
    feed.of_step(0)
    for entry in (tmp_path / "cache").rglob("*.safetensors"):
        entry.unlink()
    Path(rows[2].path).unlink()
    for step in range(1, 9):
        feed.of_step(step)
    (warning,) = read_events(tmp_path / "events.jsonl")
    assert isinstance(warning, Warned)
    assert rows[2].name in warning.message


@pytest.mark.parametrize("lost", [2, 24])
def test_too_many_unreadable_pictures_end_the_run(spec: TrainSpec, tmp_path: Path, lost: int) -> None:
    run_dir = tiny.new_run(tmp_path, spec, MANY)
    rows = run_dir.read_dataset()
    for row in rows[:lost]:
        Path(row.path).unlink()
    with pytest.raises(EmptyDataset, match=r"2 of 24 pictures cannot be read: picture-0\.png, picture-1\.png") as told:
        train(tiny.context_of(run_dir, spec))
    assert "Add these pictures" in told.value.hint


def test_no_pictures_at_all_are_refused(spec: TrainSpec, tmp_path: Path) -> None:
    run_dir: RunDir = tiny.make_run(tmp_path / "run", spec, [])
    with pytest.raises(EmptyDataset, match="holds no pictures"):
        train(tiny.context_of(run_dir, spec))


def test_a_batch_that_cannot_be_read_shifts_nothing_for_the_next(spec: TrainSpec, tmp_path: Path) -> None:
    """The picture that stands in has another size, and noise of its own."""
    spec = tiny.with_changes(
        spec, optimization__batch=1, optimization__accumulation=25, data__caption_dropout=0.0, data__mirrors=False
    )
    rows = tiny.make_pictures(tmp_path / "pictures", spec, ((64, 64),) * 24 + ((80, 160),))
    before = feed_of(spec, rows, tmp_path / "whole").of_step(0)
    Path(rows[24].path).unlink()
    after = feed_of(spec, rows, tmp_path / "broken").of_step(0)
    same = [torch.equal(old.noise, new.noise) for old, new in zip(before, after, strict=True) if old.texts == new.texts]
    assert sum(same) == len(same) == 24


def test_weights_areas_and_sides_reach_the_loss(spec: TrainSpec, tmp_path: Path) -> None:
    spec = tiny.with_changes(spec, data__mirrors=True, data__uses_masks=True, data__unmasked_weight=0.25)
    rows = tiny.make_pictures(tmp_path / "pictures", spec)
    rows = [row.model_copy(update={"weight": 1 + number}) for number, row in enumerate(rows)]
    mask = tmp_path / "mask.png"
    with Image.open(rows[3].path) as image:
        Image.new("L", image.size, 0).save(mask)
    recipe = Recipe(mask=hashlib.sha256(mask.read_bytes()).hexdigest())
    rows[3] = rows[3].model_copy(update={"mask_path": str(mask), "recipe": recipe})
    feed = feed_of(spec, rows, tmp_path)
    seen = {}
    for step in range(10):
        for batch in feed.of_step(step):
            assert batch.areas is not None
            for text, weight, area in zip(batch.texts, batch.weights.tolist(), batch.areas, strict=True):
                seen[text] = (weight, area.unique().tolist())
    assert all(seen[row.text] == (row.weight, [0.25 if row is rows[3] else 1.0]) for row in rows)
