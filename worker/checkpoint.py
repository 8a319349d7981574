"""Checkpoints: a LoRA file, the exact state to go on from, and a manifest written last that vouches for both."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from app.contract.events import CheckpointSaved
from app.contract.rundir import RunDir, publish, publish_dir, publish_json
from worker.lora import Lora
from worker.lora_file import Training, write

LIBRARIES = ("torch", "diffusers", "peft", "transformers", "accelerate")
STAGING = ".staging"
WEIGHTS = "state/weights.safetensors"
OPTIMIZER = "state/optimizer.safetensors"
RNG = "state/rng.safetensors"
NUMBERS = "state/numbers.json"
STATE = (WEIGHTS, OPTIMIZER, RNG, NUMBERS)
DAMAGED = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


class BadCheckpoint(Exception):
    """A checkpoint cannot be gone on from; the message says why."""


@dataclass(frozen=True)
class State:
    """What training goes on from; the learning rate and the data order follow from the step alone."""

    parameters: Mapping[str, Parameter]
    optimizer: Optimizer
    scaler: torch.amp.GradScaler | None


def spec_hash(run_dir: RunDir) -> str:
    """Return the hash of the run's settings and dataset, which a checkpoint is good for."""
    return hashlib.sha256(run_dir.spec.read_bytes() + run_dir.dataset.read_bytes()).hexdigest()


def save_checkpoint(run_dir: RunDir, lora: Lora, state: State, training: Training) -> CheckpointSaved:
    """Publish the checkpoint of a step whole or not at all, and return the event that tells of it."""
    staging = run_dir.checkpoints / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    write(staging / "lora.safetensors", lora, training)
    _write_state(staging, state)
    files = {name: _facts(staging / name) for name in ("lora.safetensors", *STATE)}
    manifest = {
        "version": 1,
        "step": training.step,
        "spec_sha256": spec_hash(run_dir),
        "circumstances": circumstances(),
        "files": files,
    }
    publish_json(staging / "manifest.json", manifest)
    publish_dir(staging, run_dir.checkpoint(training.step))
    return saved_event(run_dir, training.step)


def saved_event(run_dir: RunDir, step: int) -> CheckpointSaved:
    """Return the event of a published checkpoint, from its manifest."""
    facts = _manifest(run_dir.checkpoint(step))["files"]["lora.safetensors"]
    path = run_dir.lora(step).relative_to(run_dir.path).as_posix()
    return CheckpointSaved(step=step, path=path, size_bytes=facts["size_bytes"], sha256=facts["sha256"])


def circumstances() -> dict[str, str]:
    """What exact resuming depends on besides the state: library versions, and over how many threads sums are split."""
    return {name: version(name) for name in LIBRARIES} | {"threads": str(torch.get_num_threads())}


def steps_saved(run_dir: RunDir) -> list[int]:
    """Return the steps that have a checkpoint folder, newest first."""
    names = [path.name for path in run_dir.checkpoints.glob("step-*")] if run_dir.checkpoints.is_dir() else []
    return sorted((int(digits) for name in names if (digits := name.removeprefix("step-")).isdigit()), reverse=True)


def can_resume(run_dir: RunDir, step: int) -> bool:
    """Whether a checkpoint still claims to hold its state; older ones keep their LoRA file only."""
    folder = run_dir.checkpoint(step)
    try:
        return STATE[0] in _manifest(folder)["files"]
    except BadCheckpoint:
        return (folder / "state").is_dir() or not (folder / "manifest.json").is_file()


def restore(run_dir: RunDir, step: int, state: State) -> list[str]:
    """Load a checkpoint into the state, after every file of it was verified; return what may make it inexact.

    Raises BadCheckpoint, having changed nothing.
    """
    folder = run_dir.checkpoint(step)
    manifest = _verified(folder, step, spec_hash(run_dir))
    try:
        weights = load_file(folder / WEIGHTS)
        numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        optimizer = _optimizer_state(load_file(folder / OPTIMIZER), numbers["groups"])
        rng = load_file(folder / RNG)
    except DAMAGED as error:
        raise BadCheckpoint(f"its state cannot be read ({type(error).__name__})") from error
    shapes = {name: parameter.shape for name, parameter in state.parameters.items()}
    if {name: weight.shape for name, weight in weights.items()} != shapes:
        raise BadCheckpoint("it is of a LoRA of another shape")
    with torch.no_grad():
        for name, parameter in state.parameters.items():
            parameter.copy_(weights[name])
    state.optimizer.load_state_dict(optimizer)
    torch.random.set_rng_state(rng["cpu"])
    if state.scaler is not None and numbers["scaler"]:
        state.scaler.load_state_dict(numbers["scaler"])
    now, then = circumstances(), manifest["circumstances"]
    return [f"{name} {then.get(name)} then, {now[name]} now" for name in now if now[name] != then.get(name)]


def drop_old_states(run_dir: RunDir, newest: int, keep: int) -> None:
    """Delete the resume states of all but a few checkpoints up to the newest step; their LoRA files stay.

    What lies beyond that step was found damaged, and waits to be written again.
    """
    held = [step for step in steps_saved(run_dir) if step <= newest and can_resume(run_dir, step)]
    for step in held[keep:]:
        folder = run_dir.checkpoint(step)
        try:
            manifest = _manifest(folder)
        except BadCheckpoint:
            continue
        manifest["files"] = {name: facts for name, facts in manifest["files"].items() if name not in STATE}
        publish_json(folder / "manifest.json", manifest)
        shutil.rmtree(folder / "state", ignore_errors=True)


def _write_state(folder: Path, state: State) -> None:
    raw = state.optimizer.state_dict()
    optimizer = {
        f"{number}.{name}": _on_cpu(tensor) for number, entry in raw["state"].items() for name, tensor in entry.items()
    }
    numbers = {
        "groups": raw["param_groups"],
        "scaler": state.scaler.state_dict() if state.scaler is not None else None,
    }
    publish(folder / WEIGHTS, save({name: _on_cpu(weight) for name, weight in state.parameters.items()}))
    publish(folder / OPTIMIZER, save(optimizer))
    publish(folder / RNG, save({"cpu": torch.random.get_rng_state()}))
    publish_json(folder / NUMBERS, numbers)


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _optimizer_state(tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> dict[str, Any]:
    entries: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        entries.setdefault(int(number), {})[name] = tensor
    return {"state": entries, "param_groups": groups}


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if {"step", "spec_sha256", "circumstances", "files"} <= set(manifest):
            return dict(manifest)
    except (OSError, ValueError, TypeError) as error:
        raise BadCheckpoint("its manifest is missing or damaged") from error
    raise BadCheckpoint("its manifest is incomplete")


def _verified(folder: Path, step: int, wanted_spec: str) -> dict[str, Any]:
    manifest = _manifest(folder)
    if manifest["step"] != step or manifest["spec_sha256"] != wanted_spec:
        raise BadCheckpoint("it is of another step or of other settings")
    for name, fault in _faults(folder, manifest["files"]):
        raise BadCheckpoint(f"{name} {fault}")
    return manifest


def _faults(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name in ("lora.safetensors", *STATE):
        if name not in files:
            yield name, "is not in its manifest"
        elif not (folder / name).is_file():
            yield name, "is missing"
        elif _facts(folder / name) != files[name]:
            yield name, "is not as it was written"


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size_bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
