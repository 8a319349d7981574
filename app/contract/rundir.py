"""The run folder: every path inside it, and the one way a file is published there."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from app.contract.buckets import Fit, Size, fit, in_bucket
from app.contract.recipe import Recipe
from app.contract.splits import Split


class DatasetRow(BaseModel):
    """One frozen picture of a run: where its bytes are, how they are read, and where it trains.

    `size` is the picture's after its recipe; `mask_path` names the mask that the recipe refers to; `text` is the
    caption led by the trigger word, lines and wildcards still in it; `weight` multiplies its loss. `scaled` is what it
    is scaled to before it is cut to the bucket, None where it just covers it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    path: str
    name: str
    size: Size
    bucket: Size
    caption: str
    text: str
    repeats: int
    recipe: Recipe = Recipe()
    mask_path: str | None = None
    weight: float = 1.0
    split: Split = "train"
    scaled: Size | None = None

    @property
    def place(self) -> Fit:
        """How it lies in its bucket."""
        if self.scaled is None:
            return fit(self.size, (self.bucket,))
        return in_bucket(self.size, self.scaled, self.bucket)

    @model_validator(mode="before")
    @classmethod
    def _of_the_first_version(cls, data: Any) -> Any:
        """Runs frozen before recipes had steps name the background alone."""
        if isinstance(data, dict) and "background" in data:
            old = dict(data)
            recipe = {"background": old.pop("background")}
            return {**old, "recipe": recipe}
        return data


@dataclass(frozen=True)
class RunDir:
    """Paths of one run. A copy of the folder is a copy of the run."""

    path: Path

    @property
    def spec(self) -> Path:
        """Settings, written once."""
        return self.path / "spec.json"

    @property
    def lean(self) -> Path:
        """Settings that take less memory, present once a run goes on with them."""
        return self.path / "lean.json"

    @property
    def dataset(self) -> Path:
        """Frozen images and texts, one JSON a line, written once."""
        return self.path / "dataset.jsonl"

    @property
    def events(self) -> Path:
        """Append-only record of what happened."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the child printed."""
        return self.path / "log.txt"

    @property
    def stop(self) -> Path:
        """Present when somebody asked the run to stop."""
        return self.path / "stop"

    @property
    def lock(self) -> Path:
        """Held by the one process that works on the run."""
        return self.path / ".lock"

    @property
    def cache(self) -> Path:
        """Latents and text conditioning; may be deleted at any time."""
        return self.path / "cache"

    @property
    def samples(self) -> Path:
        """Drawn images, a folder a step."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """Saved LoRAs, a folder a step."""
        return self.path / "checkpoints"

    def sample(self, step: int, prompt_index: int, seed: int, strength: float) -> Path:
        """Path of one sample image; equal inputs give equal paths."""
        return self.samples / f"step-{step:06d}" / f"p{prompt_index}-seed{seed}-x{round(strength * 100):03d}.png"

    def checkpoint(self, step: int) -> Path:
        """Folder of the checkpoint of a step."""
        return self.checkpoints / f"step-{step:06d}"

    def lora(self, step: int) -> Path:
        """The LoRA file of a step."""
        return self.checkpoint(step) / "lora.safetensors"

    def inside(self, relative: str) -> Path | None:
        """The file that an event names, or None where there is none or the name leads out of the folder."""
        path = (self.path / relative).resolve()
        return path if path.is_relative_to(self.path.resolve()) and path.is_file() else None

    def read_dataset(self) -> list[DatasetRow]:
        """Read the frozen dataset."""
        # Not splitlines: a caption may hold other line separators, which JSON leaves as they are.
        lines = self.dataset.read_text(encoding="utf-8").split("\n")
        return [DatasetRow.model_validate_json(line) for line in lines if line]


def fsync_dir(path: Path) -> None:
    """Make a rename inside the folder durable (a no-op where folders cannot be opened)."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside, fsync, rename, fsync the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        # On a full disk the half that was written would keep it full.
        beside.unlink(missing_ok=True)
    fsync_dir(path.parent)


def publish_json(path: Path, data: object) -> None:
    """Publish data as readable JSON."""
    publish(path, json.dumps(data, indent=2, ensure_ascii=False).encode())


def publish_dir(staging: Path, final: Path) -> None:
    """Publish a prepared folder: fsync its files, then rename it into place, replacing an older one."""
    for file in sorted(staging.rglob("*")):
        if file.is_file():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
        else:
            fsync_dir(file)
    fsync_dir(staging)
    if final.exists():
        shutil.rmtree(final)
    os.replace(staging, final)
    fsync_dir(final.parent)
