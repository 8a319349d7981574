"""Where captions and models disagree, tag by tag and image by image, and accepting what is sure enough at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.contract.suggestions import tag_key
from app.errors import Invalid
from app.label import accepting
from app.label.suggestions import Seen, TagCount, View, counted
from app.person import Person
from app.polish.addresses import thumb_url
from app.render import page, partial
from app.store import images, projects, suggestions
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.wiring import Store

router = APIRouter()

MOST_TAGS = 100
MOST_IMAGES = 120
CHANGED = "suggestions-changed"
Choice = Literal["accept", "dismiss"]


@dataclass(frozen=True)
class TagTable:
    """The tags of one view; `rest` rarer ones are not shown, `dismissed` are never suggested."""

    project_id: int
    view: View
    text: str
    tags: Sequence[TagCount]
    rest: int
    missing: int
    doubted: int
    has_any: bool
    dismissed: Sequence[str]


@dataclass(frozen=True)
class Doubt:
    """An image over which caption and model disagree."""

    seen: Seen
    row: ImageRow
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
    """A tag, and whether the models or the captions are right over it; `q` is what the table is searched for."""

    tag: Annotated[str, Field(max_length=500)]
    choice: Choice
    view: View = "missing"
    q: Annotated[str, Field(max_length=100)] = ""


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
    view: View = "missing",
    text: Annotated[str, Query(alias="q", max_length=100)] = "",
) -> Response:
    """Count the tags over which captions and models disagree."""
    with read(store) as session:
        return partial(request, "disagreements/tags", _table(session, project_id, view, text))


@router.post("/projects/{project_id}/disagreements/tags")
def settle(
    request: Request,
    project_id: int,
    store: Store,
    person: Person,
    sent: Annotated[TagSettled, Form()],
) -> Response:
    """Settle one tag in the whole project: make the captions agree, or let them stand."""
    with write(store) as session:
        projects.get(session, project_id)
        act = accepting.accept_tag if sent.choice == "accept" else accepting.dismiss_tag
        count = act(session, project_id, sent.view, sent.tag, person)
    with read(store) as session:
        answer = partial(request, "disagreements/tags", _table(session, project_id, sent.view, sent.q))
    return _told(answer, _said(sent, count))


@router.post("/projects/{project_id}/disagreements/allow")
def allow(
    request: Request,
    project_id: int,
    store: Store,
    tag: Annotated[str, Form(max_length=500)],
    view: Annotated[View, Form()] = "missing",
) -> Response:
    """Let a tag be suggested again."""
    with write(store) as session:
        projects.get(session, project_id)
        count = suggestions.allow_tag(session, project_id, tag)
    with read(store) as session:
        answer = partial(request, "disagreements/tags", _table(session, project_id, view, ""))
    return _told(answer, f"“{tag}” may be suggested again: {_images(count)}.")


@router.get("/projects/{project_id}/disagreements")
def show(
    request: Request,
    project_id: int,
    store: Store,
    tag: Annotated[str, Query(max_length=500)] = "",
    view: View = "missing",
) -> Response:
    """Show the images of one tag over which captions and models disagree; without a tag lead to where they stand."""
    if not tag.strip():
        return RedirectResponse(f"/projects/{project_id}/suggestions", 303)
    with read(store) as session:
        return page(request, "disagreements/show", _show_page(session, project_id, view, tag))


@router.post("/projects/{project_id}/disagreements/images")
def settle_image(
    request: Request,
    project_id: int,
    store: Store,
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
            accepting.dismiss(session, sent.suggestion, person, everywhere=False)
    with read(store) as session:
        return partial(request, "disagreements/images", _show_page(session, project_id, sent.view, sent.tag))


def _table(session: Session, project_id: int, view: View, text: str) -> TagTable:
    projects.get(session, project_id)
    counts = {each: counted(found) for each, found in accepting.disagreements(session, project_id).items()}
    key = tag_key(text)
    fitting = [count for count in counts[view] if key in count.key]
    return TagTable(
        project_id=project_id,
        view=view,
        text=text,
        tags=fitting[:MOST_TAGS],
        rest=max(0, len(fitting) - MOST_TAGS),
        missing=len(counts["missing"]),
        doubted=len(counts["doubted"]),
        has_any=bool(suggestions.models(session, project_id)),
        dismissed=suggestions.dismissed(session, project_id),
    )


def _show_page(session: Session, project_id: int, view: View, tag: str) -> ShowPage:
    project = projects.get(session, project_id)
    key = tag_key(tag)
    found: dict[int, Seen] = {}
    for each in accepting.disagreements(session, project_id)[view]:
        if tag_key(each.text) == key:
            found.setdefault(each.image_id, each)
    order = sorted(found.values(), key=lambda each: each.confidence, reverse=view == "doubted")
    return ShowPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/label",
        view=view,
        tag=tag,
        doubts=[_doubt(each, images.get(session, each.image_id)) for each in order[:MOST_IMAGES]],
        rest=max(0, len(order) - MOST_IMAGES),
    )


def _doubt(each: Seen, row: ImageRow) -> Doubt:
    return Doubt(each, row, thumb_url(row))


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
