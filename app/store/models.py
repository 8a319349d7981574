"""The tables: what a person means and thinks. What happened in a run stands in the run's folder."""

import time
from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.contract.events import Outcome
from app.contract.families import FamilyKey
from app.contract.purposes import PurposeKey
from app.contract.spec import RunKind

Layout = Literal["diffusers", "single-file"]
RunStatus = Literal["queued", "running"] | Outcome
Choice = Literal["keep", "reject", "best"]

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# An id that has been given is never given again: history and pinned versions go on naming what is gone.
NEVER_REUSED = {"sqlite_autoincrement": True}


def now_us() -> int:
    """The time as the store keeps it: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class Model(DeclarativeBase):
    """Base of all tables; every constraint has a name, so that a migration can change it."""

    metadata = MetaData(naming_convention=NAMES)


class Base(Model):
    """A base model on this machine; `sha256` is None until its files have been hashed."""

    __tablename__ = "base_model"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    path: Mapped[str] = mapped_column(Text, unique=True)
    layout: Mapped[Layout] = mapped_column(String(20))
    family: Mapped[FamilyKey] = mapped_column(String(20))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    resolution_px: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str | None] = mapped_column(String(64))
    is_bundled: Mapped[bool] = mapped_column(Boolean)
    is_missing: Mapped[bool] = mapped_column(Boolean)
    found_us: Mapped[int] = mapped_column(BigInteger)


class Project(Model):
    """A LoRA in the making; `name_key` is the name without case, by which names are told apart."""

    __tablename__ = "project"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text, unique=True)
    purpose: Mapped[PurposeKey] = mapped_column(String(20))
    trigger_word: Mapped[str] = mapped_column(Text)
    base_id: Mapped[int | None] = mapped_column(ForeignKey("base_model.id"))
    created_us: Mapped[int] = mapped_column(BigInteger)


class Blob(Model):
    """The bytes of an original, named by their hash; width and height are those of the upright picture."""

    __tablename__ = "blob"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    extension: Mapped[str] = mapped_column(String(8))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)


class Image(Model):
    """A picture in a project; `name_key` is its name without case, by which captions find it."""

    __tablename__ = "image"
    __table_args__ = (
        UniqueConstraint("project_id", "sha256"),
        CheckConstraint("repeats >= 1", name="repeats"),
        Index(None, "sha256"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    sha256: Mapped[str] = mapped_column(ForeignKey("blob.sha256"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)
    repeats: Mapped[int] = mapped_column(Integer, default=1)
    added_us: Mapped[int] = mapped_column(BigInteger)


class Caption(Model):
    """The words of an image; no row means that nobody has written any."""

    __tablename__ = "caption"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    updated_us: Mapped[int] = mapped_column(BigInteger)


class HistoryEntry(Model):
    """One edit: who, when, what, and the values before and after as JSON, so that it can be undone."""

    __tablename__ = "history"
    __table_args__ = (Index(None, "project_id", "id"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    at_us: Mapped[int] = mapped_column(BigInteger)
    by: Mapped[str] = mapped_column(Text)
    batch: Mapped[str | None] = mapped_column(String(36))
    noun: Mapped[str] = mapped_column(String(20))
    noun_id: Mapped[int] = mapped_column(Integer)
    verb: Mapped[str] = mapped_column(String(20))
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)


class Setting(Model):
    """A choice that is remembered for the whole studio."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(60), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Run(Model):
    """A run's place in the queue; `dir` is its folder's name, `history_id` the dataset version it froze."""

    __tablename__ = "run"
    __table_args__ = (Index(None, "status", "id"), Index(None, "project_id"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    kind: Mapped[RunKind] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(Text)
    dir: Mapped[str] = mapped_column(Text, unique=True)
    status: Mapped[RunStatus] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(Integer)
    worker: Mapped[str | None] = mapped_column(String(36))
    created_us: Mapped[int] = mapped_column(BigInteger)
    claimed_us: Mapped[int | None] = mapped_column(BigInteger)
    ended_us: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    history_id: Mapped[int] = mapped_column(Integer)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))


class VerdictRow(Model):
    """What a person said of one sample."""

    __tablename__ = "verdict"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    prompt_index: Mapped[int] = mapped_column(Integer, primary_key=True)
    seed: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    strength_pct: Mapped[int] = mapped_column(Integer, primary_key=True)
    choice: Mapped[Choice] = mapped_column(String(20))
    note: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)
