"""Originals on disk by content hash, and the re-encoded copies that pages show."""

from pathlib import Path

from PIL import Image

from app.collect.pictures import Picture, webp
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


def display_path(settings: Settings, sha256: str, extension: str) -> Path:
    """Return the large copy for the screen, made from the original when it is missing.

    Raises one of pixels.UNREADABLE when the original is gone or damaged.
    """
    path = settings.thumbs / sha256[:2] / f"{sha256}-{DISPLAY_SIDE_PX}.webp"
    if not path.exists():
        image = open_rgb(blob_path(settings, sha256, extension), Recipe())
        image.thumbnail((DISPLAY_SIDE_PX, DISPLAY_SIDE_PX), Image.Resampling.LANCZOS)
        publish(path, webp(image, quality=88))
    return path
