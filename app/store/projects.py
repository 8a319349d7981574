"""Projects: made, found, changed and counted."""

from dataclasses import dataclass
from typing import TypedDict, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.contract.purposes import PurposeKey
from app.errors import Conflict, Invalid, NotFound
from app.store import settings
from app.store.history import Edit, record
from app.store.models import Base, Caption, Image, Project, Run, RunStatus, VerdictRow, now_us

COVERS = 4
MAX_NAME = 100


@dataclass(frozen=True)
class ProjectCard:
    """A project as the list shows it; `covers` are the hashes of its first images, the `last_run` its newest."""

    id: int
    name: str
    purpose: PurposeKey
    trigger_word: str
    image_count: int
    captioned_count: int
    covers: tuple[str, ...]
    last_run_id: int | None
    last_run_name: str
    last_run_status: RunStatus | None


@dataclass(frozen=True)
class ProjectCounts:
    """How much a project holds; `captioned` are the images whose caption has words."""

    images: int
    captioned: int
    runs: int
    verdicts: int


class ProjectChange(TypedDict, total=False):
    """What can be changed of a project."""

    name: str
    trigger_word: str
    base_id: int | None


def create(session: Session, name: str, purpose: PurposeKey, trigger_word: str, base_id: int | None) -> Project:
    """Make a project. Raises Invalid for an unusable name, Conflict for a taken one, NotFound for an unknown base."""
    project = Project(
        name=_free_name(session, name, None),
        name_key=_key(name),
        purpose=purpose,
        trigger_word=trigger_word.strip(),
        base_id=_known_base(session, base_id),
        created_us=now_us(),
    )
    session.add(project)
    session.flush()
    return project


def get(session: Session, project_id: int) -> Project:
    """Find a project. Raises NotFound."""
    if project := session.get(Project, project_id):
        return project
    raise NotFound(f"There is no project {project_id}.", "See the list of projects for those that exist.")


def by_name(session: Session, name: str) -> Project | None:
    """Find a project by its name, whatever the case."""
    return session.scalar(select(Project).where(Project.name_key == _key(name)))


def with_trigger_word(session: Session, trigger_word: str) -> list[Project]:
    """The projects with this trigger word, the oldest first."""
    return list(session.scalars(select(Project).where(Project.trigger_word == trigger_word).order_by(Project.id)))


def update(session: Session, project_id: int, by: str = "you", **change: Unpack[ProjectChange]) -> Project:
    """Change the named fields and record it. Raises what `create` raises, and NotFound."""
    project = get(session, project_id)
    before = {key: getattr(project, key) for key in change}
    if "name" in change:
        project.name = _free_name(session, change["name"], project_id)
        project.name_key = _key(change["name"])
    if "trigger_word" in change:
        project.trigger_word = change["trigger_word"].strip()
    if "base_id" in change:
        project.base_id = _known_base(session, change["base_id"])
    after = {key: getattr(project, key) for key in change}
    if after != before:
        record(session, Edit(project_id, by, "project", project_id, "update", before, after))
    return project


def cards(session: Session) -> list[ProjectCard]:
    """All projects, the newest first."""
    counted = _captions_by_project(session)
    covers = _covers_by_project(session)
    last_ids = select(func.max(Run.id)).group_by(Run.project_id)
    last = {run.project_id: run for run in session.scalars(select(Run).where(Run.id.in_(last_ids)))}
    return [
        ProjectCard(
            id=project.id,
            name=project.name,
            purpose=project.purpose,
            trigger_word=project.trigger_word,
            image_count=counted.get(project.id, (0, 0))[0],
            captioned_count=counted.get(project.id, (0, 0))[1],
            covers=tuple(covers.get(project.id, ())),
            last_run_id=last[project.id].id if project.id in last else None,
            last_run_name=last[project.id].name if project.id in last else "",
            last_run_status=last[project.id].status if project.id in last else None,
        )
        for project in session.scalars(select(Project).order_by(Project.id.desc()))
    ]


def counts(session: Session, project_id: int) -> ProjectCounts:
    """Count what a project holds; all zero for a project that does not exist."""
    images, captioned = _captions_by_project(session, project_id).get(project_id, (0, 0))
    runs = select(func.count()).select_from(Run).where(Run.project_id == project_id, Run.kind == "train")
    verdicts = select(func.count()).select_from(VerdictRow).join(Run, VerdictRow.run_id == Run.id)
    return ProjectCounts(
        images=images,
        captioned=captioned,
        runs=session.scalar(runs) or 0,
        verdicts=session.scalar(verdicts.where(Run.project_id == project_id)) or 0,
    )


def _captions_by_project(session: Session, project_id: int | None = None) -> dict[int, tuple[int, int]]:
    captioned = func.count(func.nullif(func.trim(Caption.text, " \t\r\n"), ""))
    query = select(Image.project_id, func.count(), captioned).outerjoin(Caption, Caption.image_id == Image.id)
    if project_id is not None:
        query = query.where(Image.project_id == project_id)
    return {key: (images, words) for key, images, words in session.execute(query.group_by(Image.project_id))}


def _covers_by_project(session: Session) -> dict[int, list[str]]:
    place = func.row_number().over(partition_by=Image.project_id, order_by=Image.id).label("place")
    placed = select(Image.project_id, Image.sha256, place).subquery()
    query = select(placed.c.project_id, placed.c.sha256).where(placed.c.place <= COVERS)
    covers: dict[int, list[str]] = {}
    for project_id, sha256 in session.execute(query.order_by(placed.c.project_id, placed.c.place)):
        covers.setdefault(project_id, []).append(sha256)
    return covers


def _free_name(session: Session, name: str, project_id: int | None) -> str:
    wanted = " ".join(name.split())
    if not wanted:
        raise Invalid("The project has no name.", "Give it one.", field="name")
    if len(wanted) > MAX_NAME:
        raise Invalid(f"The name has {len(wanted)} characters.", f"Use at most {MAX_NAME}.", field="name")
    taken = by_name(session, wanted)
    if taken is not None and taken.id != project_id:
        raise Conflict(f"There is a project called {taken.name} already.", "Choose another name.", field="name")
    return wanted


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()


def _known_base(session: Session, base_id: int | None) -> int | None:
    if base_id is not None and session.get(Base, base_id) is None:
        raise NotFound(f"There is no base model {base_id}.", "Choose one from the list.", field="base_id")
    return base_id


def enlarges(session: Session, project_id: int) -> bool:
    """Whether images smaller than their bucket are enlarged to it: as the project was trained last, else yes."""
    return settings.get(session, _enlarges_key(project_id), "on") == "on"


def remember_enlarges(session: Session, project_id: int, is_on: bool) -> None:
    """Remember that, so that every page shows what the next run will do."""
    settings.put(session, _enlarges_key(project_id), "on" if is_on else "off")


def _enlarges_key(project_id: int) -> str:
    return f"enlarges-{project_id}"
