"""Files that come one by one, as a browser sends them: a picture finds its caption in whichever order they come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Literal
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect import blobs
from app.collect.decode_child import Measured, measured_of
from app.collect.files import read_file
from app.collect.gather import Gathered, different, new_image, notes_on
from app.collect.joining import Joined, join, join_item, question_item
from app.collect.outcomes import Target, items_of
from app.collect.pending import Pending, Waiting, is_exact
from app.collect.pictures import read_picture
from app.collect.refusals import Refused
from app.collect.sidecars import MAX_CAPTION_BYTES, Words, belongs, is_caption, read_words, stem
from app.collect.sources import DropSource
from app.config import Settings
from app.errors import Invalid
from app.store import images, imports
from app.store.db import write
from app.store.images import ImageRow
from app.store.imports import NewItem
from app.store.models import Import

Status = Literal["added", "known", "captioned", "waiting", "refused", "question"]
OUTCOME_LABELS: dict[Status, str] = {
    "added": "added",
    "known": "already in the project",
    "captioned": "caption joined to its image",
    "waiting": "caption waits for its image",
    "refused": "refused",
    "question": "two captions: one question",
}
WAITS = "It waits for one: add the image, or rename the caption like its image and add it again."


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `code` groups it with its like, `report_id` is the report that asks a question.

    `is_new` says whether the file brought an image that was not here.
    """

    name: str
    status: Status
    reason: str = ""
    image_id: int | None = None
    code: str = ""
    report_id: int | None = None
    is_new: bool = False


@dataclass(frozen=True)
class Dropper:
    """Where dropped files go, and by whom; all files of one `batch` are one step of the history.

    `drop` is the browser's word for all files of one drop, which share a report and find each other before anything
    that was here; a file without one is a drop of its own.
    """

    settings: Settings
    engine: Engine
    project_id: int
    by: str = "you"
    batch: str = field(default_factory=lambda: str(uuid4()))
    drop: str = ""

    def take(self, name: str, path: Path, measure: Callable[[Path, str], Measured]) -> Outcome:
        """Take one file of the disk, a picture or a caption; never raises for a bad file."""
        try:
            if is_caption(name):
                return self.take_caption(read_words(read_file(path, MAX_CAPTION_BYTES), name))
            measured = measure(path, name)
            blobs.settle_one(self.settings, measured.sha256, measured.extension)
            return self.take_picture(name, measured)
        except Invalid as refusal:
            return self.refuse(name, refusal)

    def refuse(self, name: str, refusal: Invalid) -> Outcome:
        """Say why a file was not taken; the report of its drop says it, too."""
        outcome = refused(name, refusal)
        if self.drop:
            with write(self.engine) as session:
                self.tell(session, NewItem(name, "refused", outcome.code, refusal.message, refusal.hint))
        return outcome

    def take_picture(self, name: str, measured: Measured) -> Outcome:
        """Put a measured picture into the project, with the captions that came before it."""
        waiting = self._waiting_for(name)
        words = [each.words for each in waiting]
        notes = (*measured.notes, *(note for each in words for note in notes_on(each)))
        new = new_image(measured, name)
        gathered = Gathered(name, None, new, different(words), notes=notes, prompt=measured.facts.prompt)
        with write(self.engine) as session:
            is_new = not images.has_picture(session, self.project_id, measured.sha256)
            (item,) = items_of(session, self.target, [gathered])
            report_id = self.tell(session, item) if self.drop or item.outcome == "question" else None
        outcome = _outcome_of(item, report_id, is_new)
        # A caption waits first and looks for its picture then, as a picture comes in first and looks then: whoever is
        # later sees the other.
        late = [self._caption_of_drop(each) for each in self._waiting_for(name) if each not in waiting]
        late += self._waited_for(name, item.image_id) if not self.drop else []
        asked = next((each for each in late if each.status == "question"), None)
        return replace(outcome, status="question", report_id=asked.report_id) if asked else outcome

    def take_caption(self, words: Words) -> Outcome:
        """Give the caption to its image of the same drop, or keep it; without a drop to any image of its name."""
        waiting = self.pending.keep(words)
        if self.drop:
            # It is kept until the drop ends, since several pictures may share it.
            return self._caption_of_drop(waiting)
        with write(self.engine) as session:
            outcome = self.give_to_earlier(session, words)
        if outcome is None:
            return Outcome(words.came_from, "waiting", _told(words))
        waiting.path.unlink(missing_ok=True)
        return outcome

    def give_to_earlier(self, session: Session, words: Words) -> Outcome | None:
        """Give a caption to the images of its name that are here; None where there is none."""
        name = words.came_from
        alike = images.starting_with(session, self.project_id, stem(name).rpartition(".")[0] or stem(name))
        found = owners(alike, name)
        given = [(row, join(session, self.target, row.id, words)) for row in found]
        report_id = None
        for row, joined in given:
            if joined.choices:
                report_id = self.tell(session, question_item(name, joined))
            elif self.drop:
                code = joined.notes[0].code if joined.notes else ""
                report_id = self.tell(session, NewItem(name, "known", code, _said(row.name, joined), "", row.id))
        return _outcome_of_joined(name, given, report_id) if given else None

    def tell(self, session: Session, item: NewItem) -> int:
        """Add a row to the report of the drop, begun with its first, and return the report's id."""
        report = self.report(session)
        imports.add_items(session, report.id, [item])
        imports.set_total(session, report.id, report.total + 1)
        return report.id

    def report(self, session: Session) -> Import:
        """The report of the drop; of a file without one it is begun when there is something to ask."""
        return imports.report_of_drop(session, self.project_id, self.source, self.by)

    @property
    def source(self) -> str:
        """By which the report is known."""
        return DropSource(batch=self.drop or self.batch).model_dump_json()

    @property
    def target(self) -> Target:
        """Where what was gathered goes; rows of the report are written here, apart from it."""
        return Target(self.project_id, 0, self.by, self.batch)

    @property
    def pending(self) -> Pending:
        """The captions of this drop that wait."""
        return Pending(self.settings.data / "pending" / str(self.project_id), self.drop)

    def _waiting_for(self, name: str) -> list[Waiting]:
        """The captions of this very drop that have the picture's very name, the closest first."""
        return [each for each in self.pending.of_picture(name) if is_exact(each.name, name)] if self.drop else []

    def _caption_of_drop(self, waiting: Waiting) -> Outcome:
        """Give a caption to the images of its very name that came before it in the drop."""
        words, bare = waiting.words, PurePath(waiting.name).stem
        with write(self.engine) as session:
            report = self.report(session)
            alike = imports.items_named(session, report.id, bare)
            mine = [item for item in alike if belongs(waiting.name, item.name) and is_exact(waiting.name, item.name)]
            given = [(item, join_item(session, self.target, item, words)) for item in mine if not is_caption(item.name)]
            taken = [(item.name, joined) for item, joined in given if joined is not None]
            if not taken:
                return Outcome(waiting.name, "waiting", _told(words))
            rows = [(images.get(session, joined.image_id), joined) for _, joined in taken]
            return _outcome_of_joined(waiting.name, rows, report.id)

    def _waited_for(self, name: str, image_id: int | None) -> list[Outcome]:
        """Give a picture that is a drop of its own the captions that waited for it since earlier drops."""
        outcomes = []
        for waiting in self.pending.nearest_to(name) if image_id is not None else ():
            with write(self.engine) as session:
                row = images.get(session, image_id or 0)
                joined = join(session, self.target, row.id, waiting.words)
                report_id = self.tell(session, question_item(name, joined)) if joined.choices else None
                outcomes.append(_outcome_of_joined(waiting.name, [(row, joined)], report_id))
            waiting.path.unlink(missing_ok=True)
        return outcomes


def owners(rows: list[ImageRow], caption_name: str) -> list[ImageRow]:
    """The images a caption file belongs to: those of its very stem, else those that differ by case or composition."""
    mine = [row for row in rows if belongs(caption_name, row.name)]
    exact = [row for row in mine if is_exact(caption_name, row.name)]
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


def _outcome_of(item: NewItem, report_id: int | None, is_new: bool) -> Outcome:
    reason = "" if item.outcome == "question" else f"{item.message} {item.hint}".strip()
    return Outcome(item.name, item.outcome, reason, item.image_id, item.code, report_id, is_new)


def _outcome_of_joined(name: str, given: Sequence[tuple[ImageRow, Joined]], report_id: int | None) -> Outcome:
    """What became of a caption that found its images."""
    row, joined = next(((row, joined) for row, joined in given if joined.choices), given[0])
    reason = _said(row.name, joined)
    if joined.choices:
        return Outcome(name, "question", reason, row.id, "Q-caption", report_id)
    is_taken = any(each.is_taken for _, each in given)
    notes = " ".join(note.text for note in joined.notes)
    return Outcome(name, "captioned" if is_taken else "known", notes if is_taken else reason, row.id)


def _said(image_name: str, joined: Joined) -> str:
    if joined.choices:
        return f"{image_name} has other words already, which stand until you choose."
    said = (
        f"Its words are the caption of {image_name} now."
        if joined.is_taken
        else f"{image_name} has, or had, these words already; nothing changed."
    )
    return " ".join([said, *(note.text for note in joined.notes)])


def _told(words: Words) -> str:
    return " ".join(note.text for note in notes_on(words))
