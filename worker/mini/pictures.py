"""The bundled base's training pictures: openly licensed emoji of one name in several drawing styles.

The sets come from npm packages by the registry's own client (`npm pack`) and are rasterised by `resvg-py`; neither is
needed to use the finished model.
"""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE_PX = 64
PACKAGES = {
    "noto": ("@iconify-json/noto", "1.2.9"),
    "twemoji": ("@iconify-json/twemoji", "1.2.5"),
    "fluent": ("@iconify-json/fluent-emoji-flat", "1.2.6"),
    "openmoji": ("@iconify-json/openmoji", "1.2.29"),
    "keywords": ("emojilib", "4.0.3"),
    "names": ("unicode-emoji-json", "0.9.0"),
}
BASE_STYLES = ("noto", "twemoji", "fluent")
UNSEEN_STYLE = "openmoji"
HELD_OUT_SHARE = 0.1
KEYWORDS = 5
LEFT_OUT = ("flag", "keycap", "skin tone")


@dataclass(frozen=True)
class Concept:
    """A thing that every set draws: its icon name, its words, and whether training may see it."""

    key: str
    name: str
    keywords: tuple[str, ...]
    is_held_out: bool


def fetch(folder: Path) -> None:
    """Download and unpack the packages that are not there yet (about 9 MB)."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, (package, version) in PACKAGES.items():
        target = folder / key
        if target.exists():
            continue
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
        )
        archive = folder / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            tar.extractall(folder / f"{key}.part", filter="data")
        (folder / f"{key}.part" / "package").rename(target)


def concepts(folder: Path) -> list[Concept]:
    """Return the concepts that all four sets draw and that have keywords, in a stable order."""
    sets = [_icons(folder, style)["icons"] for style in (*BASE_STYLES, UNSEEN_STYLE)]
    shared = set.intersection(*(set(icons) for icons in sets))
    words = json.loads((folder / "keywords" / "dist" / "emoji-en-US.json").read_text("utf-8"))
    named = json.loads((folder / "names" / "data-by-emoji.json").read_text("utf-8"))
    found = []
    for emoji, entry in named.items():
        key = entry["slug"].replace("_", "-")
        name = entry["name"].lower().replace("“", "").replace("”", "")
        if key not in shared or any(word in name for word in LEFT_OUT):
            continue
        keywords = tuple(word.replace("_", " ") for word in words.get(emoji, []) if word.replace("_", " ") != name)
        share = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
        found.append(Concept(key, name, keywords[:KEYWORDS], share < HELD_OUT_SHARE))
    return sorted(found, key=lambda concept: concept.key)


def _icons(folder: Path, style: str) -> dict[str, Any]:
    icons: dict[str, Any] = json.loads((folder / style / "icons.json").read_text("utf-8"))
    return icons


def rasterise(folder: Path, style: str, keys: list[str], side_px: int = SIDE_PX) -> np.ndarray:
    """Return the icons on white as uint8 [n, side, side, 3]."""
    import resvg_py  # noqa: PLC0415 - only the recipe needs it

    icons = _icons(folder, style)
    width, height = icons.get("width", 16), icons.get("height", 16)
    pictures = []
    for key in keys:
        body = icons["icons"][key]["body"]
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side_px, background="#ffffff", skip_system_fonts=True))
        pictures.append(np.asarray(Image.open(BytesIO(png)).convert("RGB").resize((side_px, side_px))))
    return np.stack(pictures)


def load_pictures(work: Path) -> tuple[list[Concept], dict[str, np.ndarray]]:
    """Concepts, and uint8 [n, 64, 64, 3] pictures by style in the same order."""
    fetch(work / "packages")
    known = concepts(work / "packages")
    path = work / "pictures.npz"
    if not path.exists():
        keys = [concept.key for concept in known]
        drawn = {style: rasterise(work / "packages", style, keys) for style in (*BASE_STYLES, UNSEEN_STYLE)}
        np.savez(path, allow_pickle=False, **drawn)
    with np.load(path) as stored:
        return known, {style: stored[style] for style in stored.files}


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [n, h, w, 3] → uint8 [n, 3, h, w]."""
    return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).contiguous()


def scaled(pictures: Tensor) -> Tensor:
    """0…255 → -1…1."""
    return pictures.float() / 127.5 - 1
