"""From the store to items: everything of a project that leaves in an export."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.families import FAMILIES, bucket_step
from app.export.layout import Item, Options, Parent
from app.export.names import folder_word
from app.store import bases, images, projects, provenance
from app.store.images import ImageRow
from app.store.models import Caption, HistoryEntry, Image

DEFAULT_RESOLUTION_PX = 512
NOBODY = "you"


@dataclass(frozen=True)
class Added:
    """How an image came in first, if it is here still or not; `told` is JSON of its name and hash then."""

    by: str
    told: str

    @property
    def image(self) -> Parent:
        """The image as it was then."""
        told = json.loads(self.told)
        return Parent(told["name"], told["sha256"])


def read_items(session: Session, settings: Settings, project_id: int) -> list[Item]:
    """Every image of a project as it would leave, in the order they were added."""
    raw = _raw_captions(session, project_id)
    versions = _caption_versions(session, project_id)
    origins = provenance.of_project(session, project_id)
    added = _added(session, project_id)
    rows = {row.id: row for row in images.training_rows(session, project_id)}
    items = []
    for row in rows.values():
        data, encoding = raw.get(row.id, (None, "utf-8"))
        items.append(
            Item(
                row=row,
                original=blob_path(settings, row.sha256, row.extension),
                mask=blob_path(settings, row.recipe.mask, "png") if row.recipe.mask else None,
                raw=data,
                encoding=encoding,
                provenance=origins[row.id],
                caption_version=versions.get(row.id, 0),
                by=added[row.id].by if row.id in added else "",
                parent=_parent(origins[row.id].parent_id, rows, added),
            )
        )
    return items


def read_options(session: Session, project_id: int) -> Options:
    """What an export of a project is called and which resolution its trainer is told, before anybody chose."""
    project = projects.get(session, project_id)
    base = bases.get(session, project.base_id) if project.base_id else None
    resolution_px = base.resolution_px if base else DEFAULT_RESOLUTION_PX
    return Options(
        word=folder_word(project.trigger_word or project.name),
        trigger_word=project.trigger_word,
        resolution_px=resolution_px,
        bucket_step_px=bucket_step(FAMILIES[base.family if base else "sd15"], resolution_px),
    )


def _raw_captions(session: Session, project_id: int) -> dict[int, tuple[bytes | None, str]]:
    query = (
        select(Caption.image_id, Caption.raw, Caption.encoding)
        .join(Image, Image.id == Caption.image_id)
        .where(Image.project_id == project_id, Caption.raw.is_not(None))
    )
    return {row[0]: (row[1], row[2] or "utf-8") for row in session.execute(query)}


def _caption_versions(session: Session, project_id: int) -> dict[int, int]:
    query = (
        select(HistoryEntry.noun_id, func.max(HistoryEntry.id))
        .where(HistoryEntry.project_id == project_id, HistoryEntry.noun == "caption")
        .group_by(HistoryEntry.noun_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _added(session: Session, project_id: int) -> dict[int, Added]:
    """Who added each image first: bringing it back after a removal is written down as adding it too."""
    query = select(HistoryEntry.noun_id, HistoryEntry.by, HistoryEntry.after).where(
        HistoryEntry.project_id == project_id, HistoryEntry.noun == "image", HistoryEntry.verb == "add"
    )
    found: dict[int, Added] = {}
    for image_id, by, after in session.execute(query.order_by(HistoryEntry.id)):
        if after is not None:
            found.setdefault(image_id, Added("" if by == NOBODY else by, after))
    return found


def _parent(parent_id: int | None, rows: Mapping[int, ImageRow], added: Mapping[int, Added]) -> Parent | None:
    """The image that one was made from, also after it was removed; None where nothing is known of it."""
    if parent_id is None:
        return None
    if row := rows.get(parent_id):
        return Parent(row.name, row.sha256)
    return added[parent_id].image if parent_id in added else None
