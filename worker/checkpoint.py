"""Checkpoints: a LoRA file, the exact state to go on from, and a manifest written last that vouches for both."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
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
from worker.ema import Mean
from worker.lora import Lora
from worker.lora_file import Training, write
from worker.optim import averaged

LIBRARIES = ("torch", "diffusers", "peft", "transformers", "accelerate")
STAGING = ".staging"
WEIGHTS = "state/weights.safetensors"
OPTIMIZER = "state/optimizer.safetensors"
RNG = "state/rng.safetensors"
NUMBERS = "state/numbers.json"
MEAN = "mean."
GROUP = "group"
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
    mean: Mean | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Have in the weights' place what is drawn, measured and saved: their mean, where there is one."""
        with self.mean.shown() if self.mean is not None else averaged(self.optimizer):
            yield


def spec_hash(run_dir: RunDir) -> str:
    """Return the hash of what a checkpoint is good for: the dataset, and the settings that change a step."""
    settings = json.loads(run_dir.spec.read_text(encoding="utf-8"))
    for area in ("name", "project", "sampling", "saving", "validation"):
        settings.pop(area, None)
    for name in ("steps", "memory_limit_gb"):
        settings.get("optimization", {}).pop(name, None)
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode() + run_dir.dataset.read_bytes()).hexdigest()


def old_spec_hash(run_dir: RunDir) -> str:
    """Return the hash that checkpoints of earlier studios carry, of every setting."""
    return hashlib.sha256(run_dir.spec.read_bytes() + run_dir.dataset.read_bytes()).hexdigest()


def save_checkpoint(run_dir: RunDir, lora: Lora, state: State, training: Training) -> CheckpointSaved:
    """Publish the checkpoint of a step whole or not at all, and return the event that tells of it."""
    staging = run_dir.checkpoints / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    with state.shown():
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
    manifest = _verified(folder, step, (spec_hash(run_dir), old_spec_hash(run_dir)))
    try:
        weights = load_file(folder / WEIGHTS)
        numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        optimizer = unpacked(load_file(folder / OPTIMIZER), numbers)
        rng = load_file(folder / RNG)
    except DAMAGED as error:
        raise BadCheckpoint(f"its state cannot be read ({type(error).__name__})") from error
    means = {name.removeprefix(MEAN): value for name, value in weights.items() if name.startswith(MEAN)}
    weights = {name: weight for name, weight in weights.items() if not name.startswith(MEAN)}
    shapes = {name: parameter.shape for name, parameter in state.parameters.items()}
    if {name: weight.shape for name, weight in weights.items()} != shapes:
        raise BadCheckpoint("it is of a LoRA of another shape")
    with torch.no_grad():
        for name, parameter in state.parameters.items():
            parameter.copy_(weights[name])
    if state.mean is not None:
        state.mean.restore(means)
    load_exactly(state.optimizer, optimizer)
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
    optimizer, numbers = packed(state.optimizer.state_dict())
    numbers["scaler"] = state.scaler.state_dict() if state.scaler is not None else None
    weights = {name: _on_cpu(weight) for name, weight in state.parameters.items()}
    if state.mean is not None:
        weights |= {f"{MEAN}{name}": _on_cpu(value) for name, value in state.mean.values.items()}
    publish(folder / WEIGHTS, save(weights))
    publish(folder / OPTIMIZER, save(optimizer))
    publish(folder / RNG, save({"cpu": torch.random.get_rng_state()}))
    publish_json(folder / NUMBERS, numbers)


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def packed(raw: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take an optimizer's state apart into tensors by name and plain values, whichever optimizer it is."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    entries = {str(number): entry for number, entry in raw["state"].items()}
    groups = {f"{GROUP}{number}": group for number, group in enumerate(raw["param_groups"])}
    for place, entry in (entries | groups).items():
        values[place] = {name: value for name, value in entry.items() if not isinstance(value, Tensor)}
        # A copy each: some optimizers share a tensor between groups, which the file may not.
        tensors |= {
            f"{place}.{name}": _on_cpu(value).clone() for name, value in entry.items() if isinstance(value, Tensor)
        }
    return tensors, {"values": values}


def unpacked(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Put an optimizer's state together again."""
    if "groups" in numbers:
        values = {f"{GROUP}{number}": dict(group) for number, group in enumerate(numbers["groups"])}
    else:
        values = {place: dict(entry) for place, entry in numbers["values"].items()}
    for key, tensor in tensors.items():
        place, _, name = key.partition(".")
        values.setdefault(place, {})[name] = tensor
    groups = [
        _with_tuples(values.pop(place)) for place in sorted((p for p in values if p.startswith(GROUP)), key=_number)
    ]
    return {"state": {int(place): entry for place, entry in values.items()}, "param_groups": groups}


def _with_tuples(group: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) and name != "params" else value for name, value in group.items()
    }


def load_exactly(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Load a saved state with its numbers kept as they were; torch alone would give them the weights' precision."""
    optimizer.load_state_dict(dict(saved))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, entry in saved["state"].items():
        for name, value in entry.items():
            loaded = optimizer.state[weights[number]][name]
            if isinstance(value, Tensor) and loaded.dtype != value.dtype:
                optimizer.state[weights[number]][name] = value.to(loaded.device)


def _number(place: str) -> int:
    return int(place.removeprefix(GROUP))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if {"step", "spec_sha256", "circumstances", "files"} <= set(manifest):
            return dict(manifest)
    except (OSError, ValueError, TypeError) as error:
        raise BadCheckpoint("its manifest is missing or damaged") from error
    raise BadCheckpoint("its manifest is incomplete")


def _verified(folder: Path, step: int, wanted_specs: Collection[str]) -> dict[str, Any]:
    manifest = _manifest(folder)
    if manifest["step"] != step or manifest["spec_sha256"] not in wanted_specs:
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
