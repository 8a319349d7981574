"""What any trainer should be tried on: edits that look like none, odd counts and sizes, numbers that are no numbers."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from app.contract.buckets import Size, fit, make_buckets
from app.contract.captions import compose
from app.contract.events import Warned, read_events
from app.contract.families import FamilyKey
from app.contract.recipe import Crop, Recipe
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import fold
from tests.worker import tiny
from worker.cache import Latents, TensorCache
from worker.data import Order
from worker.errors import Interrupted, NonFiniteLoss
from worker.families import load
from worker.memory import choose_machine
from worker.train import train

Rows = list[DatasetRow]


@pytest.fixture
def spec(bases: dict[FamilyKey, BaseModelRef]) -> TrainSpec:
    """Two steps without samples, on texts as they are."""
    return tiny.make_spec(
        bases["sd15"],
        optimization__steps=2,
        optimization__batch=4,
        sampling__prompts=[],
        data__caption_dropout=0.0,
    )


def losses_of(folder: Path, spec: TrainSpec, rows: Rows, cache: Path | None = None) -> list[float]:
    """The losses of a run, with the cache of an earlier one where it is given."""
    run_dir = tiny.make_run(folder, spec, rows)
    if cache is not None:
        shutil.copytree(cache, run_dir.cache)
    train(tiny.context_of(run_dir, spec))
    return tiny.losses_of(run_dir)


def edit_pixel(rows: Rows, spec: TrainSpec) -> tuple[Rows, TrainSpec]:
    """One pixel of the first picture, in a file of the same size and time."""
    path = Path(rows[0].path)
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    return [rows[0].model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}), *rows[1:]], spec


def edit_caption(rows: Rows, spec: TrainSpec) -> tuple[Rows, TrainSpec]:
    """One letter of a caption."""
    caption = rows[0].caption.replace("red", "rad")
    edited = {"caption": caption, "text": compose(caption, spec.trigger_word)}
    return [rows[0].model_copy(update=edited), *rows[1:]], spec


def edit_crop(rows: Rows, spec: TrainSpec) -> tuple[Rows, TrainSpec]:
    """A crop of the same size, four pixels to the right, on a picture that had one."""
    crop = Recipe(crop=Crop(left=8, top=0, width=72, height=72))
    return [rows[0].model_copy(update={"recipe": crop, "size": Size(72, 72)}), *rows[1:]], spec


def edit_resolution(rows: Rows, spec: TrainSpec) -> tuple[Rows, TrainSpec]:
    """Half as large again."""
    larger = tiny.with_changes(spec, data__resolution_px=96)
    buckets = make_buckets(96, spec.data.bucket_step_px)
    return [row.model_copy(update={"bucket": fit(row.size, buckets).bucket}) for row in rows], larger


def edit_vae(rows: Rows, spec: TrainSpec) -> tuple[Rows, TrainSpec]:
    """Another VAE of the same shape, at another place."""
    folder = Path(rows[0].path).parent / "vae"
    shutil.copytree(Path(spec.base.path) / "vae", folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    changed = load_file(weights)
    changed["encoder.conv_in.weight"] *= 1.1
    save_file(changed, weights, metadata={"format": "pt"})
    return rows, spec.model_copy(update={"base": spec.base.model_copy(update={"vae_path": str(folder)})})


@pytest.mark.parametrize("edit", [edit_pixel, edit_caption, edit_crop, edit_resolution, edit_vae])
def test_what_was_edited_after_it_was_cached_is_trained_anew(
    spec: TrainSpec, tmp_path: Path, edit: Callable[[Rows, TrainSpec], tuple[Rows, TrainSpec]]
) -> None:
    """With the same cache as before, the losses are those of a run that never had one."""
    rows = tiny.make_pictures(tmp_path / "pictures", spec, ((80, 80), (64, 64), (80, 120)))
    # Uncompressed, so that a change of one byte is one pixel's; cropped, so that the crop can move.
    with Image.open(rows[0].path) as image:
        path = Path(rows[0].path).with_suffix(".bmp")
        image.save(path)
    first = {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "recipe": Recipe(crop=Crop(left=4, top=0, width=72, height=72)),
        "size": Size(72, 72),
    }
    rows[0] = rows[0].model_copy(update=first)
    before = losses_of(tmp_path / "before", spec, rows)
    edited, changed = edit(rows, spec)
    after = losses_of(tmp_path / "after", changed, edited, cache=tmp_path / "before" / "cache")
    assert after == losses_of(tmp_path / "fresh", changed, edited)
    assert after != before


@pytest.mark.parametrize("enlarges", [True, False], ids=["enlarged", "own-size"])
@pytest.mark.parametrize(
    "sizes",
    [
        ((64, 64), (80, 80), (90, 88)),
        ((64, 64),),
        ((10000, 50),),
        ((50, 10000), (60, 60)),
        ((4096, 4096), (60, 60), (17, 20)),
    ],
    ids=lambda sizes: " ".join(f"{width}x{height}" for width, height in sizes),
)
def test_odd_counts_and_sizes_train_every_picture(
    spec: TrainSpec, tmp_path: Path, sizes: tuple[tuple[int, int], ...], enlarges: bool
) -> None:
    """Fewer pictures than a batch holds, a single one, strips, and sides far from the resolution."""
    spec = tiny.with_changes(spec, data__enlarges=enlarges)
    run_dir = tiny.new_run(tmp_path, spec, sizes)
    rows = run_dir.read_dataset()
    order = Order(rows, spec)
    epoch = [visit.row.name for place in range(order.batches_per_epoch) for visit in order.batch(place)]
    assert sorted(epoch) == sorted(row.name for row in rows for _ in range(row.repeats))
    train(tiny.context_of(run_dir, spec))
    assert len(tiny.losses_of(run_dir)) == 2
    assert not [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]


def finite(run_dir: RunDir, step: int) -> bool:
    """Whether every number of a checkpoint's LoRA and state is one."""
    tensors = [*load_file(run_dir.lora(step)).values(), *tiny.state_of(run_dir, step).values()]
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def test_a_rate_of_a_tenth_ends_in_words_and_keeps_the_last_good_checkpoint(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    spec = tiny.make_spec(
        bases["sd15"],
        network={"rank": 1, "alpha": 256, "conv_rank": 1, "conv_alpha": 256, "targets": "attention-mlp"},
        optimization__learning_rate=0.1,
        optimization__schedule="constant",
        optimization__steps=60,
        optimization__warmup_steps=0,
        sampling__prompts=[],
        saving__every_steps=4,
    )
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(NonFiniteLoss, match=r"[Ss]tep \d+ .*picture-\d\.png") as told:
        train(tiny.context_of(run_dir, spec))
    assert "Lower the learning rate, now 0.1" in told.value.hint
    saved = [event.step for event in fold(read_events(run_dir.events)).checkpoints]
    assert saved
    assert all(finite(run_dir, step) for step in saved[-2:])


def poison(run_dir: RunDir, spec: TrainSpec, row: DatasetRow) -> None:
    """Put one value that is no number into what is kept of a picture, as a pixel that is none would."""
    latents = Latents(load(spec.base, torch.float32).parts, TensorCache(run_dir.cache), choose_machine("fp32"))
    latent = latents.get(row)
    latent[0, 0, 0] = float("nan")
    TensorCache(run_dir.cache).put(latents.key(row), {"latent": latent})


def unseen(order: Order, steps: int) -> tuple[DatasetRow, int]:
    """A picture that the first steps don't show, and the number of steps finished before the first that does."""
    seen: set[str] = set()
    for step in range(order.batches_per_epoch):
        for batch in order.of_step(step):
            for visit in batch:
                if step >= steps and visit.row.sha256 not in seen:
                    return visit.row, step
                seen.add(visit.row.sha256)
    raise AssertionError("every picture was seen before")


def test_a_batch_with_one_value_that_is_no_number_names_step_and_picture(base: BaseModelRef, tmp_path: Path) -> None:
    spec = tiny.make_spec(base, sampling__prompts=[], optimization__batch=1, saving__every_steps=2)
    run_dir = tiny.new_run(tmp_path, spec)
    with pytest.raises(Interrupted):
        train(tiny.context_of(run_dir, spec, wants_interrupt=tiny.has_step(run_dir, 2)))
    kept = tiny.state_of(run_dir, 2)
    row, step = unseen(Order(run_dir.read_dataset(), spec), 2)
    poison(run_dir, spec, row)
    with pytest.raises(NonFiniteLoss, match=rf"loss of step {step + 1} .*its pictures: {row.name}"):
        train(tiny.context_of(run_dir, spec, attempt=2))
    saved = [event.step for event in fold(read_events(run_dir.events)).checkpoints]
    assert saved[-1] <= step
    assert all(finite(run_dir, each) for each in saved)
    assert tiny.equal(tiny.state_of(run_dir, 2), kept)


def test_a_picture_with_a_value_that_is_no_number_is_never_trained(spec: TrainSpec, tmp_path: Path) -> None:
    """A float TIFF can hold one: the picture is named and left out."""
    rows = tiny.make_pictures(tmp_path / "pictures", spec, ((64, 64),) * 3)
    image = Image.new("F", (64, 64), 0.5)
    image.putpixel((30, 30), float("nan"))
    path = tmp_path / "broken.tiff"
    image.save(path)
    rows[1] = rows[1].model_copy(
        update={"path": str(path), "name": "broken.tiff", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    )
    run_dir = tiny.make_run(tmp_path / "run", spec, rows)
    train(tiny.context_of(run_dir, spec))
    (warning,) = [event for event in tiny.events_of(run_dir, "warning") if isinstance(event, Warned)]
    assert "broken.tiff" in warning.message
    assert finite(run_dir, 2)
