"""Which models can be asked for suggestions here: folders found, and an offer of what a person can get."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.contract.suggestions import CAPTIONERS, WD_FILES

DEPTH = 3
FolderKind = Literal["wd", "captioner"]


@dataclass(frozen=True)
class FoundTagger:
    """A folder with a model; `trouble` says why it cannot be used, '' when it can."""

    kind: FolderKind
    name: str
    path: str
    size_bytes: int
    note: str
    trouble: str = ""


@dataclass(frozen=True)
class Offer:
    """A model that a person can download: what for, how large, under which licence, and which folder to make."""

    kind: FolderKind
    name: str
    sentence: str
    size: str
    licence: str
    folder: str
    files: str


# Sizes and licences as known when this was written; their pages have the last word.
OFFERS = (
    Offer(
        "wd",
        "SmilingWolf/wd-vit-tagger-v3",
        "10,861 booru tags, best on drawings; fast, on a CPU too.",
        "About 380 MB",
        "Apache-2.0",
        "wd-vit-tagger-v3",
        "model.onnx and selected_tags.csv",
    ),
    Offer(
        "wd",
        "SmilingWolf/wd-swinv2-tagger-v3",
        "The same tags, a little surer and slower.",
        "About 470 MB",
        "Apache-2.0",
        "wd-swinv2-tagger-v3",
        "model.onnx and selected_tags.csv",
    ),
    Offer(
        "captioner",
        "Salesforce/blip-image-captioning-base",
        "One short English sentence; runs on a CPU.",
        "About 1 GB",
        "BSD-3-Clause",
        "blip-base",
        "all .json and .txt files and model.safetensors",
    ),
    Offer(
        "captioner",
        "florence-community/Florence-2-base",
        "A detailed paragraph from a small model.",
        "About 0.5 GB",
        "MIT",
        "florence-2-base",
        "all .json and .txt files and model.safetensors",
    ),
    Offer(
        "captioner",
        "Qwen/Qwen3-VL-4B-Instruct",
        "Follows a prompt in plain words; wants a GPU with 12 GB or more, and the package torchvision.",
        "About 9 GB",
        "Apache-2.0",
        "qwen3-vl-4b",
        "all .json, .jinja and .txt files and every .safetensors file",
    ),
)


def find(folders: Iterable[Path]) -> list[FoundTagger]:
    """The models in these folders, at most three levels deep, each once: what can be used first, then taggers."""
    found = {each.path: each for folder in folders for each in _walk(folder, DEPTH)}
    return sorted(found.values(), key=lambda each: (bool(each.trouble), each.kind != "wd", each.name.casefold()))


def _walk(folder: Path, depth: int) -> Iterator[FoundTagger]:
    if found := recognise(folder):
        yield found
        return
    try:
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return
    if depth:
        for path in inner:
            yield from _walk(path, depth - 1)


def recognise(folder: Path) -> FoundTagger | None:
    """Say what a folder holds, from its small files alone; None when it holds no model of a kind we know."""
    model, tags = (folder / name for name in WD_FILES)
    try:
        if tags.is_file() or (model.is_file() and not (folder / "config.json").is_file()):
            return _wd(folder, model, tags)
        if (folder / "config.json").is_file():
            return _captioner(folder)
    except OSError:
        return None
    return None


def _wd(folder: Path, model: Path, tags: Path) -> FoundTagger:
    lacking = [path.name for path in (model, tags) if not path.is_file()]
    trouble = f"{' and '.join(lacking)} is missing beside it." if lacking else ""
    size = model.stat().st_size if model.is_file() else 0
    number = _count_tags(tags) if tags.is_file() else 0
    if not trouble and not number:
        trouble = f"{tags.name} is no list of tags."
    return FoundTagger("wd", folder.name, str(folder), size, f"{number:,} tags", trouble)


def _count_tags(path: Path) -> int:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return sum("name" in row and "category" in row for row in csv.DictReader(file))
    except (ValueError, csv.Error):
        return 0


def _captioner(folder: Path) -> FoundTagger | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or "model_type" not in config:
        return None
    weights = sorted(folder.glob("*.safetensors"))
    trouble = ""
    if config["model_type"] not in CAPTIONERS:
        trouble = f"Its architecture, {config['model_type']}, cannot caption here; {', '.join(CAPTIONERS)} can."
    elif not weights:
        trouble = "It has no .safetensors file; other formats can run code when they are opened."
    size = sum(path.stat().st_size for path in weights)
    return FoundTagger("captioner", folder.name, str(folder), size, str(config["model_type"])[:40], trouble)
