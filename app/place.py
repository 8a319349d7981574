"""Where an image trains: its bucket at the base's resolution, and what the crop keeps of it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.contract.buckets import Buckets, Fit, Size
from app.contract.families import FAMILIES, bucket_step
from app.store import bases, projects
from app.store.models import Project

DEFAULT_FAMILY = FAMILIES["sd15"]


@dataclass(frozen=True)
class Target:
    """The resolution that images of a project are trained at; `base_name` is empty while no base is chosen."""

    resolution_px: int
    step_px: int
    base_name: str
    enlarges: bool = True

    @property
    def layout(self) -> Buckets:
        """Where images of any size train."""
        return Buckets(self.resolution_px, self.step_px, self.enlarges)

    @property
    def buckets(self) -> tuple[Size, ...]:
        """The sizes that images share; small ones may train at one of their own."""
        return self.layout.sizes


@dataclass(frozen=True)
class Box:
    """The part of the image that is kept, in its own pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Place:
    """Where the image trains: its bucket, what the crop keeps and the share it cuts away."""

    resolution_px: int
    base_name: str
    fit: Fit
    kept: Box

    @property
    def lost_pct(self) -> int:
        """Share cut away in whole percent, 1 for anything that is cut at all."""
        return max(1, round(self.fit.lost * 100)) if self.fit.lost > 0.0005 else 0

    @property
    def lost_at(self) -> str:
        """The sides that lose."""
        across = self.fit.scaled.width > self.fit.bucket.width
        if across and self.fit.scaled.height > self.fit.bucket.height:
            return "on all sides"
        return "left and right" if across else "top and bottom"


def target_of(session: Session, project: Project) -> Target:
    """Return what a project's base asks for, or what an SD 1.5 base would while none is chosen."""
    base = bases.get(session, project.base_id) if project.base_id else None
    facts = FAMILIES[base.family] if base else DEFAULT_FAMILY
    resolution_px = base.resolution_px if base else facts.resolution_px
    step_px, name = bucket_step(facts, resolution_px), base.name if base else ""
    return Target(resolution_px, step_px, name, projects.enlarges(session, project.id))


def place_of(size: Size, target: Target) -> Place:
    """Say where an image of this size trains."""
    found = target.layout.fit(size)
    scale_x = found.original.width / found.scaled.width
    scale_y = found.original.height / found.scaled.height
    kept = Box(
        left=round(found.left * scale_x),
        top=round(found.top * scale_y),
        width=round(found.bucket.width * scale_x),
        height=round(found.bucket.height * scale_y),
    )
    return Place(target.resolution_px, target.base_name, found, kept)
