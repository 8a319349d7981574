"""Handing a LoRA over: the file, a preview, and the sidecar that other programs read beside it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from app.contract.rundir import RunDir, publish_json
from app.contract.spec import TrainSpec
from app.contract.state import RunState
from app.errors import Conflict, NotFound

SIDECAR_VERSION = {"sd15": "SD1", "sdxl": "SDXL"}
"""What the sidecar's `sd version` field calls our families."""


@dataclass(frozen=True)
class HandOver:
    """What was written."""

    step: int
    lora: Path
    sidecar: Path
    preview: Path | None


def hand_over(folder: RunDir, spec: TrainSpec, state: RunState, step: int | None, to: Path) -> HandOver:
    """Copy a checkpoint's LoRA (the newest without a step) to a folder, with sidecar and preview.

    Raises NotFound when the run has no such checkpoint, Conflict when the target exists with other content.
    """
    saved = {checkpoint.step: checkpoint for checkpoint in state.checkpoints}
    if not saved:
        raise NotFound(f"{spec.name} has no checkpoint yet.", "Wait for the first one, or train again.")
    chosen = max(saved) if step is None else step
    if chosen not in saved:
        steps = ", ".join(str(known) for known in saved)
        raise NotFound(f"{spec.name} has no checkpoint at step {chosen}.", f"It has: {steps}.")
    source = folder.inside(saved[chosen].path)
    if source is None:
        raise NotFound(f"The file of {spec.name} at step {chosen} is gone.", "Choose another step, or put it back.")
    if to.exists() and not to.is_dir():
        raise Conflict(f"{to} is a file.", "Name a folder.")
    to.mkdir(parents=True, exist_ok=True)
    name = f"{folder.path.name}-step-{chosen:06d}"
    lora = to / f"{name}.safetensors"
    if lora.exists() and lora.read_bytes() != source.read_bytes():
        raise Conflict(f"{lora} exists with other content.", "Move it away or choose another folder.")
    shutil.copyfile(source, lora)
    sidecar = to / f"{name}.json"
    publish_json(
        sidecar,
        {
            "description": f"{spec.purpose} LoRA, {spec.project}, step {chosen}",
            "sd version": SIDECAR_VERSION[spec.base.family],
            "activation text": spec.trigger_word,
            "preferred weight": 1.0,
            "notes": f"Trained on {spec.base.name} with LoRA Studio.",
        },
    )
    return HandOver(chosen, lora, sidecar, _preview(folder, state, chosen, to / f"{name}.png"))


def _preview(folder: RunDir, state: RunState, step: int, to: Path) -> Path | None:
    drawn = (folder.inside(sample.path) for sample in state.samples if sample.step == step)
    source = next((path for path in drawn if path), None)
    if source is None:
        return None
    shutil.copyfile(source, to)
    return to
