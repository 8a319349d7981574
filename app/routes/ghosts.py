"""Suggestions of one image, as the labeling screen reads and settles them."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.errors import AppError
from app.label import accepting
from app.label.suggestions import Seen
from app.person import Person
from app.store import images
from app.store.db import read, write
from app.wiring import Store

router = APIRouter()


class Ghost(BaseModel):
    """One suggestion that is not in the caption yet."""

    id: int
    text: str
    kind: str
    confidence: float
    model: str
    category: str


class Settled(BaseModel):
    """The image after one or more of its suggestions were settled."""

    image_id: int
    caption: str
    revision: int
    count: int
    suggestions: Sequence[Ghost]


@router.get("/images/{image_id}/suggestions.json")
def listing(image_id: int, store: Store) -> list[Ghost]:
    """Give what is suggested for an image and not in its caption, the surest first."""
    with read(store) as session:
        return [_ghost(each) for each in accepting.open_of(session, image_id)]


@router.post("/suggestions/{suggestion_id}/accept", response_model=Settled)
def accept(
    suggestion_id: int,
    store: Store,
    person: Person,
    how: Annotated[Literal["empty", "replace", "line"], Form()] = "empty",
) -> Response:
    """Take one suggestion into the caption; `how` says what becomes of a caption that is there already."""
    return _answer(store, lambda session: (accepting.accept(session, suggestion_id, person, how), 1))


@router.post("/suggestions/{suggestion_id}/dismiss", response_model=Settled)
def dismiss(
    suggestion_id: int, store: Store, person: Person, everywhere: Annotated[Literal["", "on"], Form()] = ""
) -> Response:
    """Dismiss one suggestion; with `everywhere` its tag is never suggested in the project again."""
    if not everywhere:
        return _answer(store, lambda session: (accepting.dismiss(session, suggestion_id), 1))
    try:
        image_id, count = accepting.dismiss_everywhere(store, suggestion_id, person)
        with read(store) as session:
            return _settled(session, image_id, count)
    except AppError as error:
        return _refused(error)


@router.post("/images/{image_id}/suggestions/accept", response_model=Settled)
def accept_all(
    image_id: int, store: Store, person: Person, threshold: Annotated[float, Form(ge=0, le=1)] = 0.5
) -> Response:
    """Take every suggested tag from a confidence on into the caption."""
    return _answer(store, lambda session: (image_id, accepting.accept_image(session, image_id, threshold, person)))


def _answer(store: Engine, act: Callable[[Session], tuple[int, int]]) -> Response:
    """Do it and give the image as it is then."""
    try:
        with write(store) as session:
            image_id, count = act(session)
            return _settled(session, image_id, count)
    except AppError as error:
        return _refused(error)


def _settled(session: Session, image_id: int, count: int) -> Response:
    row = images.get(session, image_id)
    left = [_ghost(each) for each in accepting.open_of(session, image_id)]
    settled = Settled(
        image_id=image_id, caption=row.caption or "", revision=row.revision, count=count, suggestions=left
    )
    return JSONResponse(settled.model_dump())


def _refused(error: AppError) -> Response:
    """An error as JSON, since a script reads it."""
    told = {"message": error.message, "hint": error.hint, "field": error.field}
    return JSONResponse({"error": told}, error.status)


def _ghost(each: Seen) -> Ghost:
    return Ghost(
        id=each.id,
        text=each.text,
        kind=each.kind,
        confidence=round(each.confidence, 4),
        model=each.model,
        category=each.category,
    )
