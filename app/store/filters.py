"""What filters look at: every image of a project with its words in one read, and the filters that got a name."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.contract.splits import Split
from app.errors import Invalid, NotFound
from app.store.models import Blob, Caption, HistoryEntry, Image, SavedFilter, Suggestion

MAX_NAME = 80
MAX_TEXT = 2000


@dataclass(frozen=True)
class FilterRow:
    """An image and its words as the store holds them; width and height are the original's, upright.

    `is_as_imported` says that nobody has edited the caption since it came in; `recipe` and `facts` are JSON.
    """

    id: int
    name: str
    width_px: int
    height_px: int
    caption: str | None
    by: str
    came_from: str | None
    is_as_imported: bool
    recipe: str
    split: Split
    repeats: int
    revision: int
    reviewed_by: str | None
    source: str
    author: str
    licence: str
    no_ai: bool
    phash: str | None
    phash_mirrored: str | None
    facts: str | None


@dataclass(frozen=True)
class Stamp:
    """A moment of a project: two equal stamps mean that nothing a filter looks at has changed in between."""

    history_id: int
    measured: int


def stamp(session: Session, project_id: int) -> Stamp:
    """Say which moment of a project this is."""
    newest = select(func.max(HistoryEntry.id)).where(HistoryEntry.project_id == project_id)
    measured = select(func.count(Blob.facts)).join(Image, Image.sha256 == Blob.sha256)
    return Stamp(
        history_id=session.scalar(newest) or 0,
        measured=session.scalar(measured.where(Image.project_id == project_id)) or 0,
    )


def changed_ids(session: Session, project_id: int, history_id: int) -> set[int]:
    """The images of which anything changed after an entry of the history, those that are gone too."""
    query = select(HistoryEntry.noun_id).where(
        HistoryEntry.project_id == project_id,
        HistoryEntry.id > history_id,
        HistoryEntry.noun.in_(("image", "caption")),
    )
    return set(session.scalars(query))


def rows(session: Session, project_id: int, ids: Collection[int] | None = None) -> list[FilterRow]:
    """Every image of a project, or those among some ids, in the order they were added."""
    query = (
        select(
            Image.id,
            Image.name,
            Blob.width_px,
            Blob.height_px,
            Caption.text,
            func.coalesce(Caption.by, ""),
            Caption.came_from,
            Caption.raw.is_not(None),
            Image.recipe,
            Image.split,
            Image.repeats,
            Image.revision,
            Image.reviewed_by,
            Image.source,
            Image.author,
            Image.licence,
            Image.no_ai,
            Blob.phash,
            Blob.phash_mirrored,
            Blob.facts,
        )
        .join(Blob, Blob.sha256 == Image.sha256)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .where(Image.project_id == project_id)
        .order_by(Image.id)
    )
    if ids is not None:
        query = query.where(Image.id.in_(ids))
    return [FilterRow(*list(row)) for row in session.execute(query)]


def suggested_ids(session: Session, project_id: int) -> set[int]:
    """The images for which a suggestion waits."""
    query = select(Suggestion.image_id).join(Image, Image.id == Suggestion.image_id)
    return set(session.scalars(query.where(Image.project_id == project_id, Suggestion.state == "open").distinct()))


def saved(session: Session, project_id: int) -> list[SavedFilter]:
    """The filters with a name, by name."""
    query = select(SavedFilter).where(SavedFilter.project_id == project_id)
    return sorted(session.scalars(query), key=lambda each: each.name.casefold())


def save(session: Session, project_id: int, name: str, text: str) -> SavedFilter:
    """Give a filter a name; a name that exists gets the new filter. Raises Invalid without a name."""
    wanted = " ".join(name.split())
    if not wanted or len(wanted) > MAX_NAME:
        raise Invalid("A filter is saved under a name.", f"Give 1 to {MAX_NAME} letters.", "name")
    if not text.strip() or len(text) > MAX_TEXT:
        raise Invalid("There is no filter to save.", "Type one first.", "text")
    query = select(SavedFilter).where(SavedFilter.project_id == project_id, SavedFilter.name == wanted)
    row = session.scalar(query) or SavedFilter(project_id=project_id, name=wanted)
    row.text = text.strip()
    session.add(row)
    session.flush()
    return row


def forget(session: Session, project_id: int, saved_id: int) -> None:
    """Take a saved filter away. Raises NotFound."""
    query = delete(SavedFilter).where(SavedFilter.project_id == project_id, SavedFilter.id == saved_id)
    if not session.execute(query.returning(SavedFilter.id)).first():
        raise NotFound(f"There is no saved filter {saved_id}.", "Load the page again.")
