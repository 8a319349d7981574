"""Base models on disk: found, recognised by their own files, and hashed."""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.config import ROOT
from app.contract.families import FAMILIES, FamilyKey
from app.errors import Invalid
from app.store.bases import FoundBase

BUNDLED = ROOT / "worker" / "mini" / "base"
BUNDLED_NAME = "Tiny random base (bundled)"
MAX_HEADER_BYTES = 8_000_000
DEPTH = 3
PIPELINES: dict[str, FamilyKey] = {"StableDiffusionPipeline": "sd15", "StableDiffusionXLPipeline": "sdxl"}
CROSS_ATTENTION_KEYS = (
    "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
)
# What reading a file of another shape than expected raises; deep nesting ends in the last.
MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
FAMILY_OF_WIDTH: dict[int, FamilyKey] = {768: "sd15", 2048: "sdxl"}


def bundled() -> FoundBase:
    """The base that ships with the studio."""
    found = read_folder(BUNDLED, name=BUNDLED_NAME)
    if found is None:
        raise Invalid(f"The bundled base model is missing at {BUNDLED}.", "Restore it from the checkout.")
    return replace(found, is_bundled=True)


def find(folder: Path) -> list[FoundBase]:
    """Return the base models under a folder, at most three levels deep. Raises Invalid when it is no folder."""
    if not folder.is_dir():
        raise Invalid(
            f"{folder} is not a folder.",
            "Give the full path of the folder that holds your base models.",
            field="folder",
        )
    return sorted(_walk(folder, DEPTH), key=lambda found: found.name.casefold())


def _walk(folder: Path, depth: int) -> Iterator[FoundBase]:
    if (folder / "model_index.json").is_file():
        if found := read_folder(folder):
            yield found
        return
    for path in _entries(folder, is_top=depth == DEPTH):
        if path.name.startswith("."):
            continue
        if path.is_dir() and depth > 0:
            yield from _walk(path, depth - 1)
        elif path.suffix == ".safetensors" and (found := read_single_file(path)):
            yield found


def _entries(folder: Path, *, is_top: bool) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        # One folder that is closed to us must not hide the others; the one that was named must be readable.
        if is_top:
            raise
        return []


def read_at(path: Path) -> FoundBase:
    """Recognise the base model at a path. Raises Invalid saying what was found there instead."""
    found = read_folder(path) if path.is_dir() else read_single_file(path) if path.is_file() else None
    if found is None:
        raise Invalid(
            f"{path} is not a Stable Diffusion 1.5 or XL base model.",
            "Give a diffusers folder (with model_index.json) or a single .safetensors file.",
        )
    return found


def read_folder(path: Path, name: str | None = None) -> FoundBase | None:
    """Recognise a diffusers folder; None when it is of no family we know."""
    try:
        index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
        unet = json.loads((path / "unet" / "config.json").read_text(encoding="utf-8"))
        vae = json.loads((path / "vae" / "config.json").read_text(encoding="utf-8"))
        family = PIPELINES.get(index["_class_name"])
        scale = 2 ** (len(vae["block_out_channels"]) - 1)
        resolution_px = int(unet.get("sample_size") or 64) * scale
        size_bytes = sum(file.stat().st_size for file in _weights(path))
    except (OSError, *MALFORMED):
        return None
    if family is None:
        return None
    return FoundBase(
        name=name or path.name,
        path=str(path),
        layout="diffusers",
        family=family,
        size_bytes=size_bytes,
        resolution_px=resolution_px,
        is_bundled=False,
    )


def read_single_file(path: Path) -> FoundBase | None:
    """Recognise a single-file base by the width of its cross-attention; None for LoRAs and everything else."""
    header = read_header(path)
    try:
        width = next((header[key]["shape"][1] for key in CROSS_ATTENTION_KEYS if key in header), None)
        family = FAMILY_OF_WIDTH.get(width or 0)
        size_bytes = path.stat().st_size
    except (OSError, *MALFORMED):
        return None
    if family is None:
        return None
    return FoundBase(
        name=path.stem,
        path=str(path),
        layout="single-file",
        family=family,
        size_bytes=size_bytes,
        resolution_px=FAMILIES[family].resolution_px,
        is_bundled=False,
    )


def read_header(path: Path) -> dict[str, dict[str, list[int]]]:
    """Read a safetensors header without its tensors; empty for a file that has none of a sane length."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > MAX_HEADER_BYTES:
                return {}
            header = json.loads(file.read(length))
    except (OSError, ValueError, RecursionError, struct.error):
        return {}
    return header if isinstance(header, dict) else {}


def _weights(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.safetensors"))


def hash_base(path: Path) -> str:
    """Return the content hash of a base: the file's sha256, or for a folder that of its weight files' hashes."""
    if path.is_file():
        return _sha256(path)
    whole = hashlib.sha256()
    for file in _weights(path):
        whole.update(f"{file.relative_to(path).as_posix()} {_sha256(file)}\n".encode())
    return whole.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
