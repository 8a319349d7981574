"""From bytes that claim to be a picture to checked facts and a thumbnail."""

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from app.contract.pixels import UNREADABLE, upright_rgb
from app.contract.recipe import Recipe
from app.errors import Invalid

EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp"})
MAX_PIXELS = 100_000_000
MAX_BYTES = 200_000_000
THUMB_SIDE_PX = 320
WEBP_QUALITY = 85


@dataclass(frozen=True)
class Picture:
    """A checked picture: its content hash, its upright size in pixels, and a WebP thumbnail."""

    sha256: str
    extension: str
    size_bytes: int
    width_px: int
    height_px: int
    thumb: bytes


def read_picture(data: bytes, name: str) -> Picture:
    """Decode the whole picture once and return its facts.

    Raises Invalid naming the file, the reason and the way out; the kind is told by the bytes, never by the name.
    """
    if not data:
        raise Invalid(f"{name} is empty (0 bytes).", "Copy or download the file again.")
    if len(data) > MAX_BYTES:
        raise Invalid(f"{name} is larger than {MAX_BYTES // 1_000_000} MB.", "Save it smaller, then add it again.")
    try:
        image = _decode(data, name)
    except UNREADABLE as error:
        raise Invalid(
            f"{name} cannot be read as an image: {_reason(error, data)}.",
            "Open it in an image program and save it again as PNG or JPEG.",
        ) from error
    thumb = image.copy()
    thumb.thumbnail((THUMB_SIDE_PX, THUMB_SIDE_PX), Image.Resampling.LANCZOS)
    return Picture(
        sha256=hashlib.sha256(data).hexdigest(),
        extension=EXTENSIONS[image.info["container"]],
        size_bytes=len(data),
        width_px=image.width,
        height_px=image.height,
        thumb=webp(thumb),
    )


def _decode(data: bytes, name: str) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow only warns between its two bomb limits; our own cap below is the one that decides.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(BytesIO(data)) as opened:
            container = opened.format or ""
            if container not in EXTENSIONS:
                raise Invalid(
                    f"{name} is a {container or 'picture'} file, which is not taken in yet.",
                    "Save it as PNG, JPEG or WebP.",
                )
            if opened.width * opened.height > MAX_PIXELS:
                raise Invalid(
                    f"{name} has {opened.width} × {opened.height} pixels, more than {MAX_PIXELS // 1_000_000} million.",
                    "Scale it down, then add it again.",
                )
            rgb = upright_rgb(opened, Recipe())
    rgb.info = {"container": container}
    return rgb


def _reason(error: BaseException, data: bytes) -> str:
    head = data[:256].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not an image"
    if isinstance(error, UnidentifiedImageError):
        return "its bytes are of no known image format"
    text = str(error).strip().rstrip(".") or type(error).__name__
    if "truncated" in text.lower():
        return f"it is cut off ({text})"
    return f"it is damaged ({text})"


def webp(image: Image.Image) -> bytes:
    """Encode as WebP without metadata."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=WEBP_QUALITY, method=4)
    return buffer.getvalue()
