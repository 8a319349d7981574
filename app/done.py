"""What a step did to many images, for the page that did it: in words, and whether it can be undone there."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from app.store import history

STEP = r"^([0-9a-f-]{32,36})?$"
StepName = Annotated[str, Query(pattern=STEP)]


@dataclass(frozen=True)
class DoneStep:
    """A step that was just done; `can_undo` while it stands for some of its images."""

    name: str
    words: str
    tone: str
    can_undo: bool


def done_step(session: Session, project_id: int, name: str, verb: str = "changed") -> DoneStep | None:
    """Say what the step of a name has `verb`, such as "changed"; None without a name."""
    if not name:
        return None
    count, undone = history.reach(session, project_id, name)
    if not count:
        return DoneStep(name, f"No image was {verb}: there was nothing to do.", "info", can_undo=False)
    if undone < count:
        part = f"; of {_images(undone)} it is undone" if undone else ""
        return DoneStep(name, f"{_images(count)} {verb}{part}.", "ok", can_undo=True)
    are = "is" if count == 1 else "are"
    return DoneStep(name, f"Undone: {_images(count)} {are} as before.", "info", can_undo=False)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
