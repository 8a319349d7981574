"""Pixels as they leave: what is asked for each item of whoever decodes it."""

from pathlib import Path

from app.collect import leaving
from app.collect.leaving import LeaveWish, PictureFormat
from app.export.layout import Item, Layout, Options, Place

NOWHERE = Path()


def has_mask(item: Item) -> bool:
    """Whether a mask was drawn, or the picture's own transparency counts as one."""
    return item.mask is not None or item.row.recipe.alpha == "mask"


def wish_of(place: Place, layout: Layout, options: Options, into: Path) -> LeaveWish:
    """What a layout asks of an item; what is written anew lies beside `into`."""
    # Kohya pairs a mask with its picture by the whole file name in some versions, by the stem in others.
    kind: PictureFormat = "png" if place.needs_mask else options.pictures
    kinds = frozenset({"png"}) if place.needs_mask else layout.suffixes
    wish = _wish(place.item, kind, kinds, layout.keeps_bytes)
    return wish.model_copy(update={"takes_mask": bool(place.mask), "needs_mask": place.needs_mask, "into": into})


def _wish(item: Item, kind: PictureFormat, suffixes: frozenset[str], keeps_bytes: bool) -> LeaveWish:
    row = item.row
    return LeaveWish(
        name=row.name,
        original=item.original,
        extension=row.extension,
        width_px=row.width_px,
        height_px=row.height_px,
        recipe=row.recipe,
        mask=item.mask,
        kind=kind,
        suffixes=suffixes,
        keeps_bytes=keeps_bytes,
        takes_mask=False,
        needs_mask=False,
        into=NOWHERE,
    )


def is_ready(item: Item) -> bool:
    """Whether every program reads the original's own bytes as we do. Raises one of UNREADABLE."""
    return leaving.is_ready(_wish(item, "png", frozenset(), keeps_bytes=False))


def picture_bytes(
    item: Item, kind: PictureFormat, suffixes: frozenset[str], keeps_bytes: bool
) -> tuple[str, bytes, tuple[int, int]]:
    """Return the suffix, the bytes and the size of the picture as it leaves, decoded here. Raises Refused."""
    picture = leaving.encoded(_wish(item, kind, suffixes, keeps_bytes))
    data = item.original.read_bytes() if picture.data is None else picture.data
    return picture.suffix, data, picture.size


def mask_bytes(item: Item, size: tuple[int, int], needs_mask: bool) -> bytes | None:
    """Return the mask as it leaves, decoded here; None where the whole picture learns. Raises Refused."""
    wish = _wish(item, "png", frozenset(), keeps_bytes=False).model_copy(update={"needs_mask": needs_mask})
    return leaving.encoded_mask(wish, size)
