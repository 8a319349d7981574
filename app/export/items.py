"""From the store to items: everything of a project that leaves in an export."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.families import FAMILIES, bucket_step
from app.export.layout import Item, Options
from app.export.names import folder_word
from app.store import bases, images, projects, provenance
from app.store.models import Caption, HistoryEntry, Image

DEFAULT_RESOLUTION_PX = 512


def read_items(session: Session, settings: Settings, project_id: int) -> list[Item]:
    """Every image of a project as it would leave, in the order they were added."""
    raw = _raw_captions(session, project_id)
    versions = _caption_versions(session, project_id)
    origins = provenance.of_project(session, project_id)
    items = []
    for row in images.training_rows(session, project_id):
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
