"""Addresses of pictures on the screen; a recipe's look stands in them, so that a change is seen at once."""

from typing import Protocol
from zlib import crc32

from app.contract.recipe import Recipe, look_key


class Shown(Protocol):
    """An image as far as its address goes."""

    @property
    def id(self) -> int:
        """The image's id."""

    @property
    def sha256(self) -> str:
        """The original's hash."""

    @property
    def recipe(self) -> Recipe:
        """What is done to it."""


def thumb_url(image: Shown) -> str:
    """The thumbnail of an image as it trains."""
    return _url(image, "thumbs", "thumb")


def picture_url(image: Shown) -> str:
    """The large copy of an image as it trains."""
    return _url(image, "pictures", "picture")


def stage_url(image: Shown, stage: str) -> str:
    """The large copy at a stage of its recipe: `uncropped`, what a crop box is drawn on, or `turned`, a mask."""
    return f"/media/images/{image.id}/{stage}.webp?v={look_key(image.recipe) or 0}"


def shade_url(image: Shown) -> str:
    """Red over what does not count in a masked loss; the recipe stands in it, since a mask changes no look."""
    return f"/media/images/{image.id}/shade.png?v={crc32(image.recipe.to_json().encode()):08x}"


def _url(image: Shown, folder: str, stage: str) -> str:
    if look_key(image.recipe):
        return stage_url(image, stage)
    return f"/media/{folder}/{image.sha256}.webp"
