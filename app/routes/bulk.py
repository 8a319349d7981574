"""Bulk edits: the panel with its preview, the edit itself as one step, and how far a long one is."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.contract.captions import TOKEN
from app.errors import Invalid
from app.label.bulk import Change, Operation, Order, Place, Progress, Wish, describe, plan
from app.label.desk import Desk
from app.label.filters import FilterError
from app.label.jobs import Cancelled, Job
from app.label.terms import matching
from app.person import person_of
from app.render import is_htmx, page, partial
from app.store import captions, clashes, history, projects
from app.store.clashes import Clash
from app.store.db import read
from app.store.edits import Columns, Step, Words, new_step, write_captions, write_fields
from app.store.models import Project
from app.store.parts import in_parts
from app.store.projects import ProjectCounts
from app.table import table_of
from app.wiring import LabelDesk, Store

router = APIRouter()

Scope = Literal["filtered", "selected", "all"]
SHOWN = 30
NAMED = 5
AT_ONCE = 2000
CHOICES: tuple[tuple[Operation, str], ...] = (
    ("add", "Add tags"),
    ("remove", "Remove tags"),
    ("rename", "Rename a tag"),
    ("replace", "Replace text"),
    ("merge", "Merge tags into one"),
    ("front", "Move a tag to the front"),
    ("trigger", "Trigger word first"),
    ("sort", "Sort tags"),
    ("dedupe", "Remove repeated tags"),
    ("copy", "Copy another image's caption"),
    ("repeats", "Set repeats"),
    ("split", "Set split"),
    ("licence", "Set licence"),
)


class BulkForm(BaseModel):
    """What shall be done to which images; `ids` are those marked, set apart by commas.

    `seen` names the newest entry of the history when the changes were shown: a field that somebody set later stays.
    """

    operation: Operation = "add"
    scope: Scope = "filtered"
    filter: str = Field("", max_length=2000)
    ids: str = ""
    tags: str = ""
    value: str = ""
    place: Place = "back"
    after: str = ""
    is_regex: bool = False
    is_exact: bool = False
    order: Order = "name"
    image_id: str = ""
    apply: bool = False
    seen: str = ""

    @property
    def seen_id(self) -> int | None:
        """The entry of the history up to which the changes were shown, where they were."""
        return int(self.seen) if self.seen.isascii() and self.seen.isdigit() and len(self.seen) < 18 else None

    def wish(self) -> Wish:
        """The operation without its images."""
        return Wish(
            operation=self.operation,
            tags=self.tags,
            value=self.value,
            place=self.place,
            after=self.after,
            is_regex=self.is_regex,
            is_exact=self.is_exact,
            order=self.order,
            image_id=int(self.image_id) if self.image_id.isascii() and self.image_id.isdigit() else 0,
        )


@dataclass(frozen=True)
class Piece:
    """A stretch of a caption: kept, taken out or put in."""

    text: str
    kind: Literal["same", "out", "in"]


@dataclass(frozen=True)
class Shown:
    """One change of the preview."""

    image_id: int
    name: str
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Panel:
    """The panel: the form as filled in, its errors by field, and what it would change once it was asked to show."""

    project_id: int
    form: BulkForm
    choices: Sequence[tuple[str, str]]
    action: str
    scope_words: str
    scoped: int
    errors: dict[str, str]
    changes: Sequence[Shown]
    changed: int | None
    job: Job | None
    said: str = ""
    seen: int = 0


@dataclass(frozen=True)
class BulkPage:
    """The page around the panel."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    panel: Panel
    section: str = "captions"


class BulkAnswer(BaseModel):
    """What a bulk edit would change or has changed."""

    changed: int
    scoped: int
    said: str
    samples: Sequence[tuple[int, str, str]]


@router.get("/projects/{project_id}/label/bulk")
def bulk(
    request: Request, project_id: int, store: Store, desk: LabelDesk, form: Annotated[BulkForm, Query()]
) -> HTMLResponse:
    """Show the panel for a filter or for marked images; an operation with words shows its preview too."""
    return _show(request, store, desk, project_id, form.model_copy(update={"apply": False}))


@router.post("/projects/{project_id}/label/bulk")
def edit(
    request: Request, project_id: int, store: Store, desk: LabelDesk, form: Annotated[BulkForm, Form()]
) -> HTMLResponse:
    """Show what an operation would change, or do it; 422 with the panel when it cannot be done."""
    return _show(request, store, desk, project_id, form, is_asked=True)


@router.post("/projects/{project_id}/label/bulk/cancel")
def cancel(request: Request, project_id: int, store: Store, desk: LabelDesk) -> HTMLResponse:
    """Stop a bulk edit that is under way."""
    desk.bulk_jobs.cancel(project_id)
    return _show(request, store, desk, project_id, BulkForm())


@router.post("/projects/{project_id}/label/bulk.json")
def edit_json(
    request: Request, project_id: int, store: Store, desk: LabelDesk, form: Annotated[BulkForm, Form()]
) -> Response:
    """Preview or do a bulk edit; 422 with message, field and, for a filter, column when it cannot be done."""
    try:
        with read(store) as session:
            table = table_of(session, desk, project_id)
        ids = scoped_ids(desk, store, project_id, form)
        changes = plan(table, ids, form.wish())
        said = ""
        if form.apply:
            said = _apply(store, desk, project_id, form, person_of(request), lambda _done, _total: None)
    except FilterError as error:
        return JSONResponse({"message": error.message, "field": "filter", "column": error.column}, 422)
    except Invalid as refusal:
        return JSONResponse({"message": f"{refusal.message} {refusal.hint}", "field": refusal.field}, 422)
    samples = [(each.image_id, str(each.before or ""), str(each.after)) for each in changes[:SHOWN]]
    answer = BulkAnswer(changed=len(changes), scoped=len(ids), said=said, samples=samples)
    return Response(answer.model_dump_json(), media_type="application/json")


def scoped_ids(desk: Desk, store: Engine, project_id: int, form: BulkForm) -> list[int]:
    """The images that a form is about. Raises FilterError: a broken filter stands for no image, never for all."""
    with read(store) as session:
        return _scoped(session, desk, project_id, form)


def _scoped(session: Session, desk: Desk, project_id: int, form: BulkForm) -> list[int]:
    table = table_of(session, desk, project_id)
    if form.scope == "all":
        return [row.id for row in table.rows]
    if form.scope == "selected":
        marked = {int(part) for part in form.ids.split(",") if part.strip().isascii() and part.strip().isdigit()}
        return [row.id for row in table.rows if row.id in marked]
    return matching(table, form.filter)


def _show(
    request: Request, store: Engine, desk: Desk, project_id: int, form: BulkForm, *, is_asked: bool = False
) -> HTMLResponse:
    panel, status = _panel(request, store, desk, project_id, form, is_asked)
    if is_htmx(request):
        return partial(request, "labeling/panel", {"panel": panel}, status)
    with read(store) as session:
        shown = BulkPage(
            project=projects.get(session, project_id),
            counts=projects.counts(session, project_id),
            caption_url=f"/projects/{project_id}/captions",
            panel=panel,
        )
    return page(request, "labeling/bulk", shown, status)


def _panel(
    request: Request, store: Engine, desk: Desk, project_id: int, form: BulkForm, is_asked: bool
) -> tuple[Panel, int]:
    errors: dict[str, str] = {}
    ids: list[int] = []
    changes: list[Change] | None = None
    said = ""
    with read(store) as session:
        table = table_of(session, desk, project_id)
        seen = history.newest(session, project_id)
    try:
        ids = scoped_ids(desk, store, project_id, form)
        if is_asked:
            changes = plan(table, ids, form.wish())
            if form.apply:
                said = _begin(request, store, desk, project_id, form, len(ids))
                changes = None
    except FilterError as error:
        errors["filter"] = f"{error.message} (letter {error.column + 1}) Nothing is changed while it cannot be read."
    except Invalid as refusal:
        errors[refusal.field or "operation"] = f"{refusal.message} {refusal.hint}"
    scope_words = _scope_words(form, len(ids))
    panel = Panel(
        project_id=project_id,
        form=form,
        choices=CHOICES,
        action=describe(form.wish(), table.trigger_word, scope_words),
        scope_words=scope_words,
        scoped=len(ids),
        errors=errors,
        changes=[_shown(each) for each in (changes or [])[:SHOWN]],
        changed=None if changes is None else len(changes),
        job=desk.bulk_jobs.job(project_id),
        said=said,
        seen=seen,
    )
    return panel, 422 if errors and is_asked else 200


def _begin(request: Request, store: Engine, desk: Desk, project_id: int, form: BulkForm, count: int) -> str:
    who = person_of(request)
    if count <= AT_ONCE:
        return _apply(store, desk, project_id, form, who, lambda _done, _total: None)

    def work(progress: Progress) -> str:
        return _apply(store, desk, project_id, form, who, progress)

    if not desk.bulk_jobs.start(project_id, describe(form.wish()), count, work):
        raise Invalid("Another bulk edit of this project is under way.", "Wait for it, or stop it.", "operation")
    return ""


def _apply(store: Engine, desk: Desk, project_id: int, form: BulkForm, who: str, progress: Progress) -> str:
    """Do it as one step in parts; what somebody changed meanwhile is worked out once more, so that no words are lost.

    A field that somebody set meanwhile is left, and its image is named. The first half of the progress is the working
    out, the second the writing.
    """
    with read(store) as session:
        table = table_of(session, desk, project_id)
        seen = form.seen_id or history.newest(session, project_id)
        ids = _scoped(session, desk, project_id, form)
    changes = plan(table, ids, form.wish(), lambda done, total: progress(done // 2, total))
    field = changes[0].field if changes else "caption"
    planned, step, written = {each.image_id: each for each in changes}, new_step(project_id, who), 0
    left: dict[int, Clash] = {}

    def some(session: Session, part: Sequence[int]) -> int:
        nonlocal written
        if field == "caption":
            ready = _afresh(session, desk, project_id, form, [planned[each] for each in part])
        else:
            wanted = {each: planned[each].after for each in part}
            left.update(clashes.since(session, project_id, field, wanted, seen))
            ready = [planned[each] for each in part if each not in left]
        count = len(_write(session, step, ready))
        written += count
        return count

    try:
        in_parts(store, list(planned), some, lambda done, total: progress(len(ids) - (total - done) // 2, len(ids)))
    except Cancelled:
        if not written:
            raise
        done = f"Stopped: {_images(written)} of {len(planned):,} changed. Undo takes that back in one step."
    else:
        done = f"Changed {_images(written)}. Undo takes it all back in one step."
    return f"{done if written or not left else 'Nothing was changed.'} {_left(list(left.values()))}".strip()


def _afresh(
    session: Session, desk: Desk, project_id: int, form: BulkForm, planned: Sequence[Change]
) -> Sequence[Change]:
    """The changes of captions, worked out once more where the words are not those that they were planned for."""
    now = captions.texts(session, [each.image_id for each in planned])
    stale = {each.image_id for each in planned if now.get(each.image_id) != (each.before or "")}
    fresh = plan(table_of(session, desk, project_id), sorted(stale), form.wish()) if stale else []
    return [*fresh, *(each for each in planned if each.image_id not in stale)]


def _left(left: Sequence[Clash]) -> str:
    """Which images were left alone, and the way out."""
    if not left:
        return ""
    many = f"{_images(len(left))} {'was' if len(left) == 1 else 'were'} left alone, since"
    field = left[0].what
    own = f"{'its' if len(left) == 1 else 'their'} {field} {'were' if field == 'repeats' else 'was'} set meanwhile"
    named = ", ".join(each.shown for each in left[:NAMED])
    rest = f" and {len(left) - NAMED:,} more" if len(left) > NAMED else ""
    return f"{many} {own}: {named}{rest}. Show the changes again to decide about {'it' if len(left) == 1 else 'them'}."


def _write(session: Session, step: Step, changes: Sequence[Change]) -> set[int]:
    words = {each.image_id: Words(str(each.after), step.by) for each in changes if each.field == "caption"}
    others = (each for each in changes if each.field != "caption")
    fields: dict[int, Columns] = {each.image_id: {each.field: each.after} for each in others}
    return {*write_captions(session, step, words), *write_fields(session, step, fields)}


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _scope_words(form: BulkForm, count: int) -> str:
    noun = "image" if count == 1 else "images"
    if form.scope == "filtered" and form.filter.strip():
        return f"{count:,} filtered"
    return f"{count:,} marked" if form.scope == "selected" else f"all {count:,} {noun}"


def _shown(change: Change) -> Shown:
    before = "" if change.before is None else str(change.before)
    return Shown(change.image_id, change.name, _difference(before, str(change.after)))


def _difference(before: str, after: str) -> list[Piece]:
    old, new = _tokens(before), _tokens(after)
    pieces: list[Piece] = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("".join(old[start:end]), "same"))
            continue
        if end > start:
            pieces.append(Piece("".join(old[start:end]), "out"))
        if other_end > other_start:
            pieces.append(Piece("".join(new[other_start:other_end]), "in"))
    return pieces


def _tokens(text: str) -> list[str]:
    return [part for token in TOKEN.findall(text) for part in _words(token)]


def _words(token: str) -> list[str]:
    parts = token.split(" ")
    return [each for part in parts[:-1] for each in (part, " ") if each] + [part for part in parts[-1:] if part]
