"""The plain caption page: one image and its words, for a browser without script; the labeling screen does the rest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.collect.sidecars import MAX_CAPTION_BYTES
from app.contract.captions import compose
from app.contract.purposes import PURPOSES
from app.errors import Unavailable
from app.frame import Frame, frame_of
from app.next_step import uncaptioned
from app.person import Person
from app.polish.addresses import picture_url, thumb_url
from app.render import is_htmx, page, partial
from app.store import captions, images, projects
from app.store.db import read, write
from app.store.images import ImageRow
from app.wiring import Store

router = APIRouter()

STRIP = 3
CHANGED_ELSEWHERE = "This caption was changed elsewhere in the meantime; nothing was overwritten."


@dataclass(frozen=True)
class Part:
    """A stretch of the training text; the trigger word is set apart."""

    text: str
    is_trigger: bool


@dataclass(frozen=True)
class Neighbour:
    """A picture of the strip."""

    id: int
    name: str
    thumb: str
    is_current: bool
    has_caption: bool


@dataclass(frozen=True)
class Words:
    """The caption as it stands and as it trains; `known` is what the store holds while `text` is what was typed."""

    image_id: int
    text: str
    known: str
    parts: Sequence[Part]
    has_words: bool
    problem: str = ""
    is_conflict: bool = False


@dataclass(frozen=True, kw_only=True)
class EditPage(Frame):
    """The editor of one picture; the fields of its partials stand here too."""

    next_missing_id: int | None
    strip: Sequence[Neighbour]
    picture: str
    labeling: str
    words: Words
    image_id: int
    repeats: str
    repeats_error: str = ""
    is_saved: bool = False
    section: str = "captions"


@router.get("/projects/{project_id}/captions")
def first(project_id: int, store: Store) -> Response:
    """Lead to the labeling screen, or to where images are added while there are none."""
    with read(store) as session:
        projects.get(session, project_id)
        has_images = bool(images.page(session, project_id, limit=1))
    return RedirectResponse(f"/projects/{project_id}/{'label' if has_images else 'images'}", 303)


@router.get("/images/{image_id}")
def screen(image_id: int, store: Store) -> Response:
    """Lead to the labeling screen, at this image."""
    with read(store) as session:
        row = images.get(session, image_id)
    return RedirectResponse(f"/projects/{row.project_id}/label?image={image_id}", 303)


@router.get("/images/{image_id}/caption")
def edit(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show the plain page."""
    with read(store) as session:
        row = images.get(session, image_id)
        return page(request, "captions/edit", _edit_page(session, row, None))


@router.post("/images/{image_id}/caption")
def save(
    request: Request,
    image_id: int,
    store: Store,
    person: Person,
    text: Annotated[str, Form()] = "",
    known: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Keep the words; `known` are the texts that the writer may replace, so that nobody's work is lost unseen.

    Answers with the training text, 409 when the caption is none of the known ones, 422 when it is far too long,
    503 when the disk is full or the store is busy. Whatever the answer, it holds the words that were sent.
    """
    problem, status = too_long(text), 422
    try:
        with write(store) as session:
            kept = images.get(session, image_id).caption or ""
            if known is not None and same_lines(kept) not in map(same_lines, [*known, text]):
                problem, status = CHANGED_ELSEWHERE, 409
            elif not problem and same_lines(text) != same_lines(kept):
                captions.save(session, image_id, same_lines(text), person)
    except Unavailable as refusal:
        problem, status = f"{refusal.message} {refusal.hint}", refusal.status
    if not problem:
        status = 200
        if not is_htmx(request):
            return RedirectResponse(f"/images/{image_id}/caption", 303)
    with read(store) as session:
        row = images.get(session, image_id)
        trigger_word = projects.get(session, row.project_id).trigger_word
        words = _words(row, trigger_word, text if problem else None, problem, is_conflict=status == 409)
        if is_htmx(request):
            return partial(request, "captions/training_text", {"words": words}, status)
        return page(request, "captions/edit", _edit_page(session, row, words), status)


def same_lines(text: str) -> str:
    """Return the text with the line ends of a text field, whatever a browser or a file made of them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def too_long(text: str) -> str:
    """Say that a text is far too long for a caption; '' when it is not."""
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    return (
        f"This is {size_bytes:,} bytes long, which is no caption. Shorten it." if size_bytes > MAX_CAPTION_BYTES else ""
    )


def split_trigger(text: str, trigger_word: str) -> tuple[Part, ...]:
    """Set every standing of the trigger word apart from the text around it."""
    if not trigger_word:
        return (Part(text, False),) if text else ()
    pieces = re.split(rf"(?<!\w)({re.escape(trigger_word)})(?!\w)", text, flags=re.IGNORECASE)
    return tuple(Part(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece)


def _words(
    row: ImageRow, trigger_word: str, typed: str | None, problem: str = "", *, is_conflict: bool = False
) -> Words:
    known = same_lines(row.caption or "")
    text = known if typed is None else typed
    return Words(
        image_id=row.id,
        text=text,
        known=known,
        parts=split_trigger(compose(text, trigger_word), trigger_word),
        has_words=bool(text.strip()),
        problem=problem,
        is_conflict=is_conflict,
    )


def _edit_page(session: Session, row: ImageRow, words: Words | None) -> EditPage:
    frame = frame_of(session, row)
    project = frame.project
    missing = uncaptioned(session, project.id, row.id) or uncaptioned(session, project.id)
    return EditPage(
        **vars(frame),
        next_missing_id=missing.id if missing and missing.id != row.id else None,
        strip=_strip(session, row),
        picture=picture_url(row),
        labeling=PURPOSES[project.purpose].labeling,
        words=words or _words(row, project.trigger_word, None),
        image_id=row.id,
        repeats=str(row.repeats),
    )


def _strip(session: Session, row: ImageRow) -> list[Neighbour]:
    before: list[ImageRow] = []
    at = row
    while len(before) < STRIP and (previous_id := images.neighbours(session, at)[0]):
        at = images.get(session, previous_id)
        before.insert(0, at)
    behind = images.page(session, row.project_id, after_id=row.id, limit=2 * STRIP - len(before))
    return [
        Neighbour(
            id=each.id,
            name=each.name,
            thumb=thumb_url(each),
            is_current=each.id == row.id,
            has_caption=bool((each.caption or "").strip()),
        )
        for each in (*before, row, *behind)
    ]
