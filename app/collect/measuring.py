"""A new look at originals that came in before everything was measured that is today."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.blobs import blob_path
from app.collect.decode_child import Measured
from app.collect.decoders import Decoders, Stuck
from app.collect.facts import PictureFacts, is_unreadable, stamp_of
from app.collect.gather import Gathered
from app.collect.refusals import Refused
from app.config import Settings
from app.store import measures, relations
from app.store.db import write
from app.store.measures import Unmeasured
from app.store.models import Blob


@dataclass(frozen=True)
class MeasureTask:
    """An original that is here already; its number tells it from others of its name."""

    image: Unmeasured
    settings: Settings
    engine: Engine = field(repr=False)
    decoders: Decoders = field(repr=False)

    @property
    def name(self) -> str:
        """Its name with its number."""
        return f"{self.image.image_id}: {self.image.name}"

    def gather(self) -> Gathered:
        """Have it decoded once more."""
        try:
            found = measured_again(self.image, self.settings, self.engine, self.decoders)
        except Refused as refusal:
            return Gathered(self.name, refusal=refusal)
        return Gathered(self.name, again=found, image_id=self.image.image_id)


def waiting(session: Session, settings: Settings, project_id: int) -> list[Unmeasured]:
    """The images whose originals are to be looked at anew.

    Those that could not be read are passed over until their file is another one: a finding names them.
    """
    lacking = measures.unmeasured(session, project_id)
    known = relations.measured(session, project_id) if lacking else {}
    return [each for each in lacking if not _is_lost(each, known.get(each.sha256), settings)]


def _is_lost(image: Unmeasured, facts: str | None, settings: Settings) -> bool:
    if not is_unreadable(facts):
        return False
    stamp = stamp_of(blob_path(settings, image.sha256, image.extension))
    return PictureFacts.model_validate_json(facts or "{}").unread_stamp == stamp


def measured_again(image: Unmeasured, settings: Settings, engine: Engine, decoders: Decoders) -> Measured:
    """Look at an original once more. Raises Refused, which is kept for a finding, and Unavailable as Decoder does."""
    original = blob_path(settings, image.sha256, image.extension)
    stamp = stamp_of(original)
    try:
        found = _measured(original, image.name, decoders)
        if found.sha256 != image.sha256:
            raise Refused("F01", f"{image.name} was changed on the disk.", "Add the image again, or remove it.")
    except Refused as refusal:
        _mark(engine, image, refusal.message.replace(f"{image.name} ", "It ", 1), stamp)
        raise
    return found


def _measured(original: Path, name: str, decoders: Decoders) -> Measured:
    try:
        return decoders.measure(original, name)
    except Stuck:
        # The child may have died of something else, such as the end of the studio: no file is blamed for that.
        return decoders.measure(original, name)


def _mark(engine: Engine, image: Unmeasured, reason: str, stamp: str) -> None:
    """Keep why an original could not be read beside what was measured of it before."""
    with write(engine) as session:
        blob = session.get_one(Blob, image.sha256)
        before = PictureFacts.model_validate_json(blob.facts or "{}")
        blob.facts = before.model_copy(update={"unreadable": reason, "unread_stamp": stamp}).to_json()
