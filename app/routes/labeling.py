"""The engine of the labeling screen as JSON: saves with a revision, undo, completion, reading, facets, filters."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app import vocabularies
from app.collect.sidecars import MAX_CAPTION_BYTES
from app.config import Settings
from app.contract.rundir import RunDir
from app.contract.spec import Data, TrainSpec, read_spec
from app.contract.splits import Split
from app.facts import newest_run
from app.label.facets import Facets, facets
from app.label.filters import FilterError
from app.label.reading import CaptionRead, read_caption
from app.launch.start import run_dir
from app.person import NOBODY, person_of
from app.store import captions, clashes, edits, filters, images, projects, undo
from app.store.captions import Stale
from app.store.clashes import Clashed
from app.store.db import read, write
from app.store.edits import new_step
from app.store.images import ImageRow
from app.table import table_of, tokenizer_folders
from app.wiring import LabelDesk, OwnSettings, Store

router = APIRouter()

MOST_READ = 20_000
MAX_NAME = 80
STEP = r"^([0-9a-f]{32})?$"


class Offered(BaseModel):
    """A tag to complete with; with `alias_of` the tag is another name of that one, which is meant to be written."""

    tag: str
    category: str
    count_here: int
    count: int
    alias_of: str | None


class Completed(BaseModel):
    """Tags for what was typed; `seq` is the question's own number."""

    seq: int
    items: Sequence[Offered]


class Travelled(BaseModel):
    """What an undo or redo did, to which images, and whether there is more."""

    said: str
    images: Sequence[int]
    can_undo: bool
    can_redo: bool


class HistoryWords(BaseModel):
    """What undo and redo would do now, None for nothing."""

    undo: str | None
    redo: str | None


class NamedFilter(BaseModel):
    """A saved filter."""

    name: str
    text: str


class FieldsForm(BaseModel):
    """What may be set of an image besides its words; what is not named stays.

    `was_…` say on which values the change was made: it is then refused where it meets another, not only once.
    """

    revision: int | None = None
    split: Split | None = None
    repeats: int | None = Field(None, ge=1, le=images.MAX_REPEATS)
    reviewed: Literal["on", "off"] | None = None
    removed: Literal["on"] | None = None
    was_split: Split | None = None
    was_repeats: int | None = None
    was_reviewed: Literal["on", "off"] | None = None
    step: str = Field("", pattern=STEP)

    def made_on(self, row: ImageRow) -> dict[str, str | int | None]:
        """What the columns were when they were changed, where that was told; whose review it was does not matter."""
        found: dict[str, str | int | None] = {}
        if self.was_split is not None:
            found["split"] = self.was_split
        if self.was_repeats is not None:
            found["repeats"] = self.was_repeats
        if self.was_reviewed is not None:
            found["reviewed_by"] = row.reviewed_by or NOBODY if self.was_reviewed == "on" else None
        return found

    def columns(self, who: str) -> dict[str, str | int | None]:
        """The columns to write."""
        found: dict[str, str | int | None] = {}
        if self.split is not None:
            found["split"] = self.split
        if self.repeats is not None:
            found["repeats"] = self.repeats
        if self.reviewed is not None:
            found["reviewed_by"] = who if self.reviewed == "on" else None
        return found


def writer(request: Request, by: str = "") -> str:
    """Who does something: as the form says, else as this browser is named."""
    return by.strip()[:MAX_NAME] or person_of(request)


@router.post("/images/{image_id}/label")
def label(
    request: Request,
    image_id: int,
    store: Store,
    text: Annotated[str, Form()] = "",
    revision: Annotated[int | None, Form()] = None,
    by: Annotated[str, Form()] = "",
    step: Annotated[str, Form(pattern=STEP)] = "",
) -> Response:
    """Save the words of an image that was read at a revision; 409 with what stands there when that is old.

    Saves that name the same `step` are undone together.
    """
    words = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(words.encode("utf-8", "surrogatepass")) > MAX_CAPTION_BYTES:
        return JSONResponse({"message": "This is too long for a caption. Shorten it."}, 422)
    try:
        with write(store) as session:
            kept = images.get(session, image_id)
            if revision is not None and kept.revision != revision and (kept.caption or "") == words:
                return _saved(kept.revision)
            captions.save(session, image_id, words, writer(request, by), revision, step)
            return _saved(images.get(session, image_id).revision)
    except Stale as stale:
        return _stale(stale)


@router.post("/images/{image_id}/label/fields")
def fields(request: Request, image_id: int, store: Store, form: Annotated[FieldsForm, Form()]) -> Response:
    """Set what an image is besides its words, or take it out; answers as a save does.

    A change that meets another value than it was made on is refused whole: 409 with what the fields are now.
    """
    who = person_of(request)
    try:
        with write(store) as session:
            row = images.get(session, image_id)
            columns, made_on = form.columns(who), form.made_on(row)
            if form.reviewed == "on" and form.was_reviewed == "off" and row.reviewed_by is not None:
                # Two say the same: the mark of who was first stays.
                del columns["reviewed_by"]
            clashes.check(session, image_id, columns, made_on)
            if form.revision is not None:
                captions.check_revision(session, image_id, form.revision)
            step = new_step(row.project_id, who, form.step)
            if form.removed:
                edits.remove_images(session, step, [image_id])
                return _saved(row.revision + 1)
            edits.write_fields(session, step, {image_id: columns})
            return _saved(images.get(session, image_id).revision)
    except Stale as stale:
        return _stale(stale)
    except Clashed as clashed:
        return _clashed(row, clashed)


@router.post("/projects/{project_id}/undo")
def undo_step(
    request: Request, project_id: int, store: Store, image: Annotated[int | None, Form()] = None
) -> Travelled:
    """Undo the latest step of the project, or of one image. Raises Conflict where somebody changed it since."""
    return _travel(store, project_id, person_of(request), image, "undo")


@router.post("/projects/{project_id}/redo")
def redo_step(
    request: Request, project_id: int, store: Store, image: Annotated[int | None, Form()] = None
) -> Travelled:
    """Do again what was undone last, in the project or for one image."""
    return _travel(store, project_id, person_of(request), image, "redo")


@router.get("/projects/{project_id}/history.json")
def history(project_id: int, store: Store, image: int | None = None) -> HistoryWords:
    """Say what undo and redo would do."""
    with read(store) as session:
        projects.get(session, project_id)
        back, forth = undo.offers(session, project_id, image)
        return HistoryWords(undo=back.words if back else None, redo=forth.words if forth else None)


@router.get("/projects/{project_id}/label/complete.json")
def complete(
    project_id: int, store: Store, desk: LabelDesk, settings: OwnSettings, q: str = "", seq: int = 0
) -> Completed:
    """Offer at most 20 tags for what is being typed."""
    with read(store) as session:
        table = table_of(session, desk, project_id)
        paths = vocabularies.files(session, settings)
        hidden = vocabularies.hidden(session)
    found = desk.completion(project_id, table, paths).find(q[:200], hidden)
    items = [
        Offered(
            tag=each.alias_of or each.tag,
            category=each.category,
            count_here=each.count_here,
            count=each.count,
            alias_of=each.tag if each.alias_of else None,
        )
        for each in found
    ]
    return Completed(seq=seq, items=items)


@router.post("/projects/{project_id}/label/read.json")
def read_text(
    project_id: int, store: Store, desk: LabelDesk, settings: OwnSettings, text: Annotated[str, Form()] = ""
) -> CaptionRead:
    """Read a caption as the trainer will: segments, tokens with their breaks, texts that may train."""
    with read(store) as session:
        project = projects.get(session, project_id)
        folders = tokenizer_folders(session, project)
        data = _data(session, settings, project_id)
    return read_caption(text[:MOST_READ], project.trigger_word, data, desk.tokens(folders))


@router.get("/projects/{project_id}/label/facets.json")
def facet_counts(
    project_id: int, store: Store, desk: LabelDesk, text: Annotated[str, Query(alias="filter")] = ""
) -> Response:
    """Count what the images of a filter have; 422 with message and column when it cannot be read."""
    with read(store) as session:
        table = table_of(session, desk, project_id)
    try:
        found: Facets = facets(table, text)
    except FilterError as error:
        return JSONResponse({"message": error.message, "column": error.column}, 422)
    return Response(found.model_dump_json(), media_type="application/json")


@router.get("/projects/{project_id}/label/filters.json")
def saved_filters(project_id: int, store: Store) -> list[NamedFilter]:
    """The saved filters of a project."""
    with read(store) as session:
        projects.get(session, project_id)
        return [NamedFilter(name=each.name, text=each.text) for each in filters.saved(session, project_id)]


@router.post("/projects/{project_id}/label/filters")
def save_filter(
    project_id: int,
    store: Store,
    desk: LabelDesk,
    name: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
) -> Response:
    """Give a filter a name; one that cannot be read is refused."""
    try:
        with write(store) as session:
            facets(table_of(session, desk, project_id), text)
            row = filters.save(session, project_id, name, text)
            return JSONResponse({"name": row.name, "text": row.text})
    except FilterError as error:
        return JSONResponse({"message": error.message, "column": error.column}, 422)


@router.post("/projects/{project_id}/label/filters/remove")
def remove_filter(project_id: int, store: Store, name: Annotated[str, Form()] = "") -> Response:
    """Take a saved filter away; one that is gone already is no mistake."""
    with write(store) as session:
        for each in filters.saved(session, project_id):
            if each.name == name:
                filters.forget(session, project_id, each.id)
    return JSONResponse({"name": name})


def _data(session: Session, settings: Settings, project_id: int) -> Data:
    """How the project was trained last, else how it would be by default."""
    run = newest_run(session, project_id)
    if run is None:
        return Data()
    folder: RunDir = run_dir(settings, run)
    try:
        spec = read_spec(folder.spec.read_text("utf-8"))
    except (OSError, ValidationError):
        return Data()
    return spec.data if isinstance(spec, TrainSpec) else Data()


def _travel(store: Engine, project_id: int, who: str, image_id: int | None, verb: Literal["undo", "redo"]) -> Travelled:
    with read(store) as session:
        projects.get(session, project_id)
    done = undo.travel(store, project_id, who, verb, image_id)
    with read(store) as session:
        back, forth = undo.offers(session, project_id)
    return Travelled(
        said=done.said if done else f"There is nothing to {verb}.",
        images=done.image_ids if done else [],
        can_undo=back is not None,
        can_redo=forth is not None,
    )


def _saved(revision: int) -> Response:
    return JSONResponse({"revision": revision, "saved_at": datetime.now(UTC).isoformat()})


def _stale(stale: Stale) -> Response:
    told = {"revision": stale.revision, "text": stale.text, "by": stale.by, "message": stale.message}
    return JSONResponse(told, 409)


def _clashed(row: ImageRow, clashed: Clashed) -> Response:
    told = {"revision": row.revision, "text": row.caption or "", "by": clashed.clash.by or "you"}
    told_fields = {"split": row.split, "repeats": row.repeats, "reviewed_by": row.reviewed_by}
    return JSONResponse(
        {**told, "message": clashed.message, "hint": clashed.hint, "fields": told_fields}, clashed.status
    )
