"""Items that the tests of exports make for themselves."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from app.export.layout import Item
from app.store.images import ImageRow

PLAIN = ImageRow(1, 1, "a.png", "0" * 64, "png", 8, 8, 1, "a cat")


def item_of(
    original: Path = Path("missing.png"),
    raw: bytes | None = None,
    encoding: str = "utf-8",
    mask: Path | None = None,
    **changes: object,
) -> Item:
    """An item whose row differs from a plain one by the changes."""
    row = replace(PLAIN, **changes)  # type: ignore[arg-type]
    return Item(row=row, original=original, mask=mask, raw=raw, encoding=encoding)


def dots(number: int, width: int = 8, height: int = 6) -> Image.Image:
    """A small picture whose pixels say its number."""
    image = Image.new("RGB", (width, height), (number % 251, 40, 90))
    image.putpixel((0, 0), (255, number % 251, 0))
    return image


def encoded(image: Image.Image, container: str = "PNG", **options: object) -> bytes:
    """A picture as a file."""
    buffer = BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()
