"""Files that come one by one, as a browser sends them: a picture finds its caption in whichever order they come."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import uuid4

from sqlalchemy import Engine

from app.collect import blobs
from app.collect.decode_child import Measured, measured_of
from app.collect.files import read_file
from app.collect.gather import as_caption, new_image
from app.collect.pictures import read_picture
from app.collect.refusals import Refused
from app.collect.sidecars import MAX_CAPTION_BYTES, Words, belongs, is_caption, read_words, sidecar_names, stem
from app.config import Settings
from app.contract.rundir import publish
from app.errors import Invalid
from app.store import arrivals, images
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.imports import NewItem

Status = Literal["added", "known", "captioned", "waiting", "refused", "question"]
OUTCOME_LABELS: dict[Status, str] = {
    "added": "added",
    "known": "already in the project",
    "captioned": "caption joined to its image",
    "waiting": "caption waits for its image",
    "refused": "refused",
    "question": "two captions: one question",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `code` groups it with its like."""

    name: str
    status: Status
    reason: str = ""
    image_id: int | None = None
    code: str = ""


@dataclass(frozen=True)
class Dropper:
    """Where dropped files go, and by whom; all files of one `batch` are one step of the history."""

    settings: Settings
    engine: Engine
    project_id: int
    by: str = "you"
    batch: str = field(default_factory=lambda: str(uuid4()))

    def take(self, name: str, path: Path, measure: Callable[[Path, str], Measured]) -> Outcome:
        """Take one file of the disk, a picture or a caption; never raises for a bad file."""
        try:
            if is_caption(name):
                return self.take_caption(read_words(read_file(path, MAX_CAPTION_BYTES), name))
            measured = measure(path, name)
            blobs.settle_one(self.settings, measured.sha256, measured.extension)
            return self.take_picture(name, measured)
        except Invalid as refusal:
            return refused(name, refusal)

    def take_picture(self, name: str, measured: Measured) -> Outcome:
        """Put a measured picture into the project, with the caption that came before it."""
        with write(self.engine) as session:
            arrival = (new_image(measured, name), None)
            ((row, is_new),) = images.add_many(session, self.project_id, [arrival], self.by, self.batch)
            image_id = row.id
        self._join_waiting(name, image_id)
        notes = measured.notes if is_new else ()
        reason = " ".join(note.text for note in notes)
        return Outcome(name, "added" if is_new else "known", reason, image_id, notes[0].code if notes else "")

    def take_caption(self, words: Words) -> Outcome:
        """Give the caption to its images, or keep it until its image comes."""
        # It waits first and looks then, as its picture comes in first and looks then: whoever is later sees the other.
        name = words.came_from
        waiting = self._waiting_path(name)
        publish(waiting, name.encode("utf-8", "replace") + b"\n" + (words.raw or b""))
        with write(self.engine) as session:
            alike = images.starting_with(session, self.project_id, stem(name).rpartition(".")[0] or stem(name))
            found = owners(alike, name)
            for row in found:
                if not (row.caption or "").strip():
                    arrivals.adopt_caption(session, row.id, as_caption(words), self.by, self.batch)
        if not found:
            return Outcome(name, "waiting")
        waiting.unlink(missing_ok=True)
        if all((row.caption or "").strip() not in ("", words.text.strip()) for row in found):
            return Outcome(name, "known", f"{found[0].name} has a caption already; it was kept.", found[0].id)
        return Outcome(name, "captioned", image_id=found[0].id)

    def _join_waiting(self, name: str, image_id: int) -> None:
        """Give a picture the caption that came before it."""
        with read(self.engine) as session:
            row = images.get(session, image_id)
        for waiting, words in self._waiting_for(name):
            if row.name == name and not (row.caption or "").strip():
                with write(self.engine) as session:
                    arrivals.adopt_caption(session, image_id, as_caption(words), self.by, self.batch)
            waiting.unlink(missing_ok=True)
            return

    def _waiting_for(self, picture_name: str) -> list[tuple[Path, Words]]:
        """The captions that wait for a picture, those of its very name before those that differ by case."""
        waiting: list[tuple[Path, Words]] = []
        for key in dict.fromkeys((stem(picture_name), stem(f"{picture_name}.txt"))):
            for path in sorted(self._waiting_folder(key).glob("*.caption")):
                try:
                    name, _, data = path.read_bytes().partition(b"\n")
                except FileNotFoundError:
                    continue
                waiting.append((path, read_words(data, name.decode())))
        mine = [(path, words) for path, words in waiting if belongs(words.came_from, picture_name)]
        exact = sidecar_names(picture_name)
        return sorted(mine, key=lambda pair: pair[1].came_from not in exact)

    def _waiting_folder(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self.settings.data / "pending" / str(self.project_id) / digest

    def _waiting_path(self, caption_name: str) -> Path:
        digest = hashlib.sha256(caption_name.encode("utf-8", "replace")).hexdigest()[:32]
        return self._waiting_folder(stem(caption_name)) / f"{digest}.caption"


def owners(rows: list[ImageRow], caption_name: str) -> list[ImageRow]:
    """The images a caption file belongs to: those of its very stem, else those that differ by case or composition."""
    mine = [row for row in rows if belongs(caption_name, row.name)]
    bare = Path(caption_name).stem
    exact = [row for row in mine if bare in (Path(row.name).stem, row.name)]
    return exact or mine


def refused(name: str, refusal: Invalid) -> Outcome:
    """Say why a file was not taken."""
    code = refusal.code if isinstance(refusal, Refused) else ""
    return Outcome(name, "refused", f"{refusal.message} {refusal.hint}".strip(), code=code)


def take_file(
    settings: Settings, engine: Engine, project_id: int, name: str, data: bytes, *, batch: str = "", by: str = "you"
) -> Outcome:
    """Take the bytes of one file in this very process, for what we made ourselves; never raises for a bad file."""
    dropper = Dropper(settings, engine, project_id, by, batch or str(uuid4()))
    try:
        if is_caption(name):
            return dropper.take_caption(read_words(data, name))
        picture = read_picture(data, name)
    except Invalid as refusal:
        return refused(name, refusal)
    blobs.put(settings, picture, data)
    return dropper.take_picture(name, measured_of(picture))


def as_item(outcome: Outcome) -> NewItem:
    """The outcome of a dropped file as a row of a report."""
    kept: dict[Status, Literal["added", "known", "refused"]] = {
        "captioned": "added",
        "known": "known",
        "refused": "refused",
    }
    return NewItem(
        name=outcome.name,
        outcome=kept.get(outcome.status, "added"),
        code=outcome.code or ("F09" if outcome.status == "waiting" else ""),
        message=outcome.reason or OUTCOME_LABELS[outcome.status].capitalize() + ".",
        image_id=outcome.image_id,
    )
