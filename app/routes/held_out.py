"""Held-out images: proposed, chosen and changed; they never train and tell learning from copying."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.collect.alike import Alike, alike
from app.collect.held_out import Choosable, Proposal, propose, wanted_count
from app.contract.buckets import fit, make_buckets
from app.contract.captions import tags
from app.contract.families import FAMILIES, bucket_step
from app.contract.splits import Split
from app.errors import Invalid
from app.person import Person
from app.polish.addresses import thumb_url
from app.render import is_htmx, page, partial
from app.store import bases, images, projects, splits
from app.store.db import read, write
from app.store.edits import new_step
from app.store.images import ImageRow
from app.store.models import Project
from app.store.parts import in_parts
from app.store.projects import ProjectCounts
from app.store.splits import SplitCounts
from app.wiring import Store

router = APIRouter()

MAX_SELECTED = 200_000
DEFAULT_RESOLUTION_PX = 512
LABELS: dict[Split, str] = {"train": "Trains", "held-out": "Held out", "regularisation": "Regularisation"}


@dataclass(frozen=True)
class HeldTile:
    """An image of one of the grids; `twin` names a near copy that stands on the other side."""

    id: int
    name: str
    thumb: str
    caption: str
    twin: str = ""


@dataclass(frozen=True)
class IndexPage:
    """What is held out, what would be, and what keeps the class in mind."""

    project: Project
    counts: ProjectCounts
    uses: SplitCounts
    wanted: int
    held: Sequence[HeldTile]
    proposed: Sequence[HeldTile]
    regularising: Sequence[HeldTile]
    reason: str
    seed: int
    section: str = "images"


@dataclass(frozen=True)
class SplitPart:
    """The use of one image, to be changed with a click."""

    image_id: int
    split: Split
    labels: dict[Split, str]
    is_saved: bool = False


@router.get("/projects/{project_id}/held-out")
def index(request: Request, project_id: int, store: Store, seed: int = 0) -> HTMLResponse:
    """Show the held-out images, or propose some."""
    with read(store) as session:
        return page(request, "held_out/index", _index_page(session, project_id, seed))


@router.post("/projects/{project_id}/split", form_limits={"max_fields": MAX_SELECTED})
def split_many(
    request: Request,
    project_id: int,
    store: Store,
    person: Person,
    split: Annotated[str, Form()] = "",
    image: Annotated[list[int] | None, Form()] = None,
) -> Response:
    """Give the selected images a use, as one step."""
    if not image:
        raise Invalid("No image is selected.", "Select one or more first.")
    chosen = splits.read_split(split)
    with read(store) as session:
        projects.get(session, project_id)
    batch = new_step(project_id, person).batch
    in_parts(
        store, image, lambda session, part: splits.set_split(session, project_id, part, chosen, person, batch=batch)
    )
    if not is_htmx(request):
        return RedirectResponse(f"/projects/{project_id}/held-out", 303)
    return Response(status_code=204, headers={"HX-Trigger": "images-changed"})


@router.get("/images/{image_id}/split")
def split(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show the use of one image."""
    with read(store) as session:
        row = images.get(session, image_id)
    return partial(request, "held_out/split", SplitPart(image_id, row.split, LABELS))


@router.post("/images/{image_id}/split")
def set_split(
    request: Request, image_id: int, store: Store, person: Person, split: Annotated[str, Form()] = ""
) -> Response:
    """Change the use of one image."""
    chosen = splits.read_split(split)
    with write(store) as session:
        row = images.get(session, image_id)
        splits.set_split(session, row.project_id, [image_id], chosen, person)
    if not is_htmx(request):
        return RedirectResponse(f"/images/{image_id}", 303)
    return partial(request, "held_out/split", SplitPart(image_id, chosen, LABELS, is_saved=True))


def _index_page(session: Session, project_id: int, seed: int) -> IndexPage:
    project = projects.get(session, project_id)
    rows = images.training_rows(session, project_id)
    found = alike(session, project_id)
    held = [row for row in rows if row.split == "held-out"]
    proposal = Proposal(()) if held else propose(_choosable(session, project, rows, found), seed)
    chosen = set(proposal.image_ids)
    twins = _twins(rows, found) if held else {}
    return IndexPage(
        project=project,
        counts=projects.counts(session, project_id),
        uses=splits.counts(session, project_id),
        wanted=wanted_count(sum(row.split != "regularisation" for row in rows)),
        held=[_tile(row, twins.get(row.sha256, "")) for row in held],
        proposed=[_tile(row) for row in rows if row.id in chosen],
        regularising=[_tile(row) for row in rows if row.split == "regularisation"][:60],
        reason=proposal.reason,
        seed=seed,
    )


def _choosable(session: Session, project: Project, rows: Sequence[ImageRow], found: Alike) -> list[Choosable]:
    base = bases.get(session, project.base_id) if project.base_id else None
    resolution_px = base.resolution_px if base else DEFAULT_RESOLUTION_PX
    buckets = make_buckets(resolution_px, bucket_step(FAMILIES[base.family if base else "sd15"], resolution_px))
    groups = found.groups()
    training = [row for row in rows if row.split == "train"]
    shapes = {size: fit(size, buckets).bucket for size in {row.size for row in training}}
    return [
        Choosable(
            image_id=row.id,
            sha256=row.sha256,
            group=groups.root(row.sha256),
            bucket=f"{shapes[row.size].width}x{shapes[row.size].height}",
            tags=frozenset(tag.casefold() for tag in tags(row.caption or "")),
        )
        for row in training
    ]


def _twins(rows: Sequence[ImageRow], found: Alike) -> dict[str, str]:
    """For each held-out picture that has one, the name of a near copy that trains."""
    groups = found.groups()
    training: dict[str, str] = {}
    for row in rows:
        if row.split == "train":
            training.setdefault(groups.root(row.sha256), row.name)
    held = [row for row in rows if row.split == "held-out"]
    return {row.sha256: training[root] for row in held if (root := groups.root(row.sha256)) in training}


def _tile(row: ImageRow, twin: str = "") -> HeldTile:
    return HeldTile(row.id, row.name, thumb_url(row), (row.caption or "").strip(), twin)
