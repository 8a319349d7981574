"""A caption that comes when its image is here already: joined, put as a question, or known; words are never lost."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.collect.gather import as_caption, notes_on, same_text
from app.collect.outcomes import (
    KNOWN_QUESTION_CODE,
    NO_WORDS,
    QUESTION_CODE,
    CaptionQuestion,
    Choice,
    Target,
    choices_among,
    question_of,
)
from app.collect.pictures import Note
from app.collect.sidecars import Words
from app.store import arrivals, images, imports
from app.store.imports import NewItem
from app.store.models import Caption, ImportItem

STANDS = "The first one stands until you choose."


@dataclass(frozen=True)
class Joined:
    """What a caption did to an image: it was taken, or became one of several to choose among, or changed nothing."""

    image_id: int
    is_taken: bool = False
    choices: tuple[Choice, ...] = ()
    notes: tuple[Note, ...] = ()


def join(session: Session, target: Target, image_id: int, words: Words) -> Joined:
    """Give an image a caption where it has none; where it has other words, there is a choice. Raises NotFound."""
    known = arrivals.known_words(session, target.project_id, [image_id]).get(image_id, NO_WORDS)
    notes = tuple(notes_on(words))
    if known.current.strip():
        return Joined(image_id, False, tuple(choices_among([words], known)), notes)
    if not words.text.strip():
        return Joined(image_id, notes=notes)
    arrivals.adopt_caption(session, image_id, as_caption(words), target.by, target.batch)
    return Joined(image_id, True, (), notes)


def join_item(session: Session, target: Target, item: ImportItem, words: Words) -> Joined | None:
    """Give the image of a report's row a caption, and tell it in the row; None where it has no image."""
    if item.image_id is None or not images.present(session, target.project_id, [item.image_id]):
        return None
    joined = join(session, target, item.image_id, words)
    if joined.choices:
        imports.change_item(session, item.id, _asked(session, item, joined.choices))
    elif joined.notes and item.outcome != "question":
        message = " ".join([item.message, *(note.text for note in joined.notes)]).strip()
        code = item.code or joined.notes[0].code
        told = NewItem(item.name, item.outcome, code, message, item.hint, item.image_id, item.path)
        imports.change_item(session, item.id, told)
    session.expire(item)
    return joined


def question_item(name: str, joined: Joined) -> NewItem:
    """A row of its own that asks which caption an image is to have that was here before."""
    return NewItem(name, "question", KNOWN_QUESTION_CODE, _question(joined.choices), STANDS, joined.image_id)


def _asked(session: Session, item: ImportItem, choices: tuple[Choice, ...]) -> NewItem:
    """The row with the new choices behind those that it offers already."""
    standing: Choice = choices[0]
    code: str = KNOWN_QUESTION_CODE
    if item.outcome == "added":
        # The image came with the very drop, and so did its words.
        caption = session.get(Caption, item.image_id)
        came_from = (caption.came_from if caption else None) or "the page"
        standing, code = standing.model_copy(update={"came_from": came_from}), QUESTION_CODE
    offered: tuple[Choice, ...] = (standing,)
    if item.outcome == "question":
        offered, code = question_of(item).choices, item.code
    texts = {same_text(each.text) for each in offered}
    more = tuple(each for each in choices[1:] if same_text(each.text) not in texts)
    return NewItem(item.name, "question", code, _question((*offered, *more)), STANDS, item.image_id, item.path)


def _question(choices: tuple[Choice, ...]) -> str:
    return CaptionQuestion(choices=choices).model_dump_json(exclude_defaults=True)
