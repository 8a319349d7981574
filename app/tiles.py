"""Pictures of the grid: one tile as the page of images shows it, whoever brought the picture."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.collect.pictures import THUMB_SIDE_PX
from app.contract.splits import Split
from app.errors import NotFound
from app.polish.addresses import thumb_url
from app.store import animations, images
from app.store.images import ImageRow


@dataclass(frozen=True)
class Tile:
    """One picture of the grid, with the size of its thumbnail in pixels."""

    id: int
    name: str
    thumb: str
    width_px: int
    height_px: int
    repeats: int
    caption: str
    split: Split = "train"
    frames: int = 1


def tile(row: ImageRow, frames: int = 1) -> Tile:
    """A picture as the grid shows it; an animation with the number of its frames."""
    size = row.size
    scale = min(1.0, THUMB_SIDE_PX / max(size.width, size.height))
    return Tile(
        id=row.id,
        name=row.name,
        thumb=thumb_url(row),
        width_px=max(1, round(size.width * scale)),
        height_px=max(1, round(size.height * scale)),
        repeats=row.repeats,
        caption=(row.caption or "").strip(),
        split=row.split,
        frames=frames,
    )


def tile_of(session: Session, image_id: int) -> Tile | None:
    """The tile of an image; None when somebody took it out in the meantime."""
    try:
        row = images.get(session, image_id)
    except NotFound:
        return None
    return tile(row, animations.frame_counts(session, [image_id]).get(image_id, 1))
