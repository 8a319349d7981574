"""The screen's pictures of the running studio: those that are kept are handed out, others are drawn by a child."""

from pathlib import Path

from app.collect.blobs import blob_path, is_made
from app.collect.decoders import Decoders
from app.collect.drawing import DrawWish
from app.collect.refusals import Refused
from app.config import Settings
from app.errors import NotFound


class Screen:
    """Draws no picture in the server's own process: what strangers made is decoded in a bounded child alone."""

    def __init__(self, settings: Settings, decoders: Decoders) -> None:
        self._settings = settings
        self._decoders = decoders

    def path(self, wish: DrawWish, name: str = "The image") -> Path | None:
        """Where the picture is, None where there is nothing to see. Raises NotFound, Unavailable."""
        target = wish.target(self._settings)
        if is_made(target):
            return target
        original = blob_path(self._settings, wish.sha256, wish.extension)
        try:
            return target if self._decoders.draw(original, name, wish) else None
        except Refused as refusal:
            if wish.side_px:
                raise NotFound("The original is gone or damaged.", "Add the image again.") from refusal
            told = "The mask or the original is gone or damaged."
            raise NotFound(told, "Remove the mask, or draw it again.") from refusal
