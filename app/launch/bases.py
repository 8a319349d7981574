"""Base models on disk: found, recognised by their own files, and hashed."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.config import ROOT
from app.contract.base_file import NotABase, Prediction, is_lora, is_vae, recognise, sidecar_of
from app.contract.families import FAMILIES, FamilyKey
from app.contract.tensor_file import MALFORMED, BadTensorFile, read_header
from app.errors import Invalid
from app.store.bases import FoundBase

BUNDLED = ROOT / "worker" / "mini" / "base"
BUNDLED_NAME = "Emoji mini (bundled)"
DEPTH = 3
PIPELINES: dict[str, FamilyKey] = {"StableDiffusionPipeline": "sd15", "StableDiffusionXLPipeline": "sdxl"}
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
PICKLE_SENTENCE = (
    "It is a pickle, which can run any program when it is opened, so it is not read. "
    "Convert it to .safetensors with a tool you trust."
)


@dataclass(frozen=True)
class Refused:
    """A file that was looked at and cannot be a base, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Told:
    """What a base predicts, None when its files cannot be read; `is_sure` is False where they leave it open."""

    prediction: Prediction | None
    is_sure: bool = True


@dataclass
class Look:
    """What a look at a folder found: bases, VAEs that may be chosen for them, and what only looks like a base."""

    found: list[FoundBase] = field(default_factory=list)
    vaes: list[Path] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def bundled() -> FoundBase:
    """The base that ships with the studio."""
    found = read_folder(BUNDLED, name=BUNDLED_NAME)
    if found is None:
        raise Invalid(f"The bundled base model is missing at {BUNDLED}.", "Restore it from the checkout.")
    return replace(found, is_bundled=True)


def find(folder: Path) -> list[FoundBase]:
    """Return the base models under a folder, at most three levels deep. Raises Invalid when it is no folder."""
    return look(folder).found


def look(folder: Path) -> Look:
    """Look through a folder, at most three levels deep. Raises Invalid when it is no folder."""
    if not folder.is_dir():
        raise Invalid(
            f"{folder} is not a folder.",
            "Give the full path of the folder that holds your base models.",
            field="folder",
        )
    seen = Look()
    for path in _walk(folder, DEPTH):
        _take(seen, path)
    seen.found.sort(key=lambda found: found.name.casefold())
    return seen


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "model_index.json").is_file() or _is_vae_folder(folder):
        yield folder
        return
    for path in _entries(folder, is_top=depth == DEPTH):
        if path.name.startswith("."):
            continue
        if path.is_dir() and depth > 0:
            yield from _walk(path, depth - 1)
        elif path.suffix in (".safetensors", *PICKLES):
            yield path


def _entries(folder: Path, *, is_top: bool) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        # One folder that is closed to us must not hide the others; the one that was named must be readable.
        if is_top:
            raise
        return []


def _take(seen: Look, path: Path) -> None:
    if path.is_dir():
        if (path / "model_index.json").is_file():
            seen.found += [found] if (found := read_folder(path)) else []
        else:
            seen.vaes.append(path)
        return
    if path.suffix in PICKLES:
        seen.refused.append(Refused(path.name, PICKLE_SENTENCE))
        return
    try:
        header = read_header(path)
        if is_vae(header):
            seen.vaes.append(path)
        elif not is_lora(header):
            seen.found.append(read_single_file(path))
    except NotABase as error:
        seen.refused.append(Refused(path.name, str(error)))
    except BadTensorFile as error:
        seen.refused.append(Refused(path.name, f"{str(error)[:1].upper()}{str(error)[1:]}."))
    except OSError:
        return


def _is_vae_folder(path: Path) -> bool:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        return bool(config["_class_name"] == "AutoencoderKL")
    except (OSError, *MALFORMED):
        return False


def read_at(path: Path) -> FoundBase:
    """Recognise the base model at a path. Raises Invalid saying what was found there instead."""
    reason = ""
    try:
        found = read_folder(path) if path.is_dir() else read_single_file(path) if path.is_file() else None
    except NotABase as error:
        found, reason = None, f" {error}"
    except (BadTensorFile, OSError) as error:
        found, reason = None, f" {error}."
    if found is None:
        raise Invalid(
            f"{path} is not a Stable Diffusion 1.5 or XL base model.{reason}",
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


def read_single_file(path: Path) -> FoundBase:
    """Recognise a single-file base. Raises NotABase or BadTensorFile in words, OSError when it cannot be read."""
    if path.suffix in PICKLES:
        raise NotABase(PICKLE_SENTENCE)
    facts = recognise(read_header(path), sidecar_of(path))
    return FoundBase(
        name=path.stem,
        path=str(path),
        layout="single-file",
        family=facts.family,
        size_bytes=path.stat().st_size,
        resolution_px=FAMILIES[facts.family].resolution_px,
        is_bundled=False,
    )


def prediction_of(path: Path) -> Told:
    """What a base predicts, as its own files tell it."""
    try:
        if path.is_file():
            facts = recognise(read_header(path), sidecar_of(path))
            return Told(facts.prediction, facts.is_prediction_told)
        config = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        return Told("v_prediction" if config.get("prediction_type") == "v_prediction" else "epsilon")
    except (OSError, BadTensorFile, NotABase, *MALFORMED):
        return Told(None)


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
