"""What an import asks and writes of images beside the picture itself: words they had, words offered, copies."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.contract.recipe import read_recipe
from app.store import images
from app.store.history import Edit, record
from app.store.images import NewCaption, NewImage, words_of
from app.store.models import Blob, Caption, HistoryEntry, Image, Suggestion, now_us
from app.store.provenance import origin_of


def offer(session: Session, image_id: int, text: str, origin: str) -> None:
    """Put words beside an image as a suggestion, unless the same were offered before."""
    same = (
        Suggestion.image_id == image_id,
        Suggestion.kind == "caption",
        Suggestion.text == text,
        Suggestion.model == origin,
    )
    if session.scalar(select(Suggestion.id).where(*same)) is None:
        session.add(
            Suggestion(
                image_id=image_id,
                kind="caption",
                text=text,
                category="",
                confidence=1.0,
                model=origin,
                state="open",
                at_us=now_us(),
            )
        )
        session.flush()


@dataclass(frozen=True)
class KnownWords:
    """The words that an image has, and every text that it ever had."""

    current: str
    had: frozenset[str]


def known_words(session: Session, project_id: int, image_ids: Sequence[int]) -> dict[int, KnownWords]:
    """What the captions of images were and are, by id."""
    if not image_ids:
        return {}
    current = {
        image_id: text
        for image_id, text in session.execute(
            select(Caption.image_id, Caption.text).where(Caption.image_id.in_(image_ids))
        )
    }
    had: dict[int, set[str]] = {image_id: {text} for image_id, text in current.items()}
    edits = select(HistoryEntry.noun_id, HistoryEntry.after).where(
        HistoryEntry.project_id == project_id,
        HistoryEntry.noun == "caption",
        HistoryEntry.noun_id.in_(image_ids),
        HistoryEntry.after.is_not(None),
    )
    for image_id, after in session.execute(edits):
        if isinstance(text := json.loads(after or "null"), str):
            had.setdefault(image_id, set()).add(text)
    return {image_id: KnownWords(current.get(image_id, ""), frozenset(texts)) for image_id, texts in had.items()}


def adopt_caption(session: Session, image_id: int, new: NewCaption, by: str, batch: str | None = None) -> None:
    """Give an image words as they came in a file, whatever it had before. Raises NotFound."""
    row = images.get(session, image_id)
    caption = session.get(Caption, image_id) or Caption(image_id=image_id)
    caption.text, caption.by, caption.updated_us = new.text, by, now_us()
    caption.raw, caption.encoding, caption.came_from = new.raw, new.encoding, new.came_from
    session.add(caption)
    session.execute(update(Image).where(Image.id == image_id).values(revision=Image.revision + 1))
    session.flush()
    record(session, Edit(row.project_id, by, "caption", image_id, "import", row.caption, new.text, batch))


def copies(session: Session, project_id: int) -> list[tuple[NewImage, NewCaption | None]]:
    """Every image of a project with its words, as another project may take them in."""
    query = (
        select(Image, Blob, Caption)
        .join(Blob, Blob.sha256 == Image.sha256)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .where(Image.project_id == project_id)
        .order_by(Image.id)
    )
    return [(_copy(image, blob), words_of(caption)) for image, blob, caption in session.execute(query)]


def _copy(image: Image, blob: Blob) -> NewImage:
    return NewImage(
        sha256=image.sha256,
        extension=blob.extension,
        size_bytes=blob.size_bytes,
        width_px=blob.width_px,
        height_px=blob.height_px,
        name=image.name,
        repeats=image.repeats,
        weight=image.weight,
        split=image.split,
        recipe=read_recipe(image.recipe),
        # The image that it was made from is the other project's.
        origin=replace(origin_of(image), parent_id=None),
    )
