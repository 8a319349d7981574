"""Accepting suggestions of a whole project: first it is said whose captions would change, then it is one step."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.label import accepting
from app.label.accepting import Plan, Wish
from app.person import Person
from app.render import partial
from app.store import projects, suggestions
from app.store.db import read
from app.wiring import Store

router = APIRouter()


@dataclass(frozen=True)
class PlanShown:
    """What would be accepted, before it is."""

    project_id: int
    wish: Wish
    plan: Plan
    models: Sequence[str]
    notice: str = ""


class Accepted(BaseModel):
    """What to accept; `expected` is how many captions it was said to change, -1 when nobody asked first."""

    kind: Literal["tag", "caption"] = "tag"
    model: str = ""
    threshold: str = "0.5"
    overwrites: str = ""
    expected: int = -1


@router.get("/projects/{project_id}/suggestions/plan")
def plan(
    request: Request,
    project_id: int,
    store: Store,
    kind: Literal["tag", "caption"] = "tag",
    model: str = "",
    threshold: str = "0.5",
    overwrites: str = "",
) -> Response:
    """Say what accepting would do, and to whose captions."""
    with read(store) as session:
        return partial(
            request, "acceptance/plan", _plan(session, project_id, _wish(kind, model, threshold, overwrites))
        )


@router.post("/projects/{project_id}/suggestions/accept")
def accept(
    request: Request,
    project_id: int,
    store: Store,
    person: Person,
    sent: Annotated[Accepted, Form()],
) -> Response:
    """Accept from a confidence on in the whole project, as one step; refused when it is not what was announced."""
    wish = _wish(sent.kind, sent.model, sent.threshold, sent.overwrites)
    with read(store) as session:
        planned = _plan(session, project_id, wish)
    is_as_told = sent.expected in (-1, len(planned.plan.changes))
    done = accepting.carry_out(store, planned.plan.changes, person) if is_as_told else 0
    with read(store) as session:
        after = _plan(session, project_id, wish)
    if not is_as_told:
        notice = "Captions or suggestions have changed meanwhile. These are the new numbers; look again."
        shown = PlanShown(after.project_id, wish, after.plan, after.models, notice)
        return partial(request, "acceptance/plan", shown, 422)
    answer = partial(request, "acceptance/plan", after)
    text = f"{done:,} caption{'' if done == 1 else 's'} changed. Undo is one step."
    answer.headers["HX-Trigger"] = json.dumps({"toast": {"text": text, "tone": "ok"}, "suggestions-changed": {}})
    return answer


def _wish(kind: Literal["tag", "caption"], model: str, threshold: str, overwrites: str) -> Wish:
    try:
        least = float(threshold.replace(",", "."))
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:
        raise Invalid("The confidence is a number from 0 to 1.", "Give for example 0.5.", field="threshold")
    return Wish(kind, model, least, "models" if overwrites else "empty")


def _plan(session: Session, project_id: int, wish: Wish) -> PlanShown:
    projects.get(session, project_id)
    return PlanShown(
        project_id, wish, accepting.plan(session, project_id, wish), suggestions.models(session, project_id)
    )
