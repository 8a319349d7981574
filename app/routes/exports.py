"""Exports of a dataset: choose a layout, see what its trainer will read, take the zip."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid
from app.export.datasets import LAYOUTS, layout_of
from app.export.items import read_items, read_options
from app.export.jobs import ExportProgress
from app.export.layout import Layout, LayoutKey, Options
from app.export.preview import Preview, preview
from app.render import is_htmx, page, partial
from app.store import projects
from app.store.db import read
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Exports, OwnSettings, Store

router = APIRouter()


class ExportForm(BaseModel):
    """The choices of an export."""

    layout: LayoutKey = "kohya"
    leads_with_trigger: str = ""
    as_utf8: str = ""
    reads_all_lines: str = ""
    pictures: Literal["png", "jpeg"] = "png"


@dataclass(frozen=True)
class IndexPage:
    """The choices, what they lead to, and how far an export is."""

    project: Project
    counts: ProjectCounts
    layouts: Sequence[Layout]
    form: ExportForm
    chosen: Layout
    seen: Preview
    progress: ExportProgress | None
    project_id: int
    error: str = ""
    section: str = "images"


@router.get("/projects/{project_id}/export")
def index(
    request: Request,
    project_id: int,
    store: Store,
    settings: OwnSettings,
    exports: Exports,
    form: Annotated[ExportForm, Query()],
) -> HTMLResponse:
    """Show the layouts and what the chosen one's trainer will read."""
    with read(store) as session:
        shown = _index_page(session, settings, project_id, form, exports.progress(project_id))
    return page(request, "exports/index", shown)


@router.get("/projects/{project_id}/export/preview")
def show_preview(
    request: Request, project_id: int, store: Store, settings: OwnSettings, form: Annotated[ExportForm, Query()]
) -> HTMLResponse:
    """Show what the trainer will read, after a choice was changed."""
    with read(store) as session:
        return partial(request, "exports/preview", _index_page(session, settings, project_id, form, None))


@router.post("/projects/{project_id}/export")
def start(
    request: Request,
    project_id: int,
    store: Store,
    settings: OwnSettings,
    exports: Exports,
    form: Annotated[ExportForm, Form()],
) -> Response:
    """Begin an export."""
    with read(store) as session:
        projects.get(session, project_id)
        options = _options(session, project_id, form)
    try:
        exports.start(project_id, layout_of(form.layout), options)
    except (Invalid, Conflict) as refusal:
        with read(store) as session:
            shown = _index_page(session, settings, project_id, form, exports.progress(project_id))
        shown = replace(shown, error=f"{refusal.message} {refusal.hint}")
        return page(request, "exports/index", shown, refusal.status)
    return RedirectResponse(f"/projects/{project_id}/export?layout={form.layout}", 303)


@router.get("/projects/{project_id}/export/progress")
def progress(request: Request, project_id: int, exports: Exports) -> HTMLResponse:
    """Show how far the export has come; polled while it is under way."""
    return partial(request, "exports/progress", {"project_id": project_id, "progress": exports.progress(project_id)})


@router.post("/projects/{project_id}/export/cancel")
def cancel(request: Request, project_id: int, exports: Exports) -> Response:
    """End the export after the image at hand; nothing of it stays."""
    exports.cancel(project_id)
    if is_htmx(request):
        return progress(request, project_id, exports)
    return RedirectResponse(f"/projects/{project_id}/export", 303)


@router.get("/projects/{project_id}/export/download")
def download(project_id: int, exports: Exports) -> FileResponse:
    """Hand the finished zip out."""
    path = exports.download(project_id)
    return FileResponse(path, media_type="application/zip", filename=path.name, headers={"cache-control": "no-store"})


def _options(session: Session, project_id: int, form: ExportForm) -> Options:
    return replace(
        read_options(session, project_id),
        leads_with_trigger=bool(form.leads_with_trigger),
        as_utf8=bool(form.as_utf8),
        reads_all_lines=bool(form.reads_all_lines),
        pictures=form.pictures,
    )


def _index_page(
    session: Session, settings: OwnSettings, project_id: int, form: ExportForm, reached: ExportProgress | None
) -> IndexPage:
    chosen = layout_of(form.layout)
    project = projects.get(session, project_id)
    items = read_items(session, settings, project_id)
    return IndexPage(
        project=project,
        counts=projects.counts(session, project_id),
        layouts=tuple(LAYOUTS.values()),
        form=form,
        chosen=chosen,
        seen=preview(items, chosen, _options(session, project_id, form)),
        progress=reached,
        project_id=project_id,
    )
