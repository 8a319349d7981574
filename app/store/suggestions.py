"""Suggestions: what models said of images, until a person accepts or dismisses it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.contract.rundir import RunDir
from app.contract.spec import TagSpec, read_spec
from app.contract.suggestions import DOUBT, Answer, Looked, read_book, tag_key
from app.errors import NotFound
from app.store import projects
from app.store.db import read, write
from app.store.models import Caption, DismissedTag, Image, Run, Suggestion, SuggestionKind, SuggestionState, now_us
from app.store.parts import in_parts

# SQLite takes some thousand values in a statement at the least.
CHUNK = 500


@dataclass(frozen=True)
class Taken:
    """Which run of which model said it, in which project."""

    project_id: int
    run_id: int
    model: str


def take_book(engine: Engine, run: Run, run_dir: RunDir) -> int:
    """Take in what a tag run has written so far and return how many suggestions are new; a piece is a transaction.

    May be repeated at any time: by whoever settles the run, and again after a death in between.
    """
    try:
        spec = read_spec(run_dir.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The run itself fails for this, in words.
        return 0
    if not isinstance(spec, TagSpec):
        return 0
    lines, new = read_book(run_dir), 0
    for start in range(0, len(lines), CHUNK):
        with write(engine) as session:
            new += take(session, Taken(run.project_id, run.id, spec.model), lines[start : start + CHUNK])
    return new


def take(session: Session, taken: Taken, lines: Sequence[Looked]) -> int:
    """Take a run's answers in and return how many are new; taking the same again changes nothing.

    A model's newest word stands: what it said of an image in an earlier run and says no more is dropped while open.
    Accepted and dismissed ones stay so. Images that are gone and tags that nobody wants in the project are passed over.
    """
    unwanted = dismissed_keys(session, taken.project_id)
    return sum(
        _take_some(session, taken, lines[start : start + CHUNK], unwanted) for start in range(0, len(lines), CHUNK)
    )


def _take_some(session: Session, taken: Taken, lines: Sequence[Looked], unwanted: Collection[str]) -> int:
    by_hash = {line.sha256: line for line in lines if not line.note}
    images = session.execute(
        select(Image.id, Image.sha256).where(Image.project_id == taken.project_id, Image.sha256.in_(by_hash))
    ).all()
    known = select(Suggestion).where(
        Suggestion.image_id.in_([image_id for image_id, _ in images]), Suggestion.model == taken.model
    )
    kept: dict[int, dict[tuple[str, str], Suggestion]] = {image_id: {} for image_id, _ in images}
    for row in session.scalars(known):
        kept[row.image_id][row.kind, row.text] = row
    new: list[dict[str, object]] = []
    for image_id, sha256 in images:
        said: dict[tuple[str, str], Answer] = {
            (answer.kind, answer.text): answer
            for answer in reversed(by_hash[sha256].answers)
            if answer.kind == "caption" or tag_key(answer.text) not in unwanted
        }
        new += _renew(session, taken, image_id, said, kept[image_id])
    if new:
        session.execute(insert(Suggestion), new)
    session.flush()
    return len(new)


def _renew(
    session: Session,
    taken: Taken,
    image_id: int,
    said: dict[tuple[str, str], Answer],
    kept: dict[tuple[str, str], Suggestion],
) -> list[dict[str, object]]:
    """Bring the rows of one image up to date and return those that are still to be made."""
    for key, row in kept.items():
        if answer := said.get(key):
            row.confidence, row.category, row.run_id = answer.confidence, answer.category, taken.run_id
            row.at_us = now_us()
        elif row.state == "open" and row.run_id != taken.run_id:
            session.delete(row)
    return [
        {
            "image_id": image_id,
            "run_id": taken.run_id,
            "kind": answer.kind,
            "text": answer.text,
            "category": answer.category,
            "confidence": answer.confidence,
            "model": taken.model,
            "state": "open",
            "at_us": now_us(),
        }
        for key, answer in said.items()
        if key not in kept
    ]


def get(session: Session, suggestion_id: int) -> Suggestion:
    """Find a suggestion. Raises NotFound."""
    if row := session.get(Suggestion, suggestion_id):
        return row
    raise NotFound(f"There is no suggestion {suggestion_id}; its image may be gone.", "Read the suggestions again.")


class StoredSuggestion(NamedTuple):
    """A suggestion that nobody has dismissed; a plain tuple, since a project has hundreds of thousands."""

    id: int
    image_id: int
    kind: SuggestionKind
    text: str
    category: str
    confidence: float
    model: str
    state: SuggestionState


def _stored() -> Any:
    columns = (getattr(Suggestion, name) for name in StoredSuggestion._fields)
    return select(*columns).where(Suggestion.state != "dismissed")


def of_image(session: Session, image_id: int) -> list[StoredSuggestion]:
    """The suggestions of an image that nobody has dismissed, the surest first."""
    query = _stored().where(Suggestion.image_id == image_id)
    found = session.execute(query.order_by(Suggestion.confidence.desc(), Suggestion.id))
    return [StoredSuggestion._make(row) for row in found]


def of_project(session: Session, project_id: int) -> list[StoredSuggestion]:
    """The suggestions of all images of a project that nobody has dismissed, image by image."""
    query = _stored().join(Image, Image.id == Suggestion.image_id).where(Image.project_id == project_id)
    found = session.execute(query.order_by(Suggestion.image_id, Suggestion.id))
    return [StoredSuggestion._make(row) for row in found]


@dataclass(frozen=True)
class Standing:
    """A moment of a project's suggestions: how many nobody has dismissed, the sum of their ids, the newest change."""

    count: int
    id_sum: int
    newest_us: int


def standing(session: Session, project_id: int) -> Standing:
    """Say which moment of a project's suggestions this is."""
    is_kept = Suggestion.state != "dismissed"
    kept = select(
        func.coalesce(func.sum(case((is_kept, 1), else_=0)), 0),
        func.coalesce(func.sum(case((is_kept, Suggestion.id), else_=0)), 0),
        func.coalesce(func.max(Suggestion.at_us), 0),
    )
    return Standing(*session.execute(kept.where(_is_of(project_id))).one())


def changed_since(session: Session, project_id: int, at_us: int) -> list[StoredSuggestion]:
    """The suggestions that were made, renewed or settled at a moment or later, those that were dismissed too."""
    columns = (getattr(Suggestion, name) for name in StoredSuggestion._fields)
    query: Any = select(*columns).where(_is_of(project_id), Suggestion.at_us >= at_us)
    return [StoredSuggestion._make(row) for row in session.execute(query.order_by(Suggestion.id))]


def any_of(session: Session, project_id: int) -> bool:
    """Whether a model has said anything of a project's images, whatever became of it."""
    return session.execute(select(Suggestion.id).where(_is_of(project_id)).limit(1)).first() is not None


def _is_of(project_id: int) -> ColumnElement[bool]:
    return Suggestion.image_id.in_(select(Image.id).where(Image.project_id == project_id))


def of_runs(session: Session, project_id: int) -> dict[int, int]:
    """How many suggestions each run of a project has left here, whatever became of them."""
    query = (
        select(Suggestion.run_id, func.count())
        .join(Image, Image.id == Suggestion.image_id)
        .where(Image.project_id == project_id, Suggestion.run_id.is_not(None))
    )
    return {run_id: number for run_id, number in session.execute(query.group_by(Suggestion.run_id)) if run_id}


def models(session: Session, project_id: int) -> list[str]:
    """The models that have said something of a project's images."""
    query = select(Suggestion.model).join(Image, Image.id == Suggestion.image_id)
    return sorted(session.scalars(query.where(Image.project_id == project_id).distinct()))


def images_seen_by(session: Session, project_id: int, model: str) -> set[int]:
    """The images of a project of which a model has said anything."""
    query = select(Suggestion.image_id).join(Image, Image.id == Suggestion.image_id)
    return set(session.scalars(query.where(Image.project_id == project_id, Suggestion.model == model).distinct()))


def settle(session: Session, ids: Iterable[int], state: SuggestionState) -> None:
    """Set what became of suggestions."""
    wanted = list(ids)
    for start in range(0, len(wanted), CHUNK):
        session.execute(
            update(Suggestion)
            .where(Suggestion.id.in_(wanted[start : start + CHUNK]))
            .values(state=state, at_us=now_us())
            .execution_options(synchronize_session="fetch")
        )
    session.flush()


def dismissed(session: Session, project_id: int) -> list[str]:
    """The tags that nobody wants suggested in a project, in the order of the alphabet."""
    query = select(DismissedTag.tag).where(DismissedTag.project_id == project_id)
    return sorted(session.scalars(query), key=str.casefold)


def dismissed_keys(session: Session, project_id: int) -> frozenset[str]:
    """Those tags as they are compared."""
    return frozenset(tag_key(tag) for tag in dismissed(session, project_id))


def dismiss_tag(engine: Engine, project_id: int, tag: str, by: str) -> int:
    """Remember that nobody wants a tag suggested, dismiss it where it is, and return in how many images.

    It is done in parts. Raises NotFound, Unfinished.
    """
    key = tag_key(tag)
    with write(engine) as session:
        projects.get(session, project_id)
        session.merge(DismissedTag(project_id=project_id, tag=key, by=by, at_us=now_us()))
    way_on = f"Dismiss “{tag}” again for the rest, or allow it again to have all of it back."
    return settle_in_parts(engine, _tags(engine, project_id, key, ("open", "accepted")), "dismissed", way_on)


def allow_tag(engine: Engine, project_id: int, tag: str) -> int:
    """Open again what was dismissed of a tag, forget that nobody wanted it, and return in how many images.

    It is done in parts, and forgotten last: until then it can be asked for again. Raises NotFound, Unfinished.
    """
    key = tag_key(tag)
    with read(engine) as session:
        projects.get(session, project_id)
    way_on = f"Allow “{tag}” again for the rest, or dismiss it again."
    count = settle_in_parts(engine, _tags(engine, project_id, key, ("dismissed",)), "open", way_on)
    with write(engine) as session:
        session.execute(delete(DismissedTag).where(DismissedTag.project_id == project_id, DismissedTag.tag == key))
    return count


def settle_in_parts(engine: Engine, by_image: Mapping[int, Sequence[int]], state: SuggestionState, way_on: str) -> int:
    """Set what became of suggestions of many images, given by image; return how many images. Raises Unfinished."""

    def some(session: Session, image_ids: Sequence[int]) -> int:
        settle(session, [each for image_id in image_ids for each in by_image[image_id]], state)
        return len(image_ids)

    return in_parts(engine, list(by_image), some, way_on=way_on)


def _tags(engine: Engine, project_id: int, key: str, states: Sequence[SuggestionState]) -> dict[int, list[int]]:
    """The suggestions of a tag in these states, by image. A doubt is no suggestion, and is never dismissed for one."""
    here = [_is_of(project_id), Suggestion.kind == "tag", Suggestion.state.in_(states)]
    if "dismissed" not in states:
        here.append(Suggestion.category != DOUBT)
    with read(engine) as session:
        # How the tag is written differs: few ways of many thousand rows.
        written = [each for each in session.scalars(select(Suggestion.text).where(*here).distinct())]
    found: dict[int, list[int]] = {}
    with read(engine) as session:
        same = Suggestion.text.in_([text for text in written if tag_key(text) == key])
        for image_id, suggestion_id in session.execute(select(Suggestion.image_id, Suggestion.id).where(*here, same)):
            found.setdefault(image_id, []).append(suggestion_id)
    return found


def authors(session: Session, project_id: int) -> list[tuple[int, str, str]]:
    """Image, caption and who wrote it, for every image of a project; without a caption both are ''."""
    query = select(Image.id, Caption.text, Caption.by).outerjoin(Caption, Caption.image_id == Image.id)
    found = session.execute(query.where(Image.project_id == project_id).order_by(Image.id))
    return [(image_id, text or "", by or "") for image_id, text, by in found]


def authors_of(session: Session, image_ids: Sequence[int]) -> dict[int, str]:
    """Who wrote the captions of these images, where they have any."""
    found: dict[int, str] = {}
    for start in range(0, len(image_ids), CHUNK):
        query = select(Caption.image_id, Caption.by).where(Caption.image_id.in_(image_ids[start : start + CHUNK]))
        found |= {image_id: by for image_id, by in session.execute(query)}
    return found
