"""Images of a project: the grid, dropped files, removal, repeats."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import unquote
from uuid import uuid4

from fastapi import APIRouter, Form, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from app.collect.files import shown_name
from app.collect.imports import OUTCOME_LABELS, ImportProgress, Outcome
from app.collect.pictures import MAX_BYTES
from app.collect.plans import READ_BY_NAME
from app.contract.recipe import AlphaUse
from app.errors import Invalid
from app.next_step import NextStep, next_step, standing
from app.person import Person
from app.render import is_htmx, page, partial
from app.store import alpha, animations, images, projects
from app.store.alpha import AlphaState
from app.store.db import read, write
from app.store.edits import new_step, remove_images
from app.store.images import ImageRow
from app.store.models import Project
from app.store.parts import in_parts
from app.store.projects import ProjectCounts
from app.tiles import Tile, tile, tile_of
from app.wiring import Imports, Store

router = APIRouter()

# Full rows at 1 to 6, 8, 10 and 12 columns, since each page of the grid is laid out by itself.
PAGE = 240
# More than any project holds, so that whoever selects all can remove all.
MAX_SELECTED = 200_000
# What a form's choice of ground means; "colour" takes the colour beside it.
GROUNDS = {"white": "#ffffff", "grey": "#808080", "black": "#000000"}
# A little above what a picture may have, so that the refusal is ours and names the file.
MAX_DROP_BYTES = MAX_BYTES + 1_000_000
WHOLE = tuple(sorted(READ_BY_NAME))
# Of the browser's word for a drop.
MAX_WORD = 64


@dataclass(frozen=True)
class AlphaPart:
    """The question what transparency means here, or a line on what was decided; `is_open` shows the form."""

    project_id: int
    alpha: AlphaState
    examples: Sequence[str]
    is_open: bool
    alpha_error: str = ""


@dataclass(frozen=True)
class GridPart:
    """One page of the grid, of what comes behind `start`; `after` is where the next begins, None behind the last."""

    project_id: int
    start: int
    tiles: Sequence[Tile]
    after: int | None


@dataclass(frozen=True)
class IndexPage:
    """The images page; the fields of its partials stand here too."""

    project: Project
    counts: ProjectCounts
    step: NextStep
    caption_url: str
    project_id: int
    start: int
    tiles: Sequence[Tile]
    after: int | None
    progress: ImportProgress | None
    alpha: AlphaState
    examples: Sequence[str]
    is_open: bool
    refused: Sequence[Outcome] = ()
    alpha_error: str = ""
    # Of a folder these files are sent whole, up to so many bytes; of others the beginning.
    whole: Sequence[str] = WHOLE
    most_bytes: int = MAX_BYTES
    section: str = "images"


@dataclass(frozen=True)
class Summary:
    """How many pictures there are, and the next step."""

    project: Project
    counts: ProjectCounts
    step: NextStep
    caption_url: str
    section: str = "images"


@dataclass(frozen=True)
class Dropped:
    """What became of one file, and its tile where it has one."""

    outcome: Outcome
    label: str
    tile: Tile | None


@router.get("/projects/{project_id}/images")
def index(request: Request, project_id: int, store: Store, imports: Imports, after: int = 0) -> HTMLResponse:
    """Show the first page of the grid (a later one with `after`), and the ways in."""
    reached = imports.progress(project_id)
    with read(store) as session:
        return page(request, "images/index", _index_page(session, project_id, reached, after))


@router.get("/projects/{project_id}/images/grid")
def grid(request: Request, project_id: int, store: Store, after: int = 0) -> HTMLResponse:
    """Show the next page of the grid."""
    with read(store) as session:
        projects.get(session, project_id)
        return partial(request, "images/grid", _grid(session, project_id, after))


@router.get("/projects/{project_id}/images/summary")
def summary(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Show how many pictures there are, after files came in or went."""
    with read(store) as session:
        return partial(request, "images/summary", _summary(session, project_id))


@router.post("/projects/{project_id}/images", max_body_size=MAX_DROP_BYTES)
async def drop(
    request: Request,
    project_id: int,
    store: Store,
    imports: Imports,
    person: Person,
    x_file_name: Annotated[str, Header()] = "",
    x_drop: Annotated[str, Header()] = "",
) -> Response:
    """Take one file as the raw body, named by the X-File-Name header, or several from a plain form.

    X-Drop is the browser's word for all files of one drop, which share a report and are ended together.
    """
    step, batch = str(uuid4()), x_drop[:MAX_WORD]

    def take(name: str, data: bytes) -> Dropped:
        staged = imports.staging()
        try:
            staged.write_bytes(data)
            outcome = imports.take_dropped(project_id, read_file_name(name), staged, batch, step, person)
        finally:
            staged.unlink(missing_ok=True)
        return _dropped(store, outcome)

    def answer_plain(taken: Sequence[Dropped]) -> Response:
        refused = [each.outcome for each in taken if each.outcome.status == "refused"]
        if not refused:
            return RedirectResponse(f"/projects/{project_id}/images", 303)
        reached = imports.progress(project_id)
        with read(store) as session:
            return page(request, "images/index", _index_page(session, project_id, reached, 0, refused), 422)

    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        batch = batch or step
        async with request.form() as form:
            files = [each for each in form.getlist("files") if isinstance(each, UploadFile) and each.filename]
            taken = [await run_in_threadpool(take, each.filename or "", await each.read()) for each in files]
        await run_in_threadpool(imports.end_drop, project_id, batch, (), person)
        return await run_in_threadpool(answer_plain, taken)
    dropped = await run_in_threadpool(take, x_file_name, await request.body())
    return partial(request, "images/drop", dropped, 422 if dropped.outcome.status == "refused" else 200)


@router.post("/projects/{project_id}/images/dropped")
def end(
    request: Request,
    project_id: int,
    store: Store,
    imports: Imports,
    person: Person,
    drop: Annotated[str, Form()] = "",
    unsent: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """End a drop: captions that its own images do not have go to images that were here, or wait for one.

    `unsent` are the files that never came, one percent-encoded name a line.
    """
    names = [read_file_name(each) for each in unsent.split()]
    ended = imports.end_drop(project_id, drop[:MAX_WORD], names, person)
    with read(store) as session:
        found = [tile_of(session, image_id) for image_id in dict.fromkeys(ended.touched)]
    tiles = [each for each in found if each is not None]
    return partial(request, "images/dropped", {"ended": ended, "labels": OUTCOME_LABELS, "tiles": tiles})


@router.get("/projects/{project_id}/images/alpha")
def transparency(request: Request, project_id: int, store: Store, change: bool = False) -> HTMLResponse:
    """Show the question what transparency means here, once an image has some."""
    with read(store) as session:
        return partial(request, "images/alpha", _alpha(session, project_id, change))


@router.post("/projects/{project_id}/images/alpha")
def decide(
    request: Request,
    project_id: int,
    store: Store,
    person: Person,
    ground: Annotated[str, Form()] = "",
    colour: Annotated[str, Form()] = "",
    use: Annotated[AlphaUse, Form()] = "flatten",
) -> Response:
    """Say what transparency means in this project; its images with transparent parts get it into their recipes."""
    error, status = "", 200
    try:
        if ground not in (*GROUNDS, "colour"):
            raise Invalid("No ground is chosen.", "Choose what shows behind transparent parts.")
        alpha.decide(store, project_id, use, GROUNDS.get(ground, colour.strip().lower()), person)
    except Invalid as refusal:
        error, status = f"{refusal.message} {refusal.hint}", 422
        if not is_htmx(request):
            raise
    if not is_htmx(request):
        return RedirectResponse(f"/projects/{project_id}/images", 303)
    with read(store) as session:
        part = replace(_alpha(session, project_id, is_open=bool(error)), alpha_error=error)
    answer = partial(request, "images/alpha", part, status)
    if not error:
        answer.headers["HX-Trigger"] = "images-changed"
    return answer


@router.post("/projects/{project_id}/images/remove", form_limits={"max_fields": MAX_SELECTED})
def remove_selected(
    request: Request, project_id: int, store: Store, person: Person, image: Annotated[list[int] | None, Form()] = None
) -> Response:
    """Take the selected images out of the project; their originals stay on the disk."""
    if not image:
        raise Invalid("No image is selected.", "Select one or more, then remove them.")
    with read(store) as session:
        gone = _of_project(session, project_id, image)
    step = new_step(project_id, person)
    in_parts(store, [row.id for row in gone], lambda session, part: remove_images(session, step, part))
    if not is_htmx(request):
        return RedirectResponse(f"/projects/{project_id}/images", 303)
    answer = partial(request, "images/removed", {"removed": gone})
    answer.headers["HX-Trigger"] = "images-changed"
    return answer


@router.post("/images/{image_id}/remove")
def remove(request: Request, image_id: int, store: Store, person: Person) -> Response:
    """Take one image out of its project and go on with the one behind it."""
    with write(store) as session:
        previous_id, next_id, _, _ = images.neighbours(session, images.get(session, image_id))
        gone = images.remove(session, image_id, person)
    onward = next_id or previous_id
    url = f"/images/{onward}" if onward else f"/projects/{gone.project_id}/images"
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": url})
    return RedirectResponse(url, 303)


@router.post("/images/{image_id}/repeats")
def repeats(
    request: Request, image_id: int, store: Store, person: Person, repeats: Annotated[str, Form()] = ""
) -> Response:
    """Set how often the image is seen in an epoch."""
    text, error = repeats.strip(), ""
    try:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Invalid(f"{text[:20] or 'Nothing'} is no whole number.", f"Give 1 to {images.MAX_REPEATS}.")
        with write(store) as session:
            images.set_repeats(session, image_id, int(text), person)
    except Invalid as refusal:
        error = f"{refusal.message} {refusal.hint}"
        if not is_htmx(request):
            raise
    if not is_htmx(request):
        return RedirectResponse(f"/images/{image_id}", 303)
    shown = {"image_id": image_id, "repeats": text, "repeats_error": error, "is_saved": not error}
    return partial(request, "images/repeats", shown, 422 if error else 200)


def read_file_name(header: str) -> str:
    """Return the bare, printable file name of a percent-encoded header; never a path."""
    return shown_name(unquote(header, errors="replace"))


def _grid(session: Session, project_id: int, after: int) -> GridPart:
    rows = images.page(session, project_id, after_id=after, limit=PAGE + 1)
    shown = rows[:PAGE]
    frames = animations.frame_counts(session, [row.id for row in shown])
    found = tuple(tile(row, frames.get(row.id, 1)) for row in shown)
    return GridPart(project_id, after, found, shown[-1].id if len(rows) > PAGE else None)


def _alpha(session: Session, project_id: int, is_open: bool) -> AlphaPart:
    state = alpha.state(session, project_id)
    asks = state.count > 0 and (is_open or state.use is None)
    return AlphaPart(project_id, state, alpha.examples(session, project_id) if asks else (), asks)


def _summary(session: Session, project_id: int) -> Summary:
    return Summary(
        project=projects.get(session, project_id),
        counts=projects.counts(session, project_id),
        step=next_step(standing(session, project_id)),
        caption_url=f"/projects/{project_id}/captions",
    )


def _index_page(
    session: Session,
    project_id: int,
    progress: ImportProgress | None,
    after: int,
    refused: Sequence[Outcome] = (),
) -> IndexPage:
    head = _summary(session, project_id)
    part = _grid(session, project_id, after)
    clear = _alpha(session, project_id, is_open=False)
    has_news = progress is not None and (
        not progress.is_over or progress.refused_count or progress.questions or progress.was_cancelled
    )
    return IndexPage(
        project=head.project,
        counts=head.counts,
        step=head.step,
        caption_url=head.caption_url,
        project_id=project_id,
        start=part.start,
        tiles=part.tiles,
        after=part.after,
        progress=progress if has_news else None,
        alpha=clear.alpha,
        examples=clear.examples,
        is_open=clear.is_open,
        refused=refused,
    )


def _dropped(store: Store, outcome: Outcome) -> Dropped:
    with read(store) as session:
        shown = tile_of(session, outcome.image_id) if outcome.image_id is not None else None
    return Dropped(outcome, OUTCOME_LABELS[outcome.status], shown)


def _of_project(session: Session, project_id: int, image_ids: Sequence[int]) -> list[ImageRow]:
    """The rows of a project among some ids; ids that are gone already are passed over."""
    wanted = set(image_ids)
    return [row for row in images.training_rows(session, project_id) if row.id in wanted]
