"""The images of a project in memory, as the labeling pages and JSON ask for them."""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.config import Settings
from app.inspect.reading import read_facts
from app.inspect.rules import inspect
from app.label.desk import Desk, Frame
from app.label.rows import Table
from app.label.terms import matching
from app.launch.bases import BUNDLED
from app.place import target_of
from app.store import bases, projects
from app.store.db import read
from app.store.models import Project


def table_of(session: Session, desk: Desk, project_id: int) -> Table:
    """Every image of a project with its words as they are now. Raises NotFound."""
    project = projects.get(session, project_id)
    target = target_of(session, project)
    frame = Frame(project.trigger_word, target.layout, tokenizer_folders(session, project))
    return desk.table(session, project_id, frame)


def marks_of(engine: Engine, settings: Settings, project_id: int) -> dict[int, frozenset[str]]:
    """What inspection says of the images of a project: how grave, which rule, its code. Raises NotFound."""
    with read(engine) as session:
        facts = read_facts(session, settings, project_id)
    found: dict[int, set[str]] = {}
    for each in inspect(facts):
        for image_id in {*each.image_ids, *((each.image_id,) if each.image_id is not None else ())}:
            found.setdefault(image_id, set()).update((each.severity, each.rule.casefold(), each.code.casefold()))
    return {image_id: frozenset(marks - {""}) for image_id, marks in found.items()}


def find(session: Session, desk: Desk, project_id: int, text: str) -> list[int]:
    """The ids of the images that a filter finds, in their order. Raises NotFound, label.filters.FilterError."""
    return matching(table_of(session, desk, project_id), text)


def tokenizer_folders(session: Session, project: Project) -> tuple[Path, ...]:
    """Where the tokenizer of a project's base may stand; the bundled base has the vocabulary that they all share."""
    base = bases.get(session, project.base_id) if project.base_id else None
    own = (Path(base.path) / "tokenizer",) if base else ()
    return (*own, BUNDLED / "tokenizer")
