"""Starting a tag run, and trying its model on one image by the very same path."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from app.collect.blobs import blob_path
from app.config import ROOT, Settings
from app.contract.events import EventLog, Queued
from app.contract.rundir import DatasetRow, RunDir, publish
from app.contract.spec import TagSpec
from app.contract.state import read_state
from app.contract.suggestions import Looked, read_book
from app.errors import Invalid
from app.launch import start
from app.store import history, images, suggestions
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Run

Scope = Literal["all", "uncaptioned", "unseen"]
TRIAL_S = 180.0


@dataclass(frozen=True)
class Trial:
    """What a model said of one image, or why it could not; `looked` is None then."""

    looked: Looked | None
    error: str
    hint: str
    took_s: float


def start_tagging(settings: Settings, engine: Engine, project_id: int, spec: TagSpec, scope: Scope) -> Run:
    """Freeze the images of the scope, write the run folder and queue the run. Raises Invalid when none is left."""
    with read(engine) as session:
        rows = images.training_rows(session, project_id)
        seen = suggestions.images_seen_by(session, project_id, spec.model) if scope == "unseen" else set()
        pinned = history.newest(session, project_id)
    chosen = [row for row in rows if row.id not in seen and (scope != "uncaptioned" or not (row.caption or "").strip())]
    if not rows:
        raise Invalid("The project has no images to look at.", "Add images first.", field="scope")
    if not chosen:
        reason = "has a caption" if scope == "uncaptioned" else f"has been looked at by {spec.model}"
        raise Invalid(f"Every image {reason} already.", "Choose all images.", field="scope")
    with write(engine) as session:
        return start._queue(settings, session, project_id, spec, frozen(settings, chosen), history_id=pinned)


def frozen(settings: Settings, rows: Sequence[ImageRow]) -> list[DatasetRow]:
    """The images as a tag run reads them: whole, after their recipe, in no bucket."""
    return [
        DatasetRow(
            sha256=row.sha256,
            path=str(blob_path(settings, row.sha256, row.extension)),
            name=row.name,
            size=row.size,
            bucket=row.size,
            caption=row.caption or "",
            text=row.caption or "",
            repeats=row.repeats,
            recipe=row.recipe,
        )
        for row in rows
    ]


def try_on(settings: Settings, row: ImageRow, spec: TagSpec) -> Trial:
    """Carry out a tag run of one image beside the queue, in a folder that is thrown away. Takes seconds to minutes."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lora-studio-trial-") as folder:
        run_dir = RunDir(Path(folder) / "run")
        publish(run_dir.dataset, "".join(each.model_dump_json() + "\n" for each in frozen(settings, [row])).encode())
        publish(run_dir.spec, spec.model_dump_json(indent=2).encode())
        EventLog(run_dir.events, attempt=0).append(Queued())
        is_late = _carry_out(run_dir)
        state, book = read_state(run_dir.events), read_book(run_dir)
    took_s = time.monotonic() - began
    if book:
        return Trial(book[0], "", "", took_s)
    if is_late:
        return Trial(None, f"{spec.model} gave no answer within {TRIAL_S:.0f} s.", "Choose a smaller model.", took_s)
    told = state.error
    reason = told.message if told else state.reason or "The model's process ended without a word."
    return Trial(None, reason, (told.hint if told else state.hint) or "The terminal may say more.", took_s)


def _carry_out(run_dir: RunDir) -> bool:
    """Run the folder alone to its end; True when it took too long and was ended."""
    env = {name: value for name, value in os.environ.items() if name != "LORA_STUDIO_TOKEN"}
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "run", str(run_dir.path)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            process.wait(TRIAL_S)
        except subprocess.TimeoutExpired:
            # Its own child ends with it.
            process.kill()
            return True
    return False
