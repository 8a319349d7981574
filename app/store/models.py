"""The tables: what a person means and thinks. What happened in a run stands in the run's folder."""

import time
from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.contract.events import Outcome
from app.contract.families import FamilyKey
from app.contract.purposes import PurposeKey
from app.contract.recipe import AlphaUse
from app.contract.spec import RunKind
from app.contract.splits import Split

Layout = Literal["diffusers", "single-file"]
RunStatus = Literal["queued", "running"] | Outcome
Choice = Literal["keep", "reject", "best"]
ImportStatus = Literal["running", "done", "cancelled", "failed"]
ItemOutcome = Literal["added", "known", "refused", "question"]
Kinship = Literal["better", "same", "alternate", "unrelated"]
SuggestionKind = Literal["tag", "caption"]
SuggestionState = Literal["open", "accepted", "dismissed"]

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
    """A LoRA in the making; `name_key` is the name without case, by which names are told apart.

    `alpha_use` is None until somebody has said what transparency means here.
    """

    __tablename__ = "project"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text, unique=True)
    purpose: Mapped[PurposeKey] = mapped_column(String(20))
    trigger_word: Mapped[str] = mapped_column(Text)
    base_id: Mapped[int | None] = mapped_column(ForeignKey("base_model.id"))
    created_us: Mapped[int] = mapped_column(BigInteger)
    alpha_use: Mapped[AlphaUse | None] = mapped_column(String(20))
    background: Mapped[str] = mapped_column(String(7), default="#ffffff", server_default="#ffffff")


class Blob(Model):
    """The bytes of an original, named by their hash; width and height are those of the upright picture.

    `phash` and `phash_mirrored` are 64-bit perceptual hashes in hex, `facts` what the one decode found, as JSON
    (collect.facts); None for what came in before they were measured.
    """

    __tablename__ = "blob"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    extension: Mapped[str] = mapped_column(String(8))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)
    phash: Mapped[str | None] = mapped_column(String(16))
    phash_mirrored: Mapped[str | None] = mapped_column(String(16))
    facts: Mapped[str | None] = mapped_column(Text)


class Image(Model):
    """A picture in a project; `name_key` is its name without case, by which captions find it.

    `recipe` is JSON of contract.recipe; `revision` grows with every edit of the image or its words, so that a stale
    save is noticed; `source`, `author`, `licence`, `collected_on`, `no_ai` and `parent_id` are its provenance.
    """

    __tablename__ = "image"
    __table_args__ = (
        UniqueConstraint("project_id", "sha256"),
        CheckConstraint("repeats >= 1", name="repeats"),
        Index(None, "sha256"),
        Index(None, "project_id", "id"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    sha256: Mapped[str] = mapped_column(ForeignKey("blob.sha256"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text)
    repeats: Mapped[int] = mapped_column(Integer, default=1)
    added_us: Mapped[int] = mapped_column(BigInteger)
    recipe: Mapped[str] = mapped_column(Text, default="{}", server_default="{}")
    split: Mapped[Split] = mapped_column(String(20), default="train", server_default="train")
    weight: Mapped[float] = mapped_column(Float, default=1.0, server_default="1")
    revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    reviewed_by: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    author: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    licence: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    collected_on: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    no_ai: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    parent_id: Mapped[int | None] = mapped_column(Integer)


class Caption(Model):
    """The words of an image; no row means that nobody has written any.

    While nobody has edited them, `raw` holds the bytes they came as, `encoding` how those were read and `came_from`
    the file's name, so that they leave as they came.
    """

    __tablename__ = "caption"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    updated_us: Mapped[int] = mapped_column(BigInteger)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    encoding: Mapped[str | None] = mapped_column(String(20))
    came_from: Mapped[str | None] = mapped_column(Text)


class HistoryEntry(Model):
    """One edit: who, when, what, and the values before and after as JSON, so that it can be undone.

    Entries of one `batch` are one step for a person. A step that undoes another names it in `undoes`, one that does it
    again in `redoes`.
    """

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
    undoes: Mapped[str | None] = mapped_column(String(36))
    redoes: Mapped[str | None] = mapped_column(String(36))


class Version(Model):
    """A named point in a project's history: the dataset as it was after the entry `history_id`."""

    __tablename__ = "version"
    __table_args__ = (UniqueConstraint("project_id", "name"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(Text)
    history_id: Mapped[int] = mapped_column(Integer)
    by: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class SavedFilter(Model):
    """A filter that somebody gave a name."""

    __tablename__ = "saved_filter"
    __table_args__ = (UniqueConstraint("project_id", "name"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)


class Import(Model):
    """One import into a project: a report to come back to. `source` says where from, as JSON, so that it can resume."""

    __tablename__ = "import"
    __table_args__ = (Index(None, "project_id"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    at_us: Mapped[int] = mapped_column(BigInteger)
    by: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    status: Mapped[ImportStatus] = mapped_column(String(20))
    done: Mapped[int] = mapped_column(Integer)
    total: Mapped[int] = mapped_column(Integer)


class ImportItem(Model):
    """What became of one file of an import; `path` leads to it for another try, where it still is."""

    __tablename__ = "import_item"
    __table_args__ = (Index(None, "import_id", "outcome", "id"), NEVER_REUSED)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("import.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    path: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[ItemOutcome] = mapped_column(String(20))
    code: Mapped[str] = mapped_column(String(20))
    message: Mapped[str] = mapped_column(Text)
    hint: Mapped[str] = mapped_column(Text)
    image_id: Mapped[int | None] = mapped_column(Integer)


class Relation(Model):
    """What a person said of two alike pictures; the hashes stand in their order, `better_sha256` names the keeper."""

    __tablename__ = "relation"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    low_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    high_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    kinship: Mapped[Kinship] = mapped_column(String(20))
    better_sha256: Mapped[str | None] = mapped_column(String(64))
    by: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class Suggestion(Model):
    """What a model would say of an image; it stands beside the caption until a person accepts or dismisses it."""

    __tablename__ = "suggestion"
    __table_args__ = (
        UniqueConstraint("image_id", "kind", "text", "model"),
        Index(None, "image_id", "state"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    kind: Mapped[SuggestionKind] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(String(20))
    confidence: Mapped[float] = mapped_column(Float)
    model: Mapped[str] = mapped_column(Text)
    state: Mapped[SuggestionState] = mapped_column(String(20))
    at_us: Mapped[int] = mapped_column(BigInteger)


class DismissedTag(Model):
    """A tag that nobody wants suggested in a project again."""

    __tablename__ = "dismissed_tag"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(Text, primary_key=True)
    by: Mapped[str] = mapped_column(Text)
    at_us: Mapped[int] = mapped_column(BigInteger)


class SubjectRow(Model):
    """Where a model sees the subject of an image: its newest word, beside the recipe until a person takes it.

    `mask_sha256` names a greyscale PNG among the blobs, `box` is JSON of contract.recipe.Crop in pixels of the upright
    original. What has been taken stands in the recipe alone.
    """

    __tablename__ = "subject"

    image_id: Mapped[int] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    model: Mapped[str] = mapped_column(Text)
    mask_sha256: Mapped[str] = mapped_column(String(64))
    box: Mapped[str] = mapped_column(Text)
    share: Mapped[float] = mapped_column(Float)
    is_dismissed: Mapped[bool] = mapped_column(Boolean)
    at_us: Mapped[int] = mapped_column(BigInteger)


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
