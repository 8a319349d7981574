"""Folders that a browser sends: their files one a request, then one import as by path."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Form, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from app.collect.entries import MAX_LIST_BYTES
from app.collect.pictures import MAX_BYTES
from app.person import Person
from app.render import is_htmx, partial
from app.wiring import Imports

router = APIRouter()

# A little above what is read of any file, so that the import itself says of a larger one that it is too large.
MAX_FILE_BYTES = max(MAX_BYTES, MAX_LIST_BYTES) + 1_000_000
MAX_WORD = 64


@router.post("/projects/{project_id}/uploads/file", max_body_size=MAX_FILE_BYTES)
async def file(
    request: Request,
    project_id: int,
    imports: Imports,
    x_file_name: Annotated[str, Header()] = "",
    x_drop: Annotated[str, Header()] = "",
) -> Response:
    """Keep one file of a folder, sent as the raw body and named with its folders by the X-File-Name header."""
    await run_in_threadpool(imports.check_project, project_id)
    staged = await run_in_threadpool(imports.staging)
    try:
        with staged.open("wb") as opened:
            async for chunk in request.stream():
                await run_in_threadpool(opened.write, chunk)
        name = unquote(x_file_name, errors="replace")
        await run_in_threadpool(imports.sent.take, project_id, x_drop[:MAX_WORD], name, staged)
    finally:
        staged.unlink(missing_ok=True)
    return Response(status_code=204)


@router.post("/projects/{project_id}/uploads/import")
def begin(
    request: Request,
    project_id: int,
    imports: Imports,
    person: Person,
    drop: Annotated[str, Form()] = "",
    files: Annotated[int, Form()] = 0,
) -> Response:
    """Begin the import of a folder once all its files are here. Raises Invalid, Conflict while one is under way."""
    import_id = imports.start_sent(project_id, drop[:MAX_WORD], files, person)
    if is_htmx(request):
        shown = {"project_id": project_id, "progress": imports.progress(project_id)}
        return partial(request, "imports/progress", shown)
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/projects/{project_id}/uploads/discard")
def discard(project_id: int, imports: Imports, drop: Annotated[str, Form()] = "") -> Response:
    """Delete what has come of a folder, since no more of it will."""
    imports.sent.discard(project_id, drop[:MAX_WORD])
    return Response(status_code=204)
