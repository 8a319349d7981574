"""The caption editor: one picture, its words saved as they are typed, and what the trainer will make of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from app.collect.sidecars import MAX_CAPTION_BYTES
from app.contract.buckets import Fit, Size, fit, make_buckets
from app.contract.captions import compose
from app.contract.families import FAMILIES, bucket_step
from app.contract.purposes import PURPOSES
from app.errors import Unavailable
from app.next_step import uncaptioned
from app.render import is_htmx, page, partial
from app.store import bases, captions, images, projects
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Store

router = APIRouter()

DEFAULT_FAMILY = FAMILIES["sd15"]
STRIP = 3
CHANGED_ELSEWHERE = "This caption was changed elsewhere in the meantime; nothing was overwritten."


@dataclass(frozen=True)
class Part:
    """A stretch of the training text; the trigger word is set apart."""

    text: str
    is_trigger: bool


@dataclass(frozen=True)
class Box:
    """The part of the upright picture that is kept, in its own pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Place:
    """Where the picture trains: its bucket, what the crop keeps and the share it cuts away."""

    resolution_px: int
    base_name: str
    fit: Fit
    kept: Box

    @property
    def lost_pct(self) -> int:
        """Share cut away in whole percent, 1 for anything that is cut at all."""
        return max(1, round(self.fit.lost * 100)) if self.fit.lost > 0.0005 else 0

    @property
    def lost_at(self) -> str:
        """The two sides that lose."""
        return "left and right" if self.fit.scaled.width > self.fit.bucket.width else "top and bottom"


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


@dataclass(frozen=True)
class EditPage:
    """The editor of one picture; the fields of its partials stand here too."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    row: ImageRow
    position: int
    total: int
    previous_id: int | None
    next_id: int | None
    next_missing_id: int | None
    strip: Sequence[Neighbour]
    preload: str
    labeling: str
    place: Place
    words: Words
    image_id: int
    repeats: str
    repeats_error: str = ""
    is_saved: bool = False
    section: str = "captions"


@router.get("/projects/{project_id}/captions")
def first(request: Request, project_id: int, store: Store) -> Response:
    """Lead to the first picture without a caption, else to the first of all."""
    with read(store) as session:
        projects.get(session, project_id)
        found = uncaptioned(session, project_id) or next(iter(images.page(session, project_id, limit=1)), None)
    return RedirectResponse(f"/images/{found.id}" if found else f"/projects/{project_id}/images", 303)


@router.get("/images/{image_id}")
def edit(request: Request, image_id: int, store: Store) -> HTMLResponse:
    """Show the editor."""
    with read(store) as session:
        row = images.get(session, image_id)
        return page(request, "captions/edit", _edit_page(session, row, None))


@router.post("/images/{image_id}/caption")
def save(
    request: Request,
    image_id: int,
    store: Store,
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
                captions.save(session, image_id, same_lines(text), "you")
    except Unavailable as refusal:
        problem, status = f"{refusal.message} {refusal.hint}", refusal.status
    if not problem:
        status = 200
        if not is_htmx(request):
            return RedirectResponse(f"/images/{image_id}", 303)
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


def place_of(row: ImageRow, resolution_px: int, step_px: int, base_name: str) -> Place:
    """Say where a picture trains at a resolution."""
    found = fit(Size(row.width_px, row.height_px), make_buckets(resolution_px, step_px))
    scale_x = found.original.width / found.scaled.width
    scale_y = found.original.height / found.scaled.height
    kept = Box(
        left=round(found.left * scale_x),
        top=round(found.top * scale_y),
        width=round(found.bucket.width * scale_x),
        height=round(found.bucket.height * scale_y),
    )
    return Place(resolution_px, base_name, found, kept)


def _place(session: Session, project: Project, row: ImageRow) -> Place:
    base = bases.get(session, project.base_id) if project.base_id else None
    facts = FAMILIES[base.family] if base else DEFAULT_FAMILY
    resolution_px = base.resolution_px if base else facts.resolution_px
    return place_of(row, resolution_px, bucket_step(facts, resolution_px), base.name if base else "")


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
    project = projects.get(session, row.project_id)
    previous_id, next_id, position, total = images.neighbours(session, row)
    missing = uncaptioned(session, project.id, row.id) or uncaptioned(session, project.id)
    strip = _strip(session, row)
    following = next((each for each in strip if each.id == next_id), None)
    return EditPage(
        project=project,
        counts=projects.counts(session, project.id),
        caption_url=f"/images/{row.id}",
        row=row,
        position=position,
        total=total,
        previous_id=previous_id,
        next_id=next_id,
        next_missing_id=missing.id if missing and missing.id != row.id else None,
        strip=strip,
        preload=following.thumb.replace("/thumbs/", "/pictures/") if following else "",
        labeling=PURPOSES[project.purpose].labeling,
        place=_place(session, project, row),
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
            thumb=f"/media/thumbs/{each.sha256}.webp",
            is_current=each.id == row.id,
            has_caption=bool((each.caption or "").strip()),
        )
        for each in (*before, row, *behind)
    ]
