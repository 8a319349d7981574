"""Where captions and models disagree, tag by tag and image by image, and accepting what is sure enough at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.contract.suggestions import tag_key
from app.errors import Invalid
from app.label import accepting
from app.label.desk import Desk
from app.label.disagreements import VIEWS
from app.label.suggestions import Seen, TagCount, View
from app.person import Person
from app.polish.addresses import thumb_url
from app.render import page, partial
from app.store import images, projects, suggestions, tiles
from app.store.db import read, write
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.store.tiles import TileRow
from app.table import table_of
from app.wiring import LabelDesk, Store

router = APIRouter()

MOST_TAGS = 100
MOST_IMAGES = 120
CHANGED = "suggestions-changed"
Choice = Literal["accept", "dismiss"]


@dataclass(frozen=True)
class Asked:
    """Which tags are asked for: a view, letters in them, a page of these from 1 on."""

    view: View
    text: str = ""
    page: int = 1


@dataclass(frozen=True)
class TagTable:
    """A page of the tags of one view; `found` fit what is searched for, `dismissed` are never suggested."""

    project_id: int
    view: View
    text: str
    tags: Sequence[TagCount]
    found: int
    missing: int
    doubted: int
    has_any: bool
    dismissed: Sequence[str]
    page: int
    pages: int


@dataclass(frozen=True)
class Doubt:
    """An image over which caption and model disagree."""

    seen: Seen
    row: TileRow
    thumb: str


@dataclass(frozen=True)
class ShowPage:
    """The images of one tag, the least sure first, since these want to be looked at."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    view: View
    tag: str
    doubts: Sequence[Doubt]
    rest: int
    section: str = "captions"
    room: str = "suggestions"


class TagSettled(BaseModel):
    """A tag, and whether the models or the captions are right over it; `q` and `page` say which tags are shown."""

    tag: Annotated[str, Field(max_length=500)]
    choice: Choice
    view: View = "missing"
    q: Annotated[str, Field(max_length=100)] = ""
    page: int = 1


class ImageSettled(BaseModel):
    """One suggestion, and who is right over it."""

    suggestion: int
    choice: Choice
    tag: Annotated[str, Field(max_length=500)]
    view: View = "missing"


@router.get("/projects/{project_id}/disagreements/tags")
def tags(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    view: View = "missing",
    text: Annotated[str, Query(alias="q", max_length=100)] = "",
    at: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """Count the tags over which captions and models disagree."""
    with read(store) as session:
        return partial(request, "disagreements/tags", _table(session, desk, project_id, Asked(view, text, at)))


@router.post("/projects/{project_id}/disagreements/tags")
def settle(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    person: Person,
    sent: Annotated[TagSettled, Form()],
) -> Response:
    """Settle one tag in the whole project: make the captions agree, or let them stand."""
    count = _settle(store, desk, project_id, sent, person)
    with read(store) as session:
        shown = _table(session, desk, project_id, Asked(sent.view, sent.q, sent.page))
        answer = partial(request, "disagreements/tags", shown)
    return _told(answer, _said(sent, count))


@router.post("/projects/{project_id}/disagreements/allow")
def allow(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    tag: Annotated[str, Form(max_length=500)],
    view: Annotated[View, Form()] = "missing",
) -> Response:
    """Let a tag be suggested again."""
    count = suggestions.allow_tag(store, project_id, tag)
    with read(store) as session:
        answer = partial(request, "disagreements/tags", _table(session, desk, project_id, Asked(view)))
    return _told(answer, f"“{tag}” may be suggested again: {_images(count)}.")


@router.get("/projects/{project_id}/disagreements")
def show(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    tag: Annotated[str, Query(max_length=500)] = "",
    view: View = "missing",
) -> Response:
    """Show the images of one tag over which captions and models disagree; without a tag lead to where they stand."""
    if not tag.strip():
        return RedirectResponse(f"/projects/{project_id}/suggestions", 303)
    with read(store) as session:
        return page(request, "disagreements/show", _show_page(session, desk, project_id, view, tag))


@router.post("/projects/{project_id}/disagreements/images")
def settle_image(
    request: Request,
    project_id: int,
    store: Store,
    desk: LabelDesk,
    person: Person,
    sent: Annotated[ImageSettled, Form()],
) -> Response:
    """Settle one image of a tag."""
    with write(store) as session:
        row = images.get(session, suggestions.get(session, sent.suggestion).image_id)
        if row.project_id != project_id:
            raise Invalid("This image is of another project.", "Go back and choose again.")
        if sent.choice == "accept":
            accepting.accept(session, sent.suggestion, person)
        else:
            accepting.dismiss(session, sent.suggestion)
    with read(store) as session:
        return partial(request, "disagreements/images", _show_page(session, desk, project_id, sent.view, sent.tag))


def _settle(store: Engine, desk: Desk, project_id: int, sent: TagSettled, person: str) -> int:
    if sent.choice == "dismiss" and sent.view == "missing":
        return suggestions.dismiss_tag(store, project_id, sent.tag, person)
    with read(store) as session:
        table = table_of(session, desk, project_id)
        found = desk.disagreements(session, project_id, table).of_tag(sent.view, sent.tag)
    if sent.choice == "accept":
        return accepting.carry_out(store, accepting.tag_changes(table, found, sent.view), person)
    return accepting.let_stand(store, found)


def _table(session: Session, desk: Desk, project_id: int, asked: Asked) -> TagTable:
    found = desk.disagreements(session, project_id, table_of(session, desk, project_id))
    counts = {each: found.counts(each) for each in VIEWS}
    key = tag_key(asked.text)
    fitting = [count for count in counts[asked.view] if key in count.key] if key else counts[asked.view]
    pages = max(1, -(-len(fitting) // MOST_TAGS))
    at = min(max(1, asked.page), pages)
    return TagTable(
        project_id=project_id,
        view=asked.view,
        text=asked.text,
        tags=fitting[(at - 1) * MOST_TAGS : at * MOST_TAGS],
        found=len(fitting),
        missing=len(counts["missing"]),
        doubted=len(counts["doubted"]),
        has_any=suggestions.any_of(session, project_id),
        dismissed=suggestions.dismissed(session, project_id),
        page=at,
        pages=pages,
    )


def _show_page(session: Session, desk: Desk, project_id: int, view: View, tag: str) -> ShowPage:
    project = projects.get(session, project_id)
    by_image = desk.disagreements(session, project_id, table_of(session, desk, project_id)).of_tag(view, tag)
    found = [here[0] for here in by_image.values()]
    order = sorted(found, key=lambda each: each.confidence, reverse=view == "doubted")
    rows = tiles.tile_rows(session, project_id, [each.image_id for each in order[:MOST_IMAGES]])
    return ShowPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/label",
        view=view,
        tag=tag,
        doubts=[Doubt(seen, row, thumb_url(row)) for seen, row in zip(order, rows, strict=False)],
        rest=max(0, len(order) - MOST_IMAGES),
    )


def _told(answer: Response, text: str) -> Response:
    answer.headers["HX-Trigger"] = json.dumps({"toast": {"text": text, "tone": "ok"}, CHANGED: {}})
    return answer


def _said(sent: TagSettled, count: int) -> str:
    if sent.choice == "accept":
        done = "added to" if sent.view == "missing" else "taken out of"
        return f"“{sent.tag}” {done} {_captions(count)}. Undo is one step."
    if sent.view == "missing":
        return f"“{sent.tag}” is not suggested again in this project."
    return f"“{sent.tag}” stays in {_captions(count)}."


def _captions(count: int) -> str:
    return f"{count:,} caption{'' if count == 1 else 's'}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
