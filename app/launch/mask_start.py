"""Starting a mask run: which images a subject model is to look at, and as what it sees them."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from app.config import Settings
from app.contract.recipe import turned, turns_alone
from app.contract.rundir import DatasetRow
from app.contract.spec import MaskSpec
from app.errors import Invalid
from app.launch import start
from app.launch.tag_start import frozen
from app.store import history, images, subjects
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Run

ANYS_NAME = "model"
"""What the file is called in exports of many different models, as is the folder it lies in."""
ANYS_FOLDER = "onnx"
MaskScope = Literal["all", "unmasked", "unseen", "chosen"]


def model_name(path: Path) -> str:
    """What a model is called by its file: model.onnx is told apart from others by the folder that it lies in."""
    if not path.stem.lower().startswith(ANYS_NAME):
        return path.stem
    folder = next((each.name for each in path.parents if each.name.lower() != ANYS_FOLDER), "")
    return f"{folder} {path.stem}".strip()


def start_masking(
    settings: Settings,
    engine: Engine,
    project_id: int,
    spec: MaskSpec,
    scope: MaskScope,
    chosen: Collection[int] = (),
) -> Run:
    """Freeze the images of the scope, write the run folder and queue the run; `chosen` are ids for that scope.

    Raises Invalid when none is left.
    """
    with read(engine) as session:
        rows = images.training_rows(session, project_id)
        seen = subjects.seen_by(session, project_id, spec.model) if scope == "unseen" else set()
        pinned = history.newest(session, project_id)
    wanted = [row for row in rows if _is_wanted(row, scope, seen, chosen)]
    if not rows:
        raise Invalid("The project has no images to look at.", "Add images first.", field="scope")
    if not wanted:
        reason = {
            "unmasked": "Every image has a mask already.",
            "unseen": f"{spec.model} has found the subject of every image already.",
        }
        raise Invalid(reason.get(scope, "No image is chosen."), "Choose other images.", field="scope")
    with write(engine) as session:
        dataset = [_whole(row, each) for row, each in zip(wanted, frozen(settings, wanted), strict=True)]
        return start._queue(settings, session, project_id, spec, dataset, history_id=pinned)


def _is_wanted(row: ImageRow, scope: MaskScope, seen: Collection[int], chosen: Collection[int]) -> bool:
    if scope == "chosen":
        return row.id in chosen
    return row.id not in seen and (scope != "unmasked" or row.recipe.mask is None)


def _whole(row: ImageRow, frozen_row: DatasetRow) -> DatasetRow:
    """The image as a mask is drawn on it: turned, so that the model sees it upright, but whole."""
    size = turned(row.recipe, row.upright)
    return frozen_row.model_copy(update={"recipe": turns_alone(row.recipe), "size": size, "bucket": size})
