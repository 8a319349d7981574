"""The ways in beside dropping: a path on this computer, an uploaded archive, addresses, another project."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Form, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy import Engine

from app.collect.fetch import URL_SETTING, is_switched_on, read_urls
from app.collect.files import full_path, shown_name
from app.collect.look import FolderLook, holds_pictures, look
from app.collect.sources import ProjectSource, UrlSource
from app.errors import Invalid
from app.person import Person
from app.render import is_htmx, page, partial
from app.store import projects, settings
from app.store.db import read, write
from app.store.models import Project
from app.store.projects import ProjectCard, ProjectCounts
from app.wiring import Imports, Store

router = APIRouter()

MAX_ARCHIVE_BYTES = 50_000_000_000
MAX_URLS = 2_000


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


@dataclass(frozen=True)
class UrlsPage:
    """The list of addresses; switched off until somebody switches it on for the whole studio."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    is_on: bool
    urls: str = ""
    urls_error: str = ""
    section: str = "images"


@dataclass(frozen=True)
class CopyPage:
    """The other projects whose images can be taken in."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    others: Sequence[ProjectCard]
    section: str = "images"


@router.get("/projects/{project_id}/images/folder")
def folder(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show the form."""
    return page(request, "intake/folder", _folder_page(store, project_id, None))


@router.post("/projects/{project_id}/images/folder")
def start(
    request: Request,
    project_id: int,
    store: Store,
    imports: Imports,
    person: Person,
    form: Annotated[FolderFields, Form()],
) -> Response:
    """Say what a folder or archive holds, and import it once that has been seen."""
    was_seen = form.looked and form.looked == read_path(form.path)
    if form.step == "import" and was_seen and holds_pictures(Path(form.looked)):
        imports.start(project_id, [full_path(form.looked)], person)
        url = f"/projects/{project_id}/images"
        return Response(None, 204, {"HX-Redirect": url}) if is_htmx(request) else RedirectResponse(url, 303)
    shown = _folder_page(store, project_id, form)
    status = 422 if shown.path_error else 200
    if is_htmx(request):
        return partial(request, "intake/folder", shown, status)
    return page(request, "intake/folder", shown, status)


@router.post("/projects/{project_id}/images/archive", max_body_size=MAX_ARCHIVE_BYTES)
async def archive(
    request: Request, project_id: int, imports: Imports, person: Person, x_file_name: Annotated[str, Header()] = ""
) -> Response:
    """Take a zip archive as the raw body, written to the disk as it comes, and begin its import.

    Nothing is read of it where an import cannot begin. Raises Conflict, NotFound.
    """
    name = shown_name(unquote(x_file_name, errors="replace"))

    await run_in_threadpool(imports.check_free, project_id)
    staged = await run_in_threadpool(imports.staging)
    try:
        with staged.open("wb") as file:
            async for chunk in request.stream():
                await run_in_threadpool(file.write, chunk)
        import_id = await run_in_threadpool(imports.start_upload, project_id, name, staged, person)
    finally:
        staged.unlink(missing_ok=True)
    if is_htmx(request):
        return partial(request, "intake/archive", {"name": name, "import_id": import_id})
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.get("/projects/{project_id}/images/urls")
def urls(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show the form, or the switch while fetching from addresses is off."""
    return page(request, "intake/urls", _urls_page(store, project_id))


@router.post("/projects/{project_id}/images/urls")
def fetch(
    request: Request,
    project_id: int,
    store: Store,
    imports: Imports,
    person: Person,
    urls: Annotated[str, Form()] = "",
) -> Response:
    """Begin the import of a list of addresses."""
    found, error = read_urls(urls), ""
    if not _is_on(store):
        error = "Fetching from addresses is off. Switch it on first."
    elif not found:
        error = "There is no address. Give one a line, each beginning with https://."
    elif len(found) > MAX_URLS:
        error = f"There are {len(found):,} addresses; {MAX_URLS:,} come in at once. Split the list."
    if error:
        return page(request, "intake/urls", _urls_page(store, project_id, urls, error), 422)
    import_id = imports.start_source(project_id, UrlSource(urls=found), person)
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/projects/{project_id}/images/urls/switch")
def switch(project_id: int, store: Store, is_on: Annotated[bool, Form()] = False) -> Response:
    """Switch fetching from addresses on or off, for the whole studio."""
    with write(store) as session:
        projects.get(session, project_id)
        settings.put(session, URL_SETTING, "on" if is_on else "off")
    return RedirectResponse(f"/projects/{project_id}/images/urls", 303)


@router.get("/projects/{project_id}/images/copy")
def copy(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show the other projects."""
    frame = _frame(store, project_id)
    with read(store) as session:
        others = [card for card in projects.cards(session) if card.id != project_id and card.image_count]
    return page(request, "intake/copy", CopyPage(*frame, others))


@router.post("/projects/{project_id}/images/copy")
def take_over(
    project_id: int, store: Store, imports: Imports, person: Person, other: Annotated[int, Form()]
) -> Response:
    """Begin the import of another project's images. Raises NotFound, Invalid for the project itself."""
    if other == project_id:
        raise Invalid("A project cannot take in its own images.", "Choose another project.")
    with read(store) as session:
        source = ProjectSource(project_id=other, name=projects.get(session, other).name)
    import_id = imports.start_source(project_id, source, person)
    return RedirectResponse(f"/imports/{import_id}", 303)


def read_path(text: str) -> str:
    """Return the path as typed or pasted, without the quotes that file programs put around one."""
    return text.strip().strip("\"'")


def _frame(store: Engine, project_id: int) -> tuple[Project, ProjectCounts, str]:
    with read(store) as session:
        return (
            projects.get(session, project_id),
            projects.counts(session, project_id),
            f"/projects/{project_id}/captions",
        )


def _is_on(store: Engine) -> bool:
    with read(store) as session:
        return is_switched_on(session)


def _urls_page(store: Engine, project_id: int, urls: str = "", error: str = "") -> UrlsPage:
    return UrlsPage(*_frame(store, project_id), is_on=_is_on(store), urls=urls[:100_000], urls_error=error)


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
    return FolderPage(*_frame(store, project_id), path=path, found=found, path_error=error)
