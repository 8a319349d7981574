"""Buckets: how a project's images spread over the sizes they train at; answered from sizes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.collect.pictures import THUMB_SIDE_PX
from app.contract.buckets import Buckets, Size
from app.contract.families import FAMILIES, FamilyKey, bucket_step
from app.launch.presets import starting_batch
from app.place import target_of
from app.polish.addresses import thumb_url
from app.polish.histogram import Bar, Doubt, Placed, doubtful, histogram
from app.render import page
from app.store import bases, projects, recipes, tiles
from app.store.db import read
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Store

router = APIRouter()

SHOWN = 120
BATCHES = (1, 2, 4, 8, 16)
MOST_BATCH = 64
Small = Literal["enlarged", "own"]
SMALL: tuple[tuple[Small, str], ...] = (("enlarged", "Enlarged to their bucket"), ("own", "At their own size"))
SMALLEST_PX, LARGEST_PX = 64, 2048
BAR_WIDTH = 1000
HEADINGS = {
    "upscaled": "Enlarged: smaller than their bucket",
    "cropped": "Cropped by more than 15 %",
    "few": "In buckets that cannot fill a batch",
}


class Wish(BaseModel):
    """What was asked for; 0 or an unknown base, and no word of small images, mean what the project trains with."""

    base: int = 0
    former_base: int = -1
    resolution: int = 0
    batch: int = 0
    small: Small | Literal[""] = ""
    bucket: str = ""
    only: Doubt | Literal[""] = ""
    after: int = 0


@dataclass(frozen=True)
class Choice:
    """What the histogram is drawn for, and what else could be chosen."""

    base_id: int
    resolution_px: int
    step_px: int
    batch: int
    small: Small
    bases: Sequence[tuple[int, str]]
    resolutions_px: Sequence[int]
    batches: Sequence[int]
    smalls: Sequence[tuple[Small, str]] = SMALL

    @property
    def query(self) -> str:
        """As addresses name it."""
        return self._query(self.small)

    @property
    def own_size_query(self) -> str:
        """The same with small images at their own size."""
        return self._query("own")

    @property
    def buckets(self) -> Buckets:
        """The buckets that the trainer would use."""
        return Buckets(self.resolution_px, self.step_px, self.small == "enlarged")

    def _query(self, small: Small) -> str:
        return urlencode({"base": self.base_id, "resolution": self.resolution_px, "batch": self.batch, "small": small})


@dataclass(frozen=True)
class Drawn:
    """A bar of the histogram; widths in thousandths of the longest."""

    bar: Bar
    width: int
    doubtful_width: int
    is_chosen: bool


@dataclass(frozen=True)
class Tile:
    """An image behind a bar, the size of its thumbnail, and its place."""

    id: int
    name: str
    thumb: str
    thumb_width: int
    thumb_height: int
    placed: Placed

    @property
    def lost_pct(self) -> int:
        """Share cut away in whole percent."""
        return round(self.placed.place.fit.lost * 100)


@dataclass(frozen=True)
class IndexPage:
    """The buckets page; `tiles` are some of the `total` images behind what was clicked."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    choice: Choice
    bars: Sequence[Drawn]
    doubts: Sequence[tuple[str, int]]
    headings: dict[str, str]
    only: str
    heading: str
    tiles: Sequence[Tile]
    total: int
    start: int
    shown_address: str
    section: str = "images"


@router.get("/projects/{project_id}/buckets")
def index(request: Request, project_id: int, store: Store, wish: Annotated[Wish, Query()]) -> HTMLResponse:
    """Show the histogram for a base, a resolution and a batch, and the images behind a bar."""
    with read(store) as session:
        return page(request, "buckets/index", _page(session, project_id, wish))


def _page(session: Session, project_id: int, wish: Wish) -> IndexPage:
    project = projects.get(session, project_id)
    choice = _choice(session, project, wish)
    bars = histogram(recipes.sizes(session, project_id), choice.buckets, choice.batch)
    found = (
        doubtful(bars, wish.only) if wish.only else [p for bar in bars if bar.name == wish.bucket for p in bar.placed]
    )
    start = min(max(0, wish.after), len(found))
    return IndexPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/label",
        choice=choice,
        bars=_drawn(bars, wish.bucket),
        doubts=[(key, len(doubtful(bars, key))) for key in ("upscaled", "cropped", "few")],
        headings=HEADINGS,
        only=wish.only,
        heading=HEADINGS.get(wish.only) or f"Bucket {wish.bucket.replace('x', ' × ')}" if found else "",
        tiles=_tiles(session, project_id, found[start : start + SHOWN]),
        total=len(found),
        start=start,
        shown_address=f"?{choice.query}&{urlencode({'only': wish.only} if wish.only else {'bucket': wish.bucket})}",
    )


def _choice(session: Session, project: Project, wish: Wish) -> Choice:
    listed = bases.listed(session)
    chosen = next((base for base in listed if base.id == wish.base), None)
    chosen = chosen or next((base for base in listed if base.id == project.base_id), None)
    family: FamilyKey = chosen.family if chosen else "sd15"
    target = target_of(session, project)
    own_px = chosen.resolution_px if chosen else target.resolution_px
    # Another base was chosen in the form: resolution and batch beside it were the former one's.
    is_former = wish.former_base not in (-1, wish.base)
    is_asked = SMALLEST_PX <= wish.resolution <= LARGEST_PX and not is_former
    resolution_px = wish.resolution if is_asked else own_px
    own_batch = starting_batch(project.purpose, family, own_px)
    batch = wish.batch if 1 <= wish.batch <= MOST_BATCH and not is_former else own_batch
    return Choice(
        base_id=chosen.id if chosen else 0,
        resolution_px=resolution_px,
        step_px=bucket_step(FAMILIES[family], resolution_px),
        batch=batch,
        small=wish.small or ("enlarged" if target.enlarges else "own"),
        bases=[*([] if chosen else [(0, "None chosen yet")]), *((base.id, base.name) for base in listed)],
        resolutions_px=sorted({own_px, resolution_px, *FAMILIES[family].resolutions_px}),
        batches=sorted({batch, own_batch, *BATCHES}),
    )


def _drawn(bars: Sequence[Bar], chosen: str) -> list[Drawn]:
    most = max((bar.images for bar in bars), default=1)
    return [
        Drawn(
            bar=bar,
            width=max(4, BAR_WIDTH * bar.images // most),
            doubtful_width=max(4, BAR_WIDTH * bar.doubtful // most) if bar.doubtful else 0,
            is_chosen=bar.name == chosen,
        )
        for bar in bars
    ]


def _tiles(session: Session, project_id: int, placed: Sequence[Placed]) -> list[Tile]:
    by_id = {each.image.id: each for each in placed}
    made = []
    for row in tiles.tile_rows(session, project_id, [each.image.id for each in placed]):
        size: Size = by_id[row.id].image.size
        scale = min(1.0, THUMB_SIDE_PX / max(size.width, size.height))
        width, height = max(1, round(size.width * scale)), max(1, round(size.height * scale))
        made.append(Tile(row.id, row.name, thumb_url(row), width, height, by_id[row.id]))
    return made
