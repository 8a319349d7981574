"""Choices that are remembered for the whole studio."""

from sqlalchemy.orm import Session

from app.store.models import Setting


def get(session: Session, key: str, default: str) -> str:
    """Return what was chosen, else the default."""
    row = session.get(Setting, key)
    return row.value if row else default


def put(session: Session, key: str, value: str) -> None:
    """Remember a choice."""
    session.merge(Setting(key=key, value=value))
    session.flush()
