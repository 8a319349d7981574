"""The tags of a project: counts, what stands together, what looks inconsistent, and the lists that complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app import vocabularies
from app.config import Settings
from app.errors import Invalid
from app.label.desk import Desk
from app.label.frequency import Doubts, TagRow, doubts, tag_rows, together
from app.render import is_htmx, page, partial
from app.store import projects
from app.store.db import read, write
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.table import table_of
from app.vocabularies import TagList
from app.wiring import LabelDesk, OwnSettings, Store

router = APIRouter()

SHOWN = 300


@dataclass(frozen=True)
class TagTable:
    """The tags that a search finds, and the chosen one with what stands beside it."""

    project_id: int
    rows: Sequence[TagRow]
    found: int
    all_tags: int
    images: int
    search: str
    order: str
    tag: str
    beside: Sequence[TagRow]


@dataclass(frozen=True)
class TagsPage:
    """The page of a project's tags."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    table: TagTable
    doubts: Doubts
    lists: Sequence[TagList]
    paths: str
    hidden: str
    errors: dict[str, str]
    section: str = "captions"


@router.get("/projects/{project_id}/tags")
def index(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    settings: OwnSettings,
    search: str = "",
    order: Literal["count", "name"] = "count",
) -> HTMLResponse:
    """Show the tags of a project; `tag` in the address chooses one."""
    tag = request.query_params.get("tag", "")
    with read(store) as session:
        shown = _table(session, desk, settings, project_id, (search[:200], order, tag[:200]))
        if is_htmx(request):
            return partial(request, "tags/table", {"table": shown})
        return page(request, "tags/index", _page(session, desk, settings, project_id, shown, {}))


@router.post("/projects/{project_id}/tags/lists")
def choose_lists(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    settings: OwnSettings,
    paths: Annotated[str, Form()] = "",
    hidden: Annotated[str, Form()] = "",
) -> Response:
    """Say which lists are read where they are, and which words are never offered."""
    try:
        with write(store) as session:
            projects.get(session, project_id)
            vocabularies.choose(session, paths, hidden)
    except Invalid as refusal:
        return _refused(request, project_id, (store, desk, settings), refusal)
    return RedirectResponse(f"/projects/{project_id}/tags#lists", 303)


@router.post("/projects/{project_id}/tags/upload", max_body_size=vocabularies.MAX_LIST_BYTES)
def upload(
    request: Request, project_id: int, store: Store, desk: LabelDesk, settings: OwnSettings, file: UploadFile
) -> Response:
    """Take a tag list in."""
    try:
        with read(store) as session:
            projects.get(session, project_id)
        vocabularies.keep(settings, file.filename or "", file.file.read())
    except Invalid as refusal:
        return _refused(request, project_id, (store, desk, settings), refusal)
    return RedirectResponse(f"/projects/{project_id}/tags#lists", 303)


def _refused(request: Request, project_id: int, studio: tuple[Store, Desk, Settings], refusal: Invalid) -> HTMLResponse:
    store, desk, settings = studio
    errors = {refusal.field or "file": f"{refusal.message} {refusal.hint}"}
    with read(store) as session:
        shown = _table(session, desk, settings, project_id, ("", "count", ""))
        return page(request, "tags/index", _page(session, desk, settings, project_id, shown, errors), 422)


def _table(session: Session, desk: Desk, settings: Settings, project_id: int, asked: tuple[str, str, str]) -> TagTable:
    search, order, tag = asked
    table = table_of(session, desk, project_id)
    rows = tag_rows(table, desk.vocabulary(vocabularies.files(session, settings)), search, order)
    return TagTable(
        project_id=project_id,
        rows=rows[:SHOWN],
        found=len(rows),
        all_tags=len(table.frequencies),
        images=len(table.rows),
        search=search,
        order=order,
        tag=tag,
        beside=together(table, tag) if tag else (),
    )


def _page(
    session: Session, desk: Desk, settings: Settings, project_id: int, shown: TagTable, errors: dict[str, str]
) -> TagsPage:
    table = table_of(session, desk, project_id)
    return TagsPage(
        project=projects.get(session, project_id),
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/captions",
        table=shown,
        doubts=doubts(table, desk.vocabulary(vocabularies.files(session, settings))),
        lists=vocabularies.listed(session, settings),
        paths="\n".join(vocabularies.paths(session)),
        hidden=" ".join(sorted(vocabularies.hidden(session))),
        errors=errors,
    )
