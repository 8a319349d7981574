"""Which picture formats come in, how they are told apart, and what is said of those that do not."""

import re
from pathlib import PurePath

from app.collect.refusals import Refused
from app.collect.tiffs import is_tiff, kind_of_tiff
from app.contract.extra_formats import missing_for

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
HEADS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL ",
)
STILL_BRANDS = (b"avif", b"avis", b"hei", b"hev", b"mif1", b"msf1")
TAKEN = "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF"
NOT_TAKEN = {
    "video": (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".gifv"),
    "camera raw": (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef"),
    "drawing": (".svg", ".psd", ".kra", ".xcf", ".clip", ".ai", ".eps", ".ico", ".tga", ".jp2", ".exr", ".hdr", ".qoi"),
    "picture": (
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pam",
        ".pfm",
        ".pcx",
        ".sgi",
        ".dds",
        ".jpx",
        ".j2k",
        ".jxr",
        ".icns",
    ),
    "document": (".pdf", ".doc", ".docx", ".odt", ".ppt", ".pptx", ".odp", ".epub"),
    "archive": (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".cbz", ".cbr"),
}
KIND_LABELS = {"picture": "picture of a kind"}
NO_PICTURES = ("license", "licence", "copying", "readme", "changelog", "authors", "makefile", "dockerfile")
"""Files without an ending that everybody knows."""
ENDING = re.compile(r"\.[a-z][a-z0-9_~-]{0,9}")
HEAD_BYTES = 32
WAYS_OUT = {
    "video": "Save the frames you want as PNG with a video program, or a scene as animated WebP, then add those.",
    "camera raw": "Develop it to JPEG or PNG, then add that.",
    "drawing": "Save it as PNG, then add that.",
    "picture": "Save it as PNG, then add that.",
    "document": "Save its pictures as PNG, then add those.",
    "archive": "Unpack it, then import its folder; a zip archive can be imported by itself.",
}


def is_picture(name: str) -> bool:
    """True when the name ends like a picture we take in."""
    return PurePath(name).suffix.lower() in SUFFIXES


def lacks_ending(name: str) -> bool:
    """Whether a name has nothing at its end that tells the kind of a file."""
    return not ENDING.fullmatch(PurePath(name).suffix.lower())


def begins_like_picture(head: bytes) -> bool:
    """Whether the first bytes are those of a picture that we take in."""
    is_riff = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    is_bmp = head.startswith(b"BM") and head[6:10] == b"\0\0\0\0"
    is_heif = head[4:8] == b"ftyp" and head[8:12].startswith(STILL_BRANDS)
    return head.startswith(HEADS) or is_riff or is_bmp or is_heif


def has_lying_name(name: str, container: str) -> bool:
    """True when the name ends like another picture format than the file's bytes are of."""
    claimed = SUFFIXES.get(PurePath(name).suffix.lower())
    return claimed is not None and claimed != EXTENSIONS[container]


def left_out(name: str) -> Refused | None:
    """Why a file that people take for a picture is left out by its name; None for what has nothing to do with us."""
    suffix = PurePath(name).suffix.lower()
    kind = next((kind for kind, suffixes in NOT_TAKEN.items() if suffix in suffixes), None)
    return _not_taken(name, kind) if kind else None


def endless(name: str) -> Refused | None:
    """Why a file without an ending, which does not begin like a picture either, is left out; None for any other."""
    if not lacks_ending(name) or name.lower() in NO_PICTURES:
        return None
    words = f"{name} has no ending that tells what it is, and does not begin like an image."
    return Refused("F03", words, "Give it its right ending, or save it as PNG; leave it out if it is no image.")


def _not_taken(name: str, kind: str) -> Refused:
    article = "an" if kind == "archive" else "a"
    what = f"{KIND_LABELS[kind]} that" if kind in KIND_LABELS else f"{kind} file, which"
    return Refused("F03", f"{name} is {article} {what} is not taken in.", WAYS_OUT[kind])


def unidentified(name: str, data: bytes) -> Refused:
    """Say of bytes that no decoder knows what they are, as far as can be told."""
    if missing := missing_for(data):
        return Refused(
            "F03",
            f"{name} is a {missing.label} image; its decoder is not installed.",
            f"Run pip install {missing.package} in LoRA Studio's .venv and start it again, or save it as PNG.",
        )
    head = data[:512].lstrip()
    if _is_video(head):
        return _not_taken(name, "video")
    if refusal := left_out(name):
        return refusal
    if is_tiff(data):
        what = kind_of_tiff(data)
        kind = f"a TIFF of {what} samples, which" if what else "a damaged TIFF, or one of a kind that"
        return Refused(
            "F03", f"{name} is {kind} cannot be read here.", "Save it with 8 or 16 bits a channel, or as PNG."
        )
    return Refused(
        "F01",
        f"{name} cannot be read as an image: {_what_it_is(head)}.",
        "Open it in an image program and save it again as PNG or JPEG.",
    )


def _is_video(head: bytes) -> bool:
    """Whether the bytes begin like an MP4, MOV, WebM, MKV, AVI or MPEG; HEIC and AVIF begin like the first, too."""
    is_container = head[4:8] in (b"ftyp", b"moov", b"mdat") and not head[8:12].startswith(STILL_BRANDS)
    is_avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    return is_container or is_avi or head.startswith((b"\x1aE\xdf\xa3", b"\0\0\x01\xba"))


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
    if head[4:8] == b"ftyp":
        return "it is a damaged HEIC or AVIF image"
    return "its bytes are of no known image format"
