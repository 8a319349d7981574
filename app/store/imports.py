"""Imports and what became of each of their files: reports that one can come back to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.store.models import (
    Image,
    Import,
    ImportItem,
    ImportStatus,
    ItemOutcome,
    now_us,
)

MAX_TOLD = 20_000


@dataclass(frozen=True)
class NewItem:
    """What became of one file; `path` leads to it while it can be tried again."""

    name: str
    outcome: ItemOutcome
    code: str = ""
    message: str = ""
    hint: str = ""
    image_id: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class Tally:
    """How many files of an import share an outcome and a code."""

    outcome: ItemOutcome
    code: str
    count: int


def create(session: Session, project_id: int, source: str, by: str) -> Import:
    """Begin an import; `source` says where from, as JSON."""
    row = Import(project_id=project_id, at_us=now_us(), by=by, source=source, status="running", done=0, total=0)
    session.add(row)
    session.flush()
    return row


def get(session: Session, import_id: int) -> Import:
    """Find an import. Raises NotFound."""
    if row := session.get(Import, import_id):
        return row
    raise NotFound(f"There is no import {import_id}.", "Go back to the project's imports.")


def listed(session: Session, project_id: int, limit: int = 100) -> Sequence[Import]:
    """The imports of a project, the newest first."""
    mine = select(Import).where(Import.project_id == project_id).order_by(Import.id.desc()).limit(limit)
    return session.scalars(mine).all()


def unfinished(session: Session) -> Sequence[Import]:
    """The imports that were under way when the studio ended."""
    return session.scalars(select(Import).where(Import.status == "running").order_by(Import.id)).all()


def set_source(session: Session, import_id: int, source: str) -> None:
    """Remember where the files come from now."""
    session.execute(update(Import).where(Import.id == import_id).values(source=source))


def set_total(session: Session, import_id: int, total: int) -> None:
    """Say how many files there are."""
    session.execute(update(Import).where(Import.id == import_id).values(total=total))


def set_status(session: Session, import_id: int, status: ImportStatus) -> None:
    """Say how an import stands."""
    session.execute(update(Import).where(Import.id == import_id).values(status=status))


def add_items(session: Session, import_id: int, items: Iterable[NewItem]) -> list[ImportItem]:
    """Write down what became of files, and count them as done."""
    rows = [ImportItem(import_id=import_id, **_columns(item)) for item in items]
    session.add_all(rows)
    session.flush()
    session.execute(update(Import).where(Import.id == import_id).values(done=Import.done + len(rows)))
    return rows


def change_item(session: Session, item_id: int, item: NewItem) -> None:
    """Write down what became of a file at another try."""
    session.execute(update(ImportItem).where(ImportItem.id == item_id).values(**_columns(item)))


def _columns(item: NewItem) -> dict[str, object]:
    return {
        "name": item.name,
        "path": item.path,
        "outcome": item.outcome,
        "code": item.code,
        "message": item.message[:MAX_TOLD],
        "hint": item.hint[:MAX_TOLD],
        "image_id": item.image_id,
    }


def count_done(session: Session, import_id: int, files: int) -> None:
    """Count files as done whose rows were there before."""
    session.execute(update(Import).where(Import.id == import_id).values(done=Import.done + files))


def recount(session: Session, import_id: int, less: int = 0) -> None:
    """Count the rows anew, but for so many that are to be dealt with again."""
    rows = select(func.count()).where(ImportItem.import_id == import_id, ImportItem.name != TROUBLE)
    files = session.scalar(rows) or 0
    session.execute(update(Import).where(Import.id == import_id).values(done=files - less))


def done_names(session: Session, import_id: int) -> set[str]:
    """The files that an import has dealt with, by name."""
    return set(session.scalars(select(ImportItem.name).where(ImportItem.import_id == import_id)))


TROUBLE = "the import"


def put_trouble(session: Session, import_id: int, item: NewItem) -> None:
    """Say what stopped an import, in the place of what stopped it before; no file is counted for it."""
    clear_trouble(session, import_id)
    session.add(ImportItem(import_id=import_id, **_columns(item)))
    session.flush()


def clear_trouble(session: Session, import_id: int) -> None:
    """Forget what stopped an import, since it goes on."""
    session.execute(delete(ImportItem).where(ImportItem.import_id == import_id, ImportItem.name == TROUBLE))


def refused_names(session: Session, import_id: int) -> dict[str, int]:
    """The refused files of an import and their items."""
    refused = (ImportItem.import_id == import_id, ImportItem.outcome == "refused", ImportItem.name != TROUBLE)
    return {name: item_id for name, item_id in session.execute(select(ImportItem.name, ImportItem.id).where(*refused))}


def found_drop(session: Session, project_id: int, source: str) -> Import | None:
    """The report of a drop, once it has begun."""
    return session.scalar(select(Import).where(Import.project_id == project_id, Import.source == source))


def report_of_drop(session: Session, project_id: int, source: str, by: str) -> Import:
    """The report of one drop, begun with its first file."""
    if found := found_drop(session, project_id, source):
        return found
    row = create(session, project_id, source, by)
    row.status = "done"
    return row


def tallies(session: Session, import_id: int) -> list[Tally]:
    """How many files share an outcome and a code."""
    query = (
        select(ImportItem.outcome, ImportItem.code, func.count())
        .where(ImportItem.import_id == import_id)
        .group_by(ImportItem.outcome, ImportItem.code)
        .order_by(ImportItem.outcome, ImportItem.code)
    )
    return [Tally(*row) for row in session.execute(query)]


@dataclass(frozen=True)
class Wanted:
    """Which items of a report are asked for; nothing means all."""

    outcome: str = ""
    code: str | None = None
    after_id: int = 0
    limit: int = 200


def items(session: Session, import_id: int, wanted: Wanted) -> Sequence[ImportItem]:
    """The items of a report behind an id, in the order in which they came."""
    query = select(ImportItem).where(ImportItem.import_id == import_id, ImportItem.id > wanted.after_id)
    if wanted.outcome:
        query = query.where(ImportItem.outcome == wanted.outcome)
    if wanted.code is not None:
        query = query.where(ImportItem.code == wanted.code)
    return session.scalars(query.order_by(ImportItem.id).limit(wanted.limit)).all()


def item(session: Session, import_id: int, item_id: int) -> ImportItem:
    """Find one item of an import. Raises NotFound."""
    found = session.get(ImportItem, item_id)
    if found is None or found.import_id != import_id:
        raise NotFound("There is no such file in this import.", "Reload the report.")
    return found


def items_named(session: Session, import_id: int, prefix: str) -> Sequence[ImportItem]:
    """The items of a report whose names begin so, in the order in which they came."""
    begins = ImportItem.name.startswith(prefix, autoescape=True)
    return session.scalars(
        select(ImportItem).where(ImportItem.import_id == import_id, begins).order_by(ImportItem.id)
    ).all()


def question_ids(session: Session, import_id: int) -> list[int]:
    """The items of an import that are open questions."""
    asked = (ImportItem.import_id == import_id, ImportItem.outcome == "question")
    return list(session.scalars(select(ImportItem.id).where(*asked).order_by(ImportItem.id)))


def items_by_id(session: Session, item_ids: Sequence[int]) -> Sequence[ImportItem]:
    """A few items, in the order in which they came."""
    return session.scalars(select(ImportItem).where(ImportItem.id.in_(item_ids)).order_by(ImportItem.id)).all()


def thumbs(session: Session, image_ids: Sequence[int]) -> Mapping[int, str]:
    """The hashes of images that are still here, by id, for their thumbnails."""
    query = select(Image.id, Image.sha256).where(Image.id.in_(image_ids))
    return {image_id: sha256 for image_id, sha256 in session.execute(query)}


def forget(session: Session, import_id: int) -> None:
    """Take a report away; what came in stays."""
    session.execute(delete(ImportItem).where(ImportItem.import_id == import_id))
    session.execute(delete(Import).where(Import.id == import_id))
