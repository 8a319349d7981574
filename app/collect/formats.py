"""Which picture formats come in, how they are told apart, and what is said of those that do not."""

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

from app.collect.refusals import Refused

EXTENSIONS = {
    "PNG": "png",
    "JPEG": "jpg",
    "MPO": "jpg",
    "WEBP": "webp",
    "BMP": "bmp",
    "DIB": "bmp",
    "GIF": "gif",
    "TIFF": "tiff",
    "AVIF": "avif",
    "HEIF": "heic",
    "JXL": "jxl",
}
"""What Pillow calls the formats we take, and the ending their originals get."""

SUFFIXES = {
    ".png": "png",
    ".apng": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".jpe": "jpg",
    ".jfif": "jpg",
    ".webp": "webp",
    ".bmp": "bmp",
    ".dib": "bmp",
    ".gif": "gif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
    ".hif": "heic",
    ".jxl": "jxl",
}
TAKEN = "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF"
NOT_TAKEN = {
    "film": (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".gifv"),
    "camera raw": (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef"),
    "drawing": (".svg", ".psd", ".kra", ".xcf", ".clip", ".ai", ".eps", ".ico", ".tga", ".jp2", ".exr", ".hdr", ".qoi"),
}
WAYS_OUT = {
    "film": "Save the frames you want as PNG, then add those.",
    "camera raw": "Develop it to JPEG or PNG, then add that.",
    "drawing": "Save it as PNG, then add that.",
}


@dataclass(frozen=True)
class Optional:
    """A format whose decoder a person installs by hand: its package, its module, and how its files begin."""

    label: str
    package: str
    module: str
    heads: tuple[bytes, ...]
    at: int = 0


HEIC_BRANDS = tuple(
    b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
)
OPTIONAL = (
    Optional("HEIC", "pillow-heif", "pillow_heif", HEIC_BRANDS, at=4),
    Optional("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
)


@cache
def with_optional_decoders() -> tuple[str, ...]:
    """Let Pillow read what installed extra decoders can, and return the labels of those formats."""
    found = []
    for extra in OPTIONAL:
        try:
            module = importlib.import_module(extra.module)
        except ImportError:
            continue
        if hasattr(module, "register_heif_opener"):
            module.register_heif_opener()
        found.append(extra.label)
    return tuple(found)


def is_picture(name: str) -> bool:
    """True when the name ends like a picture we take in."""
    return PurePath(name).suffix.lower() in SUFFIXES


def has_lying_name(name: str, container: str) -> bool:
    """True when the name ends like another picture format than the file's bytes are of."""
    claimed = SUFFIXES.get(PurePath(name).suffix.lower())
    return claimed is not None and claimed != EXTENSIONS[container]


def left_out(name: str) -> Refused | None:
    """Why a file that people take for a picture is left out by its name; None for what has nothing to do with us."""
    suffix = PurePath(name).suffix.lower()
    for kind, suffixes in NOT_TAKEN.items():
        if suffix in suffixes:
            return Refused("F03", f"{name} is a {kind} file, which is not taken in.", WAYS_OUT[kind])
    return None


def unidentified(name: str, data: bytes) -> Refused:
    """Say of bytes that no decoder knows what they are, as far as can be told."""
    for extra in OPTIONAL:
        if data[extra.at :].startswith(extra.heads):
            return Refused(
                "F03",
                f"{name} is a {extra.label} image; its decoder is not installed.",
                f"Run pip install {extra.package} in LoRA Studio's .venv and start it again, or save it as PNG.",
            )
    reason = _what_it_is(data[:512].lstrip())
    return Refused(
        "F01",
        f"{name} cannot be read as an image: {reason}.",
        "Open it in an image program and save it again as PNG or JPEG.",
    )


def _what_it_is(head: bytes) -> str:
    low = head.lower()
    if low.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not an image"
    if b"<svg" in low:
        return "it is an SVG drawing, which has no pixels"
    if head.startswith(b"%PDF"):
        return "it is a PDF document"
    if head.startswith(b"PK\x03\x04"):
        return "it is a zip archive"
    if head[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3"):
        return "it is a film"
    return "its bytes are of no known image format"
