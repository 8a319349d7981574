"""Provenance: where images came from and under which terms, for one image or for many as one step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.person import NOBODY, Person
from app.polish.addresses import thumb_url
from app.render import is_htmx, page, partial
from app.store import clashes, images, projects, provenance, tiles
from app.store.clashes import Clashed
from app.store.db import read, write
from app.store.edits import PROVENANCE, new_step
from app.store.models import Project
from app.store.parts import in_parts
from app.store.projects import ProjectCounts
from app.store.provenance import Change, Provenance, Share
from app.store.tiles import TileRow
from app.wiring import Store

router = APIRouter()

MAX_SELECTED = 200_000
PAGE = 100
SHARES = 8
LICENCES = ("own work", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "public domain", "licensed for training")


class OneForm(BaseModel):
    """The provenance of one image as texts."""

    source: str = ""
    author: str = ""
    licence: str = ""
    collected_on: str = ""
    no_ai: str = ""


class EditForm(OneForm):
    """The same with what stood there when the form was shown, where `seen` says so: only what differs is written."""

    seen: str = ""
    was_source: str = ""
    was_author: str = ""
    was_licence: str = ""
    was_collected_on: str = ""
    was_no_ai: str = ""

    def was(self) -> Provenance:
        """What stood there."""
        return Provenance(
            self.was_source, self.was_author, self.was_licence, self.was_collected_on, bool(self.was_no_ai)
        )


class ManyForm(OneForm):
    """The fields to set on many images: only those named in `set` are."""

    set: list[str] = []
    image: list[int] = []
    all_shown: str = ""
    show: str = ""
    value: str = ""


@dataclass(frozen=True)
class OriginRow:
    """An image of the table."""

    row: TileRow
    thumb: str
    origin: Provenance


@dataclass(frozen=True)
class IndexPage:
    """The table, the values that there are, and the form for many; `show` and `value` say which images are shown."""

    project: Project
    counts: ProjectCounts
    rows: Sequence[OriginRow]
    chosen: int
    shares: dict[str, list[Share]]
    missing: int
    show: str
    value: str
    after: int | None
    form: ManyForm
    errors: dict[str, str] = field(default_factory=dict)
    licences: Sequence[str] = LICENCES
    section: str = "images"


@dataclass(frozen=True)
class EditPart:
    """The provenance of one image as a form; `was` is what it is changed from."""

    image_id: int
    origin: Provenance
    was: Provenance
    parent: TileRow | None
    errors: dict[str, str] = field(default_factory=dict)
    licences: Sequence[str] = LICENCES
    is_saved: bool = False


@router.get("/projects/{project_id}/provenance")
def index(
    request: Request, project_id: int, store: Store, show: str = "", value: str = "", after: int = 0
) -> HTMLResponse:
    """Show where the images came from: all, those that lack something, or those of one source, author or licence."""
    with read(store) as session:
        shown = _index_page(session, project_id, ManyForm(show=show, value=value), after)
    return page(request, "provenance/index", shown)


@router.post("/projects/{project_id}/provenance", form_limits={"max_fields": MAX_SELECTED})
def set_many(
    request: Request, project_id: int, store: Store, person: Person, form: Annotated[ManyForm, Form()]
) -> Response:
    """Set fields of the selected images, or of all that are shown, as one step."""
    try:
        _set_many(store, project_id, form, person)
    except Invalid as refusal:
        errors = {refusal.field or "set": f"{refusal.message} {refusal.hint}"}
        with read(store) as session:
            return page(request, "provenance/index", _index_page(session, project_id, form, 0, errors), 422)
    query = urlencode({"show": form.show, "value": form.value}) if form.show in ("missing", "no-ai") else ""
    return RedirectResponse(f"/projects/{project_id}/provenance{'?' if query else ''}{query}", 303)


@router.get("/images/{image_id}/provenance")
def edit(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show where one image came from."""
    with read(store) as session:
        now = provenance.get(session, image_id)
        return partial(request, "provenance/edit", _edit_part(session, image_id, now, now))


@router.post("/images/{image_id}/provenance")
def set_one(
    request: Request, image_id: int, store: Store, person: Person, form: Annotated[EditForm, Form()]
) -> Response:
    """Keep where one image came from; a field that somebody else set meanwhile stays, and is said beside it."""
    typed, was = _change(form, PROVENANCE), form.was()
    change = _change(form, [key for key, value in typed.items() if not form.seen or value != getattr(was, key)])
    with read(store) as session:
        row, before = images.get(session, image_id), provenance.get(session, image_id)
    met: dict[str, str] = {}
    errors: dict[str, str] = {}
    try:
        with write(store) as session:
            if form.seen:
                met, was = _met(session, image_id, provenance.checked(change), was, person)
            if not met:
                provenance.set_many(session, row.project_id, [image_id], change, person)
    except Invalid as refusal:
        errors = {refusal.field or "source": f"{refusal.message} {refusal.hint}"}
    if errors := errors or met:
        shown = Provenance(**typed, parent_id=before.parent_id)
        # What somebody else set is what the form shows: the next field that is saved must not overwrite it.
        shown = replace(shown, **{key: getattr(was, key) for key in met})
        with read(store) as session:
            return partial(request, "provenance/edit", _edit_part(session, image_id, shown, was, errors), 422)
    if not is_htmx(request):
        return RedirectResponse(f"/images/{image_id}", 303)
    with read(store) as session:
        now = provenance.get(session, image_id)
        return partial(request, "provenance/edit", _edit_part(session, image_id, now, now, is_saved=True))


def _met(
    session: Session, image_id: int, change: Change, was: Provenance, person: str
) -> tuple[dict[str, str], Provenance]:
    """What somebody else set meanwhile, in words by field, and what the form is changed from once that was read."""
    images.get(session, image_id)
    made_on = {key: getattr(was, key) for key in change}
    # Who types on while the form is being saved meets what was just saved.
    own = "" if person == NOBODY else person
    wanted = {key: value for key, value in change.items() if isinstance(value, str | bool)}
    found = [Clashed(each) for each in clashes.met(session, image_id, wanted, made_on) if each.by != own]
    errors = {each.clash.field: f"{each.message} {each.hint}{_typed(wanted[each.clash.field])}" for each in found}
    stored = provenance.get(session, image_id)
    return errors, replace(was, **{key: getattr(stored, key) for key in errors})


def _typed(value: str | bool) -> str:
    return f" Yours was “{value}”." if isinstance(value, str) and value else ""


def _set_many(store: Engine, project_id: int, form: ManyForm, by: str) -> None:
    change = _change(form, form.set)
    if not change:
        raise Invalid("Nothing is chosen to be set.", "Tick the fields that the images should get.", field="set")
    ids = form.image
    with read(store) as session:
        projects.get(session, project_id)
        origins = provenance.of_project(session, project_id) if form.all_shown else {}
    if form.all_shown:
        ids = [image_id for image_id, origin in origins.items() if _is_shown(origin, form.show, form.value)]
    if not ids:
        raise Invalid("No image is selected.", "Select one or more, or take all that are shown.", field="set")
    batch = new_step(project_id, by).batch
    in_parts(store, ids, lambda session, part: provenance.set_many(session, project_id, part, change, by, batch=batch))


def _change(form: OneForm, names: Sequence[str]) -> Change:
    change = Change()
    if "source" in names:
        change["source"] = form.source
    if "author" in names:
        change["author"] = form.author
    if "licence" in names:
        change["licence"] = form.licence
    if "collected_on" in names:
        change["collected_on"] = form.collected_on
    if "no_ai" in names:
        change["no_ai"] = bool(form.no_ai)
    return change


def _is_shown(origin: Provenance, show: str, value: str) -> bool:
    match show:
        case "missing":
            return not (origin.source and origin.licence)
        case "no-ai":
            return origin.no_ai
        case "source" | "author" | "licence":
            return bool(getattr(origin, show) == value)
        case _:
            return True


def _index_page(
    session: Session, project_id: int, form: ManyForm, after: int, errors: dict[str, str] | None = None
) -> IndexPage:
    origins = provenance.of_project(session, project_id)
    chosen = [image_id for image_id, origin in origins.items() if _is_shown(origin, form.show, form.value)]
    behind = [image_id for image_id in sorted(chosen) if image_id > after]
    return IndexPage(
        project=projects.get(session, project_id),
        counts=projects.counts(session, project_id),
        rows=[
            OriginRow(row, thumb_url(row), origins[row.id])
            for row in tiles.tile_rows(session, project_id, behind[:PAGE])
        ],
        chosen=len(chosen),
        shares={name: provenance.shares(session, project_id, name)[:SHARES] for name in ("licence", "source")},
        missing=sum(_is_shown(origin, "missing", "") for origin in origins.values()),
        show=form.show,
        value=form.value,
        after=behind[PAGE - 1] if len(behind) > PAGE else None,
        form=form,
        errors=errors or {},
    )


def _edit_part(
    session: Session,
    image_id: int,
    origin: Provenance,
    was: Provenance,
    errors: dict[str, str] | None = None,
    is_saved: bool = False,
) -> EditPart:
    project_id = images.get(session, image_id).project_id
    known = [origin.parent_id] if origin.parent_id is not None else []
    parent = next(iter(tiles.tile_rows(session, project_id, known)), None)
    return EditPart(image_id, origin, was, parent, errors or {}, is_saved=is_saved)
