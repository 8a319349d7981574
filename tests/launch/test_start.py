"""Making a run: folder first, row last; the dataset frozen as it was; the plan counts as the trainer does."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import CheckpointSaved, EventLog, read_events
from app.contract.rundir import RunDir
from app.contract.spec import RenderSpec, TrainSpec, read_spec
from app.errors import Conflict, Invalid, NotFound
from app.launch.draft import draft
from app.launch.plan import plan
from app.launch.start import read_settings, run_dir, slug, start_sweep, start_training, stop
from app.launch.subject import subject_of
from app.store import captions, images, runs
from app.store.db import read, write
from tests.drawing import bundled_base, project_with_images
from tests.launch.test_draft import lora_file


def made_spec(engine: Engine, project_id: int, **texts: str) -> TrainSpec:
    base = bundled_base(engine)
    with read(engine) as session:
        made = draft(
            subject_of(session, project_id, base),
            "quick",
            {key.replace("__", "."): text for key, text in texts.items()},
        )
    assert made.spec is not None, made.errors
    return made.spec


def test_a_run_holds_the_dataset_as_it_was(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 3)
    spec = made_spec(engine, project_id)
    run = start_training(settings, engine, project_id, spec)
    folder = run_dir(settings, run)
    with write(engine) as session:
        for row in images.training_rows(session, project_id):
            captions.save(session, row.id, "changed later", "you")
    assert read_spec(folder.spec.read_text()) == spec
    assert [row.text for row in folder.read_dataset()] == [f"rdct, a cat, number {seed}" for seed in range(3)]
    assert all(Path(row.path).is_file() for row in folder.read_dataset())
    assert [event.type for event in read_events(folder.events)] == ["queued"]
    assert run.status == "queued"
    assert run.history_id > 0


def test_a_folder_left_by_a_crash_is_not_in_the_way(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    spec = made_spec(engine, project_id)
    (settings.runs / f"0001-{slug(spec.name)}").mkdir(parents=True)
    assert start_training(settings, engine, project_id, spec).dir == f"0002-{slug(spec.name)}"


def test_nothing_to_train_on_is_said(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 0)
    with pytest.raises(Invalid, match="no images"):
        start_training(settings, engine, project_id, made_spec(engine, project_id))
    assert not list(settings.runs.iterdir()) if settings.runs.exists() else True


def test_a_base_that_moved_is_said(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    spec = made_spec(engine, project_id)
    moved = spec.model_copy(update={"base": spec.base.model_copy(update={"path": "/gone/base"})})
    with pytest.raises(Invalid, match="/gone/base"):
        start_training(settings, engine, project_id, moved)


def test_what_a_run_goes_on_from_is_pinned_by_its_content(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    project_id = project_with_images(settings, engine, 1)
    file = lora_file(tmp_path / "old.safetensors", "lora_unet_x.lora_up.weight")
    spec = made_spec(engine, project_id, network__continues=str(file))
    made = read_settings(run_dir(settings, start_training(settings, engine, project_id, spec)), "run")
    assert isinstance(made, TrainSpec)
    assert made.network.continues is not None
    assert made.network.continues.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    with pytest.raises(Invalid, match=r"no LoRA at .*old\.safetensors"):
        start_training(settings, engine, project_id, spec)


def test_a_vae_that_went_away_is_said(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    spec = made_spec(engine, project_id)
    other = spec.model_copy(update={"base": spec.base.model_copy(update={"vae_path": "/gone/vae"})})
    with pytest.raises(Invalid, match="/gone/vae"):
        start_training(settings, engine, project_id, other)


def test_the_plan_counts_batches_by_bucket(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 5)
    spec = made_spec(engine, project_id, optimization__steps="30", optimization__batch="2", saving__every_steps="20")
    with read(engine) as session:
        counted = plan(spec, images.training_rows(session, project_id))
    assert (counted.images, counted.captioned, counted.visits, counted.batches_per_epoch) == (5, 5, 5, 3)
    assert counted.epochs == 10
    assert counted.checkpoints == 2
    assert len(counted.sentences) == 5


def test_a_sweep_draws_a_checkpoint_at_strengths(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    parent = start_training(settings, engine, project_id, made_spec(engine, project_id))
    with pytest.raises(NotFound, match="step 5"):
        start_sweep(settings, engine, parent.id, 5, [1.0])
    log = EventLog(run_dir(settings, parent).events, attempt=1)
    log.append(CheckpointSaved(step=5, path="checkpoints/step-000005/lora.safetensors", size_bytes=1, sha256="ab"))
    run = start_sweep(settings, engine, parent.id, 5, [1.0, 0.0, 1.0])
    spec = read_spec(RunDir(settings.runs / run.dir).spec.read_text())
    assert isinstance(spec, RenderSpec)
    assert (spec.strengths, spec.step, spec.lora_sha256) == ((0.0, 1.0), 5, "ab")
    assert run.parent_id == parent.id
    for wrong in (9.0, float("nan")):
        with pytest.raises(Invalid):
            start_sweep(settings, engine, parent.id, 5, [wrong])


def test_stop_asks_once_it_runs_and_refuses_when_over(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    run = start_training(settings, engine, project_id, made_spec(engine, project_id))
    stop(settings, engine, run.id)
    assert run_dir(settings, run).stop.exists()
    with write(engine) as session:
        claimed = runs.claim(session, "worker-1")
        assert claimed is not None
        runs.end(session, run.id, "worker-1", "stopped", "")
    with pytest.raises(Conflict, match="over"):
        stop(settings, engine, run.id)


@pytest.mark.parametrize(
    ("name", "folder"), [("Red Cat!", "red-cat"), ("Ünï", "uni"), ("画像", "run"), ("a" * 99, "a" * 40), ("../x", "x")]
)
def test_folder_names_are_safe(name: str, folder: str) -> None:
    assert slug(name) == folder
