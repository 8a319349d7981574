"""Imports: their progress, and the report of what became of each file, to come back to and try again from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.fetch import SwitchedOff
from app.collect.imports import ImportJobs, ImportProgress, progress_of
from app.collect.measuring import waiting
from app.collect.outcomes import Choice, Which, answer, answer_all, question_of
from app.collect.refusals import CODE_LABELS
from app.collect.sources import MeasureSource, is_kept, label_of, told_of
from app.errors import AppError, Conflict, Invalid
from app.person import Person
from app.render import is_htmx, page, partial
from app.store import imports as reports
from app.store import projects
from app.store.db import read, write
from app.store.edits import new_step
from app.store.imports import TROUBLE, Tally, Wanted
from app.store.models import Import, ImportItem, Project
from app.store.projects import ProjectCounts
from app.wiring import Imports, OwnSettings, Store

router = APIRouter()

ROWS = 100
OUTCOMES = (
    ("refused", "Refused", "bad", "circle-x"),
    ("question", "Questions", "warn", "help"),
    ("added", "Added", "ok", "circle-check"),
    ("known", "Already here", "", "circle-dot"),
)
MARKS = {key: (label.removesuffix("s"), tone, icon) for key, label, tone, icon in OUTCOMES}


@dataclass(frozen=True)
class Chip:
    """A filter of the report and how many files it shows."""

    label: str
    count: int
    href: str
    is_current: bool
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """One file of the report."""

    item: ImportItem
    thumb: str
    choices: Sequence[Choice]
    can_retry: bool

    @property
    def mark(self) -> tuple[str, str, str]:
        """Word, tone and icon of its outcome."""
        return MARKS[self.item.outcome]


@dataclass(frozen=True)
class Head:
    """An import as lists name it."""

    row: Import
    label: str
    progress: ImportProgress


@dataclass(frozen=True)
class Shown:
    """Which files of a report are shown: those of an outcome and a code, behind an item."""

    outcome: str = ""
    code: str = "-"
    after: int = 0

    @property
    def query(self) -> str:
        """It as the end of an address."""
        return urlencode({"outcome": self.outcome, "code": self.code, "after": self.after})


@dataclass(frozen=True)
class ReportDesk:
    """What a report is read from: the store, and the jobs that know what they are at."""

    store: Engine
    imports: ImportJobs


async def _desk(store: Store, imports: Imports) -> ReportDesk:
    return ReportDesk(store, imports)


Desk = Annotated[ReportDesk, Depends(_desk)]


@dataclass(frozen=True)
class IndexPage:
    """The imports of a project, the newest first."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    heads: Sequence[Head]
    unmeasured: int
    is_busy: bool
    section: str = "images"


@dataclass(frozen=True)
class ShowPage:
    """The report of an import; the fields of its partials stand here too. `query` is the filter that it shows.

    `read_as` and `notes` are said of the whole; `needs_switch` tells that fetching from addresses must be on first.
    """

    project: Project
    counts: ProjectCounts
    caption_url: str
    head: Head
    chips: Sequence[Chip]
    codes: Sequence[Chip]
    rows: Sequence[Row]
    more: str
    retryable: int
    questions: int
    read_as: Sequence[str] = ()
    notes: Sequence[str] = ()
    query: str = ""
    told: str = ""
    needs_switch: bool = False
    section: str = "images"
    room: str = "imports"


@router.get("/projects/{project_id}/imports")
def index(request: Request, project_id: int, store: Store, settings: OwnSettings) -> HTMLResponse:
    """List the imports of a project."""
    with read(store) as session:
        project, counts = projects.get(session, project_id), projects.counts(session, project_id)
        rows, unmeasured = reports.listed(session, project_id), len(waiting(session, settings, project_id))
    heads = [Head(row, label_of(row.source), progress_of(store, row.id)) for row in rows]
    is_busy = any(row.status == "running" for row in rows)
    shown = IndexPage(project, counts, f"/projects/{project_id}/captions", heads, unmeasured, is_busy)
    return page(request, "imports/index", shown)


@router.post("/projects/{project_id}/imports/measure")
def measure(project_id: int, imports: Imports, person: Person) -> Response:
    """Look anew at the originals that came in before everything was measured; it is reported of like an import."""
    return RedirectResponse(
        f"/imports/{imports.start_source(project_id, MeasureSource(project_id=project_id), person)}", 303
    )


@router.get("/imports/{import_id}")
def show(
    request: Request, import_id: int, desk: Desk, outcome: str = "", code: str = "-", after: int = 0
) -> HTMLResponse:
    """Show the report, or those of its files that share an outcome and a code."""
    return page(request, "imports/show", _show_page(desk, import_id, Shown(outcome, code, after)))


@router.get("/imports/{import_id}/report")
def report(
    request: Request, import_id: int, desk: Desk, outcome: str = "", code: str = "-", after: int = 0
) -> HTMLResponse:
    """Show the report's region, polled while the import is under way."""
    return partial(request, "imports/report", _show_page(desk, import_id, Shown(outcome, code, after)))


@router.post("/imports/{import_id}/cancel")
def cancel(import_id: int, store: Store, imports: Imports) -> Response:
    """End an import after the files at hand; what came in stays."""
    with read(store) as session:
        row = reports.get(session, import_id)
    imports.cancel(row.project_id)
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/imports/{import_id}/go-on")
def go_on(request: Request, import_id: int, desk: Desk) -> Response:
    """Go on with an import that was cancelled or broke off."""
    try:
        desk.imports.go_on(import_id)
    except SwitchedOff as refusal:
        return page(request, "imports/show", _show_page(desk, import_id, Shown(), _words(refusal), True), 409)
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/imports/{import_id}/retry")
def retry(request: Request, import_id: int, desk: Desk, item: Annotated[list[int] | None, Form()] = None) -> Response:
    """Begin another try of one refused file, or of all of them when none is named."""
    with read(desk.store) as session:
        if item:
            names = [reports.item(session, import_id, each).name for each in item]
        else:
            names = list(reports.refused_names(session, import_id))
    needs_switch = False
    try:
        count = desk.imports.retry(import_id, names)
        told = f"{count:,} {'file is' if count == 1 else 'files are'} tried again."
    except Conflict as refusal:
        told, needs_switch = _words(refusal), isinstance(refusal, SwitchedOff)
    refused = Shown("refused")
    if is_htmx(request):
        return partial(request, "imports/report", _show_page(desk, import_id, refused, told, needs_switch))
    if needs_switch:
        return page(request, "imports/show", _show_page(desk, import_id, refused, told, True), 409)
    return RedirectResponse(f"/imports/{import_id}?outcome=refused", 303)


@router.post("/imports/{import_id}/items/{item_id}/answer")
def choose(
    request: Request, import_id: int, item_id: int, desk: Desk, person: Person, choice: Annotated[int, Form()] = 0
) -> Response:
    """Settle which of several captions an image is to have. Raises Conflict when that was done already."""
    with write(desk.store) as session:
        row = reports.get(session, import_id)
        item = reports.item(session, import_id, item_id)
        if item.outcome != "question":
            raise Conflict("That question was answered already.", "Reload the report.")
        choices = question_of(item).choices
        if not 0 <= choice < len(choices):
            raise Invalid("There is no such caption to choose.", "Choose one of those shown.")
        answer(session, new_step(row.project_id, person), [(item, choices[choice])])
    if is_htmx(request):
        return partial(request, "imports/report", _show_page(desk, import_id, Shown("question")))
    return RedirectResponse(f"/imports/{import_id}?outcome=question", 303)


@router.post("/imports/{import_id}/answers")
def choose_all(
    request: Request, import_id: int, desk: Desk, person: Person, which: Annotated[Which, Form()]
) -> Response:
    """Answer every question of an import, as one step that can be undone."""
    with read(desk.store) as session:
        row = reports.get(session, import_id)
    answered, changed = answer_all(desk.store, row, which, person)
    if not is_htmx(request):
        return RedirectResponse(f"/imports/{import_id}", 303)
    questions = "1 question" if answered == 1 else f"{answered:,} questions"
    captions = "no caption changed" if not changed else "1 caption" if changed == 1 else f"{changed:,} captions"
    told = f"{questions} answered: {captions}{' changed, as one step of the history' if changed else ''}."
    return partial(request, "imports/report", _show_page(desk, import_id, Shown("question"), told))


@router.get("/projects/{project_id}/images/import")
def progress(request: Request, project_id: int, imports: Imports) -> HTMLResponse:
    """Show how far the project's import has come; polled while it is under way."""
    reached = imports.progress(project_id)
    part = partial(request, "imports/progress", {"project_id": project_id, "progress": reached})
    if reached:
        part.headers["HX-Trigger"] = "images-imported" if reached.is_over else "images-arriving"
    return part


@router.post("/projects/{project_id}/images/import/cancel")
def cancel_current(request: Request, project_id: int, imports: Imports) -> Response:
    """End the project's import after the files at hand; what came in stays."""
    imports.cancel(project_id)
    if is_htmx(request):
        return progress(request, project_id, imports)
    return RedirectResponse(f"/projects/{project_id}/images", 303)


def _words(refusal: Conflict) -> str:
    return f"{refusal.message} {refusal.hint}"


def _show_page(desk: ReportDesk, import_id: int, shown: Shown, told: str = "", needs_switch: bool = False) -> ShowPage:
    with read(desk.store) as session:
        row = reports.get(session, import_id)
        tallies = reports.tallies(session, import_id)
        code = None if shown.code == "-" else shown.code
        items = reports.items(session, import_id, Wanted(shown.outcome, code, shown.after, ROWS + 1))
        rows = _rows(session, items[:ROWS], row)
        project, counts = projects.get(session, row.project_id), projects.counts(session, row.project_id)
        retryable = len(reports.refused_names(session, import_id)) if _can_retry(row) else 0
    url, (read_as, notes) = f"/imports/{import_id}", told_of(row.source)
    more = f"{url}?{replace(shown, after=items[ROWS - 1].id).query}" if len(items) > ROWS else ""
    return ShowPage(
        project=project,
        counts=counts,
        caption_url=f"/projects/{project.id}/captions",
        head=Head(row, label_of(row.source), desk.imports.progress_of(import_id)),
        chips=_chips(url, tallies, shown.outcome),
        codes=_codes(url, tallies, shown.outcome, shown.code),
        rows=rows,
        more=more,
        retryable=retryable,
        questions=sum(each.count for each in tallies if each.outcome == "question"),
        read_as=read_as,
        notes=notes,
        query=shown.query,
        told=told,
        needs_switch=needs_switch,
    )


def _can_retry(row: Import) -> bool:
    return row.status != "running" and is_kept(row.source)


def _rows(session: Session, items: Sequence[ImportItem], row: Import) -> list[Row]:
    thumbs = reports.thumbs(session, [item.image_id for item in items if item.image_id])
    return [
        Row(
            item=item,
            thumb=f"/media/thumbs/{thumbs[item.image_id]}.webp" if item.image_id and item.image_id in thumbs else "",
            choices=_choices(item),
            can_retry=item.outcome == "refused" and item.name != TROUBLE and _can_retry(row),
        )
        for item in items
    ]


def _choices(item: ImportItem) -> Sequence[Choice]:
    try:
        return question_of(item).choices if item.outcome == "question" else ()
    except (AppError, ValueError):
        return ()


def _chips(url: str, tallies: Sequence[Tally], outcome: str) -> list[Chip]:
    total = sum(tally.count for tally in tallies)
    chips = [Chip("All", total, url, not outcome)]
    for key, label, tone, _ in OUTCOMES:
        count = sum(tally.count for tally in tallies if tally.outcome == key)
        if count or key == outcome:
            chips.append(Chip(label, count, f"{url}?outcome={key}", outcome == key, tone))
    return chips


def _codes(url: str, tallies: Sequence[Tally], outcome: str, code: str) -> list[Chip]:
    """The codes within an outcome, where there is more than one."""
    counts: dict[str, int] = {}
    for tally in tallies:
        if not outcome or tally.outcome == outcome:
            counts[tally.code] = counts.get(tally.code, 0) + tally.count
    if len(counts) < 2:
        return []
    return [
        Chip(
            CODE_LABELS.get(key, key).capitalize(),
            count,
            f"{url}?{urlencode({'outcome': outcome, 'code': key})}",
            code == key,
        )
        for key, count in sorted(counts.items())
    ]
