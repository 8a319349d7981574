"""The import of a folder on this computer: look first, then copy, with progress and cancel."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy import Engine

from app.collect.files import FolderLook, full_path, look
from app.errors import Invalid
from app.render import is_htmx, page, partial
from app.store import projects
from app.store.db import read
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Imports, Store

router = APIRouter()


class FolderFields(BaseModel):
    """The folder form as texts; `looked` is the path that was looked into."""

    path: str = ""
    looked: str = ""
    step: str = "look"


@dataclass(frozen=True)
class FolderPage:
    """The form as far as it is filled in; `found` is what the folder holds."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    path: str = ""
    found: FolderLook | None = None
    path_error: str = ""
    section: str = "images"


@router.get("/projects/{project_id}/images/folder")
def folder(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show the form."""
    return page(request, "imports/folder", _folder_page(store, project_id, None))


@router.post("/projects/{project_id}/images/folder")
def start(
    request: Request, project_id: int, store: Store, imports: Imports, form: Annotated[FolderFields, Form()]
) -> Response:
    """Say what a folder holds, and import it once that has been seen."""
    shown = _folder_page(store, project_id, form)
    if form.step == "import" and form.looked == shown.path and shown.found and shown.found.pictures:
        imports.start(project_id, [shown.found.path])
        url = f"/projects/{project_id}/images"
        return Response(None, 204, {"HX-Redirect": url}) if is_htmx(request) else RedirectResponse(url, 303)
    status = 422 if shown.path_error else 200
    if is_htmx(request):
        return partial(request, "imports/folder", shown, status)
    return page(request, "imports/folder", shown, status)


@router.get("/projects/{project_id}/images/import")
def progress(request: Request, project_id: int, imports: Imports) -> HTMLResponse:
    """Show how far the import has come; polled while it is under way."""
    reached = imports.progress(project_id)
    answer = partial(request, "imports/progress", {"project_id": project_id, "progress": reached})
    if reached and reached.is_over:
        answer.headers["HX-Trigger"] = "images-imported"
    return answer


@router.post("/projects/{project_id}/images/import/cancel")
def cancel(request: Request, project_id: int, imports: Imports) -> Response:
    """End the import after the file at hand; what came in stays."""
    imports.cancel(project_id)
    if is_htmx(request):
        return progress(request, project_id, imports)
    return RedirectResponse(f"/projects/{project_id}/images", 303)


def read_path(text: str) -> str:
    """Return the path as typed or pasted, without the quotes that file programs put around one."""
    return text.strip().strip("\"'")


def _folder_page(store: Engine, project_id: int, form: FolderFields | None) -> FolderPage:
    path, found, error = read_path(form.path) if form else "", None, ""
    if form:
        try:
            found = look(full_path(path)) if path else None
            error = "" if path else "There is no path. Give the folder from its root on."
        except Invalid as refusal:
            error = f"{refusal.message} {refusal.hint}".strip()
        except OSError as problem:
            error = f"{path} cannot be read: {problem.strerror or problem}. Give a folder that you may read."
    with read(store) as session:
        return FolderPage(
            project=projects.get(session, project_id),
            counts=projects.counts(session, project_id),
            caption_url=f"/projects/{project_id}/captions",
            path=path,
            found=found,
            path_error=error,
        )
