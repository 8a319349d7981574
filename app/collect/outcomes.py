"""From what was gathered of files to rows of the store: images, captions, questions, and the report."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.decode_child import Measured
from app.collect.gather import Gathered, same_text
from app.collect.refusals import Code
from app.collect.sidecars import ENCODING_LABELS, Words
from app.store import arrivals, edits, images, imports, measures
from app.store.arrivals import KnownWords
from app.store.db import read, write
from app.store.edits import Columns, Step, new_step, write_captions, write_fields
from app.store.images import NewImage
from app.store.imports import NewItem
from app.store.models import Image, Import, ImportItem, ItemOutcome
from app.store.parts import in_parts

Which = Literal["standing", "other"]

QUESTION_CODE: Code = "Q-caption"
KNOWN_QUESTION_CODE: Code = "Q-known"
IN_PROJECT = "the project"
PROMPT_ORIGIN = "prompt in the file"
ORIGIN_LABELS = {
    "source": "source",
    "author": "author",
    "licence": "licence",
    "collected_on": "date",
    "no_ai": "noai mark",
}
NO_WORDS = KnownWords("", frozenset())


class Choice(BaseModel):
    """One of the captions that a person may choose."""

    model_config = ConfigDict(frozen=True)

    text: str
    came_from: str = ""
    encoding: str | None = None
    raw: str | None = None
    is_current: bool = False

    @classmethod
    def of(cls, words: Words, *, is_current: bool = False) -> "Choice":
        """Words as they are kept until somebody chooses."""
        raw = b64encode(words.raw).decode() if words.raw is not None else None
        return cls(text=words.text, came_from=words.came_from, encoding=words.encoding, raw=raw, is_current=is_current)

    def as_edit(self, by: str) -> edits.Words:
        """What it makes of a caption, with the bytes it came as."""
        if self.raw is None:
            return edits.Words(self.text, by)
        origin = {"raw": self.raw, "encoding": self.encoding, "came_from": self.came_from or None, "by": by}
        return edits.Words(self.text, by, origin)

    @property
    def encoding_label(self) -> str:
        """How its bytes were read, in words."""
        return ENCODING_LABELS.get(self.encoding or "", "")


class CaptionQuestion(BaseModel):
    """The message of an item with outcome `question`: which of these captions the image is to have."""

    model_config = ConfigDict(frozen=True)

    choices: tuple[Choice, ...]

    @property
    def is_of_known(self) -> bool:
        """Whether the image was in the project before, so that nothing was added."""
        return any(choice.came_from == IN_PROJECT for choice in self.choices)


@dataclass(frozen=True)
class Target:
    """Where gathered files go."""

    project_id: int
    import_id: int
    by: str
    batch: str


def write_down(
    engine: Engine, target: Target, batch: Sequence[Gathered], again: Mapping[str, int] | None = None
) -> list[NewItem]:
    """Put a batch into the store in one short transaction, and return the rows of the report.

    `again` names the items that are tried again, by name: those rows are changed, not added.
    """
    with write(engine) as session:
        items = items_of(session, target, batch)
        if again is None:
            imports.add_items(session, target.import_id, items)
        else:
            for item in items:
                imports.change_item(session, again[item.name], item)
            imports.count_done(session, target.import_id, len(items))
    return items


def items_of(session: Session, target: Target, batch: Sequence[Gathered]) -> list[NewItem]:
    """Put a batch into the store, but for the rows of the report, and return those."""
    for mask in (each.mask for each in batch if each.mask):
        images.put_blobs(session, [_mask_blob(mask.sha256, mask.size_bytes, (mask.width_px, mask.height_px))])
    coming = [(each.new, each.caption) for each in batch if each.new is not None]
    taken = iter(images.add_many(session, target.project_id, coming, target.by, target.batch))
    placed = [(each, next(taken) if each.new is not None else None) for each in batch]
    old_ids = [pair[0].id for each, pair in placed if pair and not pair[1] and each.words]
    known = arrivals.known_words(session, target.project_id, old_ids)
    filled = _fill_in(session, target, [(each.new, pair[0]) for each, pair in placed if each.new and pair])
    items = []
    for each, pair in placed:
        if pair is None:
            items.append(_measured_again(session, each, each.again) if each.again else _refused(each))
            continue
        image, is_new = pair
        if each.prompt and not each.words:
            arrivals.offer(session, image.id, each.prompt, PROMPT_ORIGIN)
        told = _taken(each, image, is_new, known.get(image.id, NO_WORDS))
        if told.outcome == "known" and (fields := filled.pop(image.id, ())):
            more = f"{listed([ORIGIN_LABELS[field] for field in fields])} {'was' if len(fields) == 1 else 'were'}"
            told = replace(told, message=f"{told.message} Its {more} empty, and came with this import.")
        items.append(told)
    return items


def _fill_in(session: Session, target: Target, placed: Sequence[tuple[NewImage, Image]]) -> dict[int, tuple[str, ...]]:
    """Give images that were here what is not known of where they came from; return which fields, by id."""
    missing: dict[int, Columns] = {}
    for new, image in placed:
        given = {field: getattr(new.origin, field) for field in ORIGIN_LABELS}
        empty = {field: value for field, value in given.items() if value and not getattr(image, field)}
        if empty:
            missing[image.id] = {**empty, **missing.get(image.id, {})}
    changed = write_fields(session, Step(target.project_id, target.by, target.batch), missing)
    return {image_id: tuple(missing[image_id]) for image_id in changed}


def listed(words: Sequence[str]) -> str:
    """Words in a row, the last set apart by "and"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _mask_blob(sha256: str, size_bytes: int, size: tuple[int, int]) -> NewImage:
    return NewImage(sha256, "png", size_bytes, size[0], size[1], "mask")


def _measured_again(session: Session, each: Gathered, found: Measured) -> NewItem:
    measures.put(session, found.sha256, found.facts.to_json(), (found.phash, found.phash_mirrored))
    return NewItem(each.name, "known", "", "It was measured anew; nothing else changed.", "", each.image_id)


def _refused(each: Gathered) -> NewItem:
    refusal = each.refusal
    if refusal is None:
        return NewItem(each.name, "refused", "stopped", "Nothing is known of it.", "Try it again.", path=each.path)
    # A frame that looks like one that is here is nothing that went wrong.
    outcome: ItemOutcome = "known" if refusal.code == "alike" else "refused"
    return NewItem(each.name, outcome, refusal.code, refusal.message, refusal.hint, path=each.path)


def _taken(each: Gathered, image: Image, is_new: bool, known: KnownWords) -> NewItem:
    """The row of an image that is in; captions that it could also have become a question."""
    choices = choices_among(each.words, None if is_new else known)
    if len(choices) > 1:
        question = CaptionQuestion(choices=tuple(choices)).model_dump_json(exclude_defaults=True)
        code = QUESTION_CODE if is_new else KNOWN_QUESTION_CODE
        hint = "The first one stands until you choose."
        return NewItem(each.name, "question", code, question, hint, image.id, each.path)
    if not is_new:
        name = image.name
        said = "It was in the project already." if name == each.new_name else f"The same image is here as {name}."
        return NewItem(each.name, "known", "", said, "", image.id, each.path)
    notes = each.notes
    message = " ".join(note.text for note in notes)
    return NewItem(each.name, "added", notes[0].code if notes else "", message, "", image.id, each.path)


def choices_among(words: Sequence[Words], known: KnownWords | None) -> list[Choice]:
    """The captions to choose among: all that came; for an image that was here only those it never had."""
    if known is None:
        return [Choice.of(each, is_current=place == 0) for place, each in enumerate(words)]
    had = {same_text(text) for text in known.had}
    unseen = [each for each in words if same_text(each.text) and same_text(each.text) not in had]
    if not unseen or not known.current.strip():
        return []
    return [Choice(text=known.current, came_from=IN_PROJECT, is_current=True), *map(Choice.of, unseen)]


def question_of(item: ImportItem) -> CaptionQuestion:
    """The question that an item asks."""
    return CaptionQuestion.model_validate_json(item.message)


def answer(session: Session, step: Step, answers: Sequence[tuple[ImportItem, Choice]]) -> int:
    """Give images their chosen captions, bytes and all, and settle the items; return how many captions changed."""
    chosen = {item.image_id: choice for item, choice in answers if item.image_id is not None and not choice.is_current}
    here = images.present(session, step.project_id, list(chosen))
    words = {image_id: choice.as_edit(step.by) for image_id, choice in chosen.items() if image_id in here}
    changed = write_captions(session, step, words)
    for item, choice in answers:
        imports.change_item(session, item.id, _settled(item, choice))
    return len(changed)


def _settled(item: ImportItem, choice: Choice) -> NewItem:
    """The row of a question that was answered: what was here before stays known, whatever its caption is now."""
    if not question_of(item).is_of_known:
        told = f"Its caption is the one from {choice.came_from}." if choice.came_from else "Its caption was kept."
        return NewItem(item.name, "added", "", told, "", item.image_id, item.path)
    end = "its caption was kept" if choice.is_current else f"its caption is now the one from {choice.came_from}"
    return NewItem(item.name, "known", "", f"It was in the project already; {end}.", "", item.image_id, item.path)


def answer_all(engine: Engine, row: Import, which: Which, by: str) -> tuple[int, int]:
    """Answer every question of an import, as one step in parts; how many were answered, how many captions changed.

    `other` is of each the first caption that does not stand already. Raises Unfinished.
    """
    with read(engine) as session:
        ids = imports.question_ids(session, row.id)
    step, answered = new_step(row.project_id, by), 0

    def some(session: Session, part: Sequence[int]) -> int:
        nonlocal answered
        open_items = [item for item in imports.items_by_id(session, part) if item.outcome == "question"]
        answered += len(open_items)
        return answer(session, step, [(item, _chosen(item, which)) for item in open_items])

    changed = in_parts(engine, ids, some)
    return answered, changed


def _chosen(item: ImportItem, which: Which) -> Choice:
    choices = question_of(item).choices
    return next((each for each in choices if each.is_current == (which == "standing")), choices[0])
