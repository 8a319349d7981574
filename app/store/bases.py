"""Base models: what was found on this machine, and the hash that pins each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.contract.families import FamilyKey
from app.errors import NotFound
from app.store.models import Base, Layout, now_us


@dataclass(frozen=True)
class FoundBase:
    """A base model as a look at the disk tells it."""

    name: str
    path: str
    layout: Layout
    family: FamilyKey
    size_bytes: int
    resolution_px: int
    is_bundled: bool


def put_found(session: Session, found: Sequence[FoundBase]) -> None:
    """List what was found; a listed base that is no longer on the disk is marked missing, never dropped."""
    for each in found:
        add_found(session, each)
    paths = {each.path for each in found}
    for row in session.scalars(select(Base)):
        if row.path not in paths:
            row.is_missing = not Path(row.path).exists()
    session.flush()


def add_found(session: Session, found: FoundBase) -> Base:
    """List one base; a path that is listed already is brought up to date, and hashed anew when its size changed."""
    row = session.scalar(select(Base).where(Base.path == found.path))
    if row is None:
        row = Base(path=found.path, name=_free_name(session, found), sha256=None, found_us=now_us())
    elif row.size_bytes != found.size_bytes:
        row.sha256 = None
    row.layout, row.family, row.is_bundled = found.layout, found.family, found.is_bundled
    row.size_bytes, row.resolution_px, row.is_missing = found.size_bytes, found.resolution_px, False
    session.add(row)
    session.flush()
    return row


def _free_name(session: Session, found: FoundBase) -> str:
    taken = set(session.scalars(select(Base.name)))
    return next(name for name in _names(found) if name not in taken)


def _names(found: FoundBase) -> Iterator[str]:
    yield found.name
    yield f"{found.name} ({Path(found.path).parent.name})"
    for number in count(2):
        yield f"{found.name} ({number})"


def listed(session: Session) -> list[Base]:
    """Every base: the bundled one last, the others by name."""
    return list(session.scalars(select(Base).order_by(Base.is_bundled, func.lower(Base.name), Base.id)))


def get(session: Session, base_id: int) -> Base:
    """Find a base. Raises NotFound."""
    if row := session.get(Base, base_id):
        return row
    raise NotFound(f"There is no base model {base_id}.", "See Base models for those that are listed.")


def by_name_or_path(session: Session, text: str) -> Base:
    """Find a base by its name or path. Raises NotFound listing the names there are."""
    if row := session.scalar(select(Base).where(or_(Base.name == text, Base.path == text))):
        return row
    known = ", ".join(row.name for row in listed(session)) or "none yet"
    raise NotFound(f"There is no base model called {text}.", f"Listed: {known}. Or give the path of one.")


def set_hash(session: Session, base_id: int, sha256: str) -> None:
    """Remember the content hash of a base. Raises NotFound."""
    get(session, base_id).sha256 = sha256
    session.flush()


def set_missing(session: Session, base_id: int) -> None:
    """Remember that a base could not be read; the next look at the disk may find it again. Raises NotFound."""
    get(session, base_id).is_missing = True
    session.flush()
