"""Duplicates: alike images side by side, one pair after the other, decided by a person."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.collect.alike import Alike, alike
from app.collect.duplicates import Pair, merged_caption
from app.collect.facts import PictureFacts
from app.errors import NotFound
from app.person import Person
from app.render import is_htmx, page, partial, size_text
from app.store import captions, images, projects, relations
from app.store.db import read, write
from app.store.models import Project
from app.store.projects import ProjectCounts
from app.store.relations import Candidate
from app.wiring import Store

router = APIRouter()

Answer = Literal["left", "right", "same", "alternate", "unrelated"]
# A picture that is this much sharper than the other, and hardly smaller, is called so.
CLEARLY = 1.15
HARDLY_SMALLER = 0.9


class Said(BaseModel):
    """A decision as a form; the hashes of the two images, left and right as they were shown."""

    left: str = ""
    right: str = ""
    answer: Answer
    skipped: int = 0


class Kept(BaseModel):
    """What to do after one image was called better: the keeper, and the one that may go."""

    keeper: int
    other: int
    skipped: int = 0


@dataclass(frozen=True)
class Side:
    """One image of a pair, and what it has over the other."""

    image: Candidate
    picture: str
    size: str
    kind: str
    sharpness: str
    is_larger: bool
    is_sharper: bool


@dataclass(frozen=True)
class Last:
    """The decision made last, and what it offers: the keeper, the other image, the caption that both would make."""

    text: str
    keeper: Candidate | None = None
    other: Candidate | None = None
    merged: str = ""
    new_parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairPart:
    """The pair to decide, or none; `done` of `total` pairs need no decision any more."""

    project_id: int
    left: Side | None
    right: Side | None
    pair: Pair | None
    ahead: tuple[str, ...]
    done: int
    total: int
    skipped: int
    unmeasured: int
    last: Last | None


@dataclass(frozen=True)
class IndexPage:
    """The page around the pair."""

    project: Project
    counts: ProjectCounts
    part: PairPart
    section: str = "images"


@router.get("/projects/{project_id}/duplicates")
def index(request: Request, project_id: int, store: Store, skipped: int = 0) -> HTMLResponse:
    """Show the nearest pair that nobody has decided yet, behind those that were skipped."""
    with read(store) as session:
        shown = IndexPage(
            project=projects.get(session, project_id),
            counts=projects.counts(session, project_id),
            part=_part(session, project_id, skipped, None),
        )
    return page(request, "duplicates/index", shown)


@router.get("/projects/{project_id}/duplicates/pair")
def pair(request: Request, project_id: int, store: Store, skipped: int = 0) -> HTMLResponse:
    """Show the pair alone, when one was skipped."""
    with read(store) as session:
        projects.get(session, project_id)
        return partial(request, "duplicates/pair", _part(session, project_id, skipped, None))


@router.post("/projects/{project_id}/duplicates/decide")
def decide(request: Request, project_id: int, store: Store, person: Person, form: Annotated[Said, Form()]) -> Response:
    """Keep a decision and show the next pair, with what the decision offers."""
    with write(store) as session:
        _both(session, project_id, form.left, form.right)
        better = {"left": form.left, "right": form.right}.get(form.answer)
        kinship = "better" if better else form.answer
        relations.decide(session, project_id, (form.left, form.right), kinship, better, person)  # type: ignore[arg-type]  # left and right became better
        last = _last(session, project_id, form)
    return _next(request, store, project_id, form.skipped, last)


@router.post("/projects/{project_id}/duplicates/undo")
def undo(
    request: Request, project_id: int, store: Store, person: Person, skipped: Annotated[int, Form()] = 0
) -> Response:
    """Take the latest decision back, so that its pair comes again."""
    with write(store) as session:
        projects.get(session, project_id)
        pair = relations.undo(session, project_id, person)
    text = "The latest decision was taken back." if pair else "There is no decision to take back."
    return _next(request, store, project_id, 0 if pair else skipped, Last(text))


@router.post("/projects/{project_id}/duplicates/merge")
def merge(request: Request, project_id: int, store: Store, person: Person, form: Annotated[Kept, Form()]) -> Response:
    """Add to the keeper's caption what only the other's says."""
    with write(store) as session:
        keeper, other = _kept(session, project_id, form)
        words, _ = merged_caption(keeper.caption, other.caption)
        captions.save(session, keeper.image_id, words, person)
        keeper, other = _kept(session, project_id, form)
    last = Last(f"{keeper.name} has the words of both now.", keeper, other)
    return _next(request, store, project_id, form.skipped, last)


@router.post("/projects/{project_id}/duplicates/remove")
def remove(request: Request, project_id: int, store: Store, person: Person, form: Annotated[Kept, Form()]) -> Response:
    """Take the image that is not the keeper out of the project; its original stays on the disk."""
    with write(store) as session:
        keeper, other = _kept(session, project_id, form)
        images.remove(session, other.image_id, person)
    last = Last(f"{other.name} was removed; {keeper.name} stays. Its original is still on the disk.")
    return _next(request, store, project_id, form.skipped, last)


def _next(request: Request, store: Store, project_id: int, skipped: int, last: Last) -> Response:
    if not is_htmx(request):
        return RedirectResponse(f"/projects/{project_id}/duplicates?skipped={max(0, skipped)}", 303)
    with read(store) as session:
        return partial(request, "duplicates/pair", _part(session, project_id, skipped, last))


def _part(session: Session, project_id: int, skipped: int, last: Last | None) -> PairPart:
    found = alike(session, project_id)
    waiting = found.waiting()
    skipped = max(0, min(skipped, len(waiting)))
    chosen = waiting[skipped] if skipped < len(waiting) else None
    left, right = _sides(session, project_id, found, chosen) if chosen else (None, None)
    return PairPart(
        project_id=project_id,
        left=left,
        right=right,
        pair=chosen,
        ahead=_ahead(waiting[skipped + 1 : skipped + 3]),
        done=len(found.pairs) - len(waiting),
        total=len(found.pairs),
        skipped=skipped,
        unmeasured=found.unmeasured,
        last=last,
    )


def _ahead(pairs: list[Pair]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"/media/pictures/{sha}.webp" for each in pairs for sha in (each.low, each.high)))


def _sides(session: Session, project_id: int, found: Alike, pair: Pair) -> tuple[Side, Side]:
    """The earlier image stands left, so that a pair looks the same whenever it comes."""
    order = {row.sha256: place for place, row in enumerate(found.images)}
    first, second = sorted((pair.low, pair.high), key=lambda sha256: order[sha256])
    one, other = _both(session, project_id, first, second)
    return _side(one, other), _side(other, one)


def _side(image: Candidate, other: Candidate) -> Side:
    own, theirs = _facts(image), _facts(other)
    is_as_large = _area(image) >= HARDLY_SMALLER * _area(other)
    return Side(
        image=image,
        picture=f"/media/pictures/{image.sha256}.webp",
        size=size_text(image.size_bytes),
        kind=own.container if own else image.extension.upper(),
        sharpness=f"{own.sharpness:,.0f}" if own else "not measured",
        is_larger=_area(image) > _area(other),
        is_sharper=is_as_large and bool(own and theirs and own.sharpness > theirs.sharpness * CLEARLY),
    )


def _area(image: Candidate) -> int:
    return image.width_px * image.height_px


def _facts(image: Candidate) -> PictureFacts | None:
    return PictureFacts.model_validate_json(image.facts) if image.facts else None


def _both(session: Session, project_id: int, left: str, right: str) -> tuple[Candidate, Candidate]:
    one = relations.candidate(session, project_id, left)
    other = relations.candidate(session, project_id, right)
    if one is None or other is None:
        raise NotFound("One of the two images is no longer in the project.", "Reload the page for the next pair.")
    return one, other


def _kept(session: Session, project_id: int, form: Kept) -> tuple[Candidate, Candidate]:
    keeper, other = images.get(session, form.keeper), images.get(session, form.other)
    return _both(session, project_id, keeper.sha256, other.sha256)


def _last(session: Session, project_id: int, form: Said) -> Last:
    left, right = _both(session, project_id, form.left, form.right)
    match form.answer:
        case "same":
            return Last(f"{left.name} and {right.name} are the same.")
        case "alternate":
            return Last(f"{left.name} and {right.name} are alternates: both stay.")
        case "unrelated":
            return Last(f"{left.name} and {right.name} are not related.")
    keeper, other = (left, right) if form.answer == "left" else (right, left)
    words, new = merged_caption(keeper.caption, other.caption)
    return Last(f"{keeper.name} is better than {other.name}.", keeper, other, words, new)
