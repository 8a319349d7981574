"""Originals on disk by content hash, and the re-encoded copies that pages show."""

from pathlib import Path

from PIL import Image

from app.collect.pictures import THUMB_SIDE_PX, Picture, webp
from app.config import Settings
from app.contract.pixels import open_rgb
from app.contract.recipe import Recipe
from app.contract.rundir import publish

DISPLAY_SIDE_PX = 1600


def blob_path(settings: Settings, sha256: str, extension: str) -> Path:
    """Where the original's bytes are."""
    return settings.blobs / sha256[:2] / f"{sha256}.{extension}"


def thumb_path(settings: Settings, sha256: str) -> Path:
    """Where the thumbnail is."""
    return settings.thumbs / sha256[:2] / f"{sha256}.webp"


def put(settings: Settings, picture: Picture, data: bytes) -> None:
    """Publish the original and its thumbnail; a picture already there is left alone."""
    original = blob_path(settings, picture.sha256, picture.extension)
    if not original.exists():
        publish(original, data)
    thumb = thumb_path(settings, picture.sha256)
    if not thumb.exists():
        publish(thumb, picture.thumb)


def made_thumb(settings: Settings, sha256: str, extension: str) -> Path:
    """Return the thumbnail, made anew when it is missing. Raises one of pixels.UNREADABLE."""
    return _made(thumb_path(settings, sha256), blob_path(settings, sha256, extension), THUMB_SIDE_PX)


def display_path(settings: Settings, sha256: str, extension: str) -> Path:
    """Return the large copy for the screen, made when it is missing. Raises one of pixels.UNREADABLE."""
    path = settings.thumbs / sha256[:2] / f"{sha256}-{DISPLAY_SIDE_PX}.webp"
    return _made(path, blob_path(settings, sha256, extension), DISPLAY_SIDE_PX)


def _made(path: Path, original: Path, side_px: int) -> Path:
    if not path.exists():
        image = open_rgb(original, Recipe())
        image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        publish(path, webp(image))
    return path
