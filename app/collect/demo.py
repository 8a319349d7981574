"""Demo projects that a newcomer can finish: pictures with captions that ship with the studio."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect import pebblo
from app.collect.imports import take_file
from app.config import Settings
from app.contract.purposes import PurposeKey
from app.errors import NotFound
from app.store import bases, images, projects, provenance
from app.store.db import read, write
from app.store.models import Project

OPENMOJI = Path(__file__).parent / "openmoji"
# Who brought the words, as the history and the captions say it.
BY = "the demo"


@dataclass(frozen=True)
class Demo:
    """One demo: what the project is called, what it teaches, and whose pictures it uses."""

    key: str
    project: str
    purpose: PurposeKey
    trigger_word: str
    sentence: str
    attribution: str
    origin: provenance.Change
    drawings: Callable[[], list[tuple[str, bytes, str]]]


def openmoji_drawings() -> list[tuple[str, bytes, str]]:
    """Return name, PNG bytes and caption of the bundled OpenMoji pictures."""
    return [
        (path.name, path.read_bytes(), path.with_suffix(".txt").read_text("utf-8").strip())
        for path in sorted(OPENMOJI.glob("*.png"))
    ]


DEMOS = (
    Demo(
        key="style",
        project="Demo: OpenMoji style",
        purpose="style",
        trigger_word="openmoji",
        sentence="24 emoji in one drawing style that the bundled base model has never seen.",
        attribution="Emoji by OpenMoji (openmoji.org), CC BY-SA 4.0.",
        origin={"source": "https://openmoji.org", "author": "OpenMoji", "licence": "CC BY-SA 4.0"},
        drawings=openmoji_drawings,
    ),
    Demo(
        key="character",
        project="Demo: Pebblo",
        purpose="character",
        trigger_word="pebblo",
        sentence="20 images of one invented figure in varied poses, clothes and places.",
        attribution="Drawn by LoRA Studio's own code, CC0.",
        origin={"source": "LoRA Studio's own code", "author": "LoRA Studio", "licence": "CC0"},
        drawings=pebblo.drawings,
    ),
)


def demo_of(key: str) -> Demo:
    """Find a demo by its key. Raises NotFound."""
    for demo in DEMOS:
        if demo.key == key:
            return demo
    raise NotFound(f"There is no demo called {key}.", f"There are: {', '.join(demo.key for demo in DEMOS)}.")


def stands_in(session: Session, project_id: int, demo: Demo) -> bool:
    """Whether a project holds images of a demo, whatever it is called by now."""
    return provenance.stands_in(session, project_id, demo.origin["source"], demo.origin["author"])


def project_of(session: Session, demo: Demo) -> Project | None:
    """Find the project of a demo, also once it has another name."""
    if found := projects.by_name(session, demo.project):
        return found
    named_anew = projects.with_trigger_word(session, demo.trigger_word)
    return next((each for each in named_anew if stands_in(session, each.id, demo)), None)


def make(settings: Settings, engine: Engine, demo: Demo) -> int:
    """Make a demo's project on the bundled base, unless it is there, and return its id."""
    with read(engine) as session:
        base = next((row for row in bases.listed(session) if row.is_bundled), None)
    with write(engine) as session:
        if found := project_of(session, demo):
            return found.id
        base_id = base.id if base else None
        project_id = projects.create(session, demo.project, demo.purpose, demo.trigger_word, base_id).id
    batch = str(uuid4())
    for name, data, caption in demo.drawings():
        take_file(settings, engine, project_id, f"{Path(name).stem}.txt", caption.encode(), batch=batch, by=BY)
        take_file(settings, engine, project_id, name, data, batch=batch, by=BY)
    with write(engine) as session:
        taken = [row.id for row in images.training_rows(session, project_id)]
        provenance.set_many(session, project_id, taken, demo.origin, BY, batch=batch)
    return project_id
