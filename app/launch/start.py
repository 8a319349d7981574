"""Making a run: its folder first, its row last, so that a row never points at half a run."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.config import Settings
from app.contract.events import EventLog, Queued
from app.contract.rundir import DatasetRow, RunDir, publish
from app.contract.spec import AnySpec, Prompt, RenderSpec, Sampling, TrainSpec, read_spec
from app.contract.state import read_state
from app.errors import Conflict, Invalid, NotFound, Unavailable
from app.launch.bases import hash_base
from app.launch.controls import CONTINUES
from app.launch.freeze import freeze
from app.store import history, images, projects, runs
from app.store.db import read, write
from app.store.models import Run

STRENGTHS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.2)
MOST_PROMPTS = 32
LONGEST_PROMPT = 2000


def run_dir(settings: Settings, run: Run) -> RunDir:
    """The folder of a run."""
    return RunDir(settings.runs / run.dir)


def slug(name: str) -> str:
    """A folder-safe form of a name: ASCII words joined by dashes, `run` when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "run"


def read_settings(folder: RunDir, name: str) -> AnySpec:
    """Read what a run was set to. Raises NotFound when its folder is gone, Unavailable when its spec makes no sense."""
    try:
        return read_spec(folder.spec.read_text(encoding="utf-8"))
    except OSError as error:
        raise gone(folder, name) from error
    except ValueError as error:
        raise Unavailable(
            f"The settings of {name} in runs/{folder.path.name} are damaged, or a newer LoRA Studio wrote them.",
            "Update the studio, or put the file back from a copy; the rest of the studio works on.",
        ) from error


def gone(folder: RunDir, name: str) -> NotFound:
    """Say that a run's folder is gone; where the data folder is stays with us."""
    return NotFound(
        f"The folder of {name} is gone or cannot be read: runs/{folder.path.name} in the data folder.",
        "Put it back from a copy; the rest of the studio works on.",
    )


def start_training(settings: Settings, engine: Engine, project_id: int, spec: TrainSpec) -> Run:
    """Freeze the project's dataset, write the run folder and queue the run.

    Raises Invalid when there are no images that train, or when base model or VAE are not where they were.
    """
    if not Path(spec.base.path).exists():
        raise Invalid(
            f"The base model {spec.base.name} is no longer at {spec.base.path}.",
            "Name its folder again under Base models, or choose another base.",
            field="base_id",
        )
    if spec.base.vae_path and not Path(spec.base.vae_path).exists():
        raise Invalid(
            f"The VAE chosen for {spec.base.name} is no longer at {spec.base.vae_path}.",
            "Choose another under Base models, or the base's own.",
            field="base_id",
        )
    spec = _with_hash(spec)
    with read(engine) as session:
        # One moment of the store, so that the pinned version is that of these very captions.
        rows = images.training_rows(session, project_id)
        pinned = history.newest(session, project_id)
    if not any(row.split == "train" for row in rows):
        hint = "Let some of its images train; now all are held out." if rows else "Add images first."
        raise Invalid("The project has no images to train on.", hint)
    dataset = freeze(settings, spec, rows)
    with write(engine) as session:
        projects.remember_enlarges(session, project_id, spec.data.enlarges)
        return _queue(settings, session, project_id, spec, dataset, history_id=pinned)


def _with_hash(spec: TrainSpec) -> TrainSpec:
    """Pin the LoRA that the run goes on from by its content."""
    continues = spec.network.continues
    if continues is None or continues.sha256:
        return spec
    path = Path(continues.path)
    if not path.is_file():
        raise Invalid(
            f"There is no LoRA at {path} any more.", "Name another to continue from, or none.", field=CONTINUES
        )
    digest = hash_base(path)
    pinned = continues.model_copy(update={"sha256": digest})
    return spec.model_copy(update={"network": spec.network.model_copy(update={"continues": pinned})})


def start_sweep(
    settings: Settings, engine: Engine, run_id: int, step: int, strengths: Sequence[float], prompts: Sequence[str] = ()
) -> Run:
    """Queue a render run that draws a checkpoint at several strengths: other prompts, or those of its training.

    Raises NotFound for a step without a checkpoint, Invalid for strengths outside -2 to 2 or none, and for prompts
    that are too many or too long.
    """
    _check_prompts(prompts)
    wanted = tuple(sorted({round(strength, 2) for strength in strengths}))
    if not wanted or not all(-2 <= strength <= 2 for strength in wanted):
        raise Invalid(
            "Strengths are numbers from -2 to 2.", "Give one or more, such as 0.6, 0.8, 1.", field="strengths"
        )
    with read(engine) as session:
        parent = runs.get(session, run_id)
    folder = run_dir(settings, parent)
    spec = read_settings(folder, parent.name)
    saved = [saved for saved in read_state(folder.events).checkpoints if saved.step == step]
    if not saved or not isinstance(spec, TrainSpec):
        raise NotFound(f"{parent.name} has no checkpoint at step {step}.", "Choose one of its checkpoints.")
    render = RenderSpec(
        name=f"{parent.name} · step {step} · {'own prompts' if prompts else 'strengths'}",
        project=spec.project,
        base=spec.base,
        lora_path=str(folder.lora(step)),
        lora_sha256=saved[0].sha256,
        step=step,
        strengths=wanted,
        sampling=_with_prompts(spec.sampling, prompts),
    )
    with write(engine) as session:
        return _queue(settings, session, parent.project_id, render, [], parent_id=run_id)


def _check_prompts(prompts: Sequence[str]) -> None:
    if len(prompts) > MOST_PROMPTS:
        raise Invalid(
            f"These are {len(prompts)} prompts; one sweep draws at most {MOST_PROMPTS}.",
            "Leave some for the next one.",
            field="prompts",
        )
    if too_long := next((each for each in prompts if len(each) > LONGEST_PROMPT), None):
        raise Invalid(
            f"The prompt “{too_long[:40]}…” is longer than {LONGEST_PROMPT:,} characters.",
            "Shorten it; the model reads the first 75 tokens or so.",
            field="prompts",
        )


def _with_prompts(sampling: Sampling, prompts: Sequence[str]) -> Sampling:
    """The sampling with other prompts, drawn from the seed of its own so that they compare."""
    if not prompts:
        return sampling
    like = sampling.prompts[0] if sampling.prompts else Prompt(text="")
    return sampling.model_copy(update={"prompts": tuple(like.model_copy(update={"text": text}) for text in prompts)})


def _queue(
    settings: Settings,
    session: Session,
    project_id: int,
    spec: AnySpec,
    dataset: Sequence[DatasetRow],
    *,
    parent_id: int | None = None,
    history_id: int = 0,
) -> Run:
    projects.get(session, project_id)
    name = _make_folder(settings.runs, runs.next_number(session), slug(spec.name))
    folder = RunDir(settings.runs / name)
    publish(folder.dataset, "".join(row.model_dump_json() + "\n" for row in dataset).encode())
    publish(folder.spec, spec.model_dump_json(indent=2).encode())
    EventLog(folder.events, attempt=0).append(Queued())
    return runs.create(session, project_id, spec.kind, spec.name, name, parent_id=parent_id, history_id=history_id)


def _make_folder(runs_folder: Path, number: int, word: str) -> str:
    """Make the run's folder; a folder left without a row by a crash keeps its number."""
    for free in count(number):
        name = f"{free:04d}-{word}"
        try:
            (runs_folder / name).mkdir(parents=True)
        except FileExistsError:
            continue
        return name
    raise AssertionError("numbers do not end")


def stop(settings: Settings, engine: Engine, run_id: int) -> None:
    """Ask a run to stop; it saves first. Raises Conflict when it is over already."""
    with read(engine) as session:
        run = runs.get(session, run_id)
    if run.status not in ("queued", "running"):
        raise Conflict(f"{run.name} is over already ({run.status}).", "Nothing is left to stop.")
    folder = run_dir(settings, run)
    if not folder.path.is_dir():
        raise gone(folder, run.name)
    folder.stop.touch()
