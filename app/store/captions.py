"""Captions: the words of an image, every change of them in the history."""

from sqlalchemy.orm import Session

from app.store import images
from app.store.history import Edit, record
from app.store.models import Caption, now_us


def save(session: Session, image_id: int, text: str, by: str) -> Caption:
    """Set the caption of an image, as it was written; equal words change nothing. Raises NotFound.

    Empty words are kept as such: they say that somebody wants none.
    """
    image = images.get(session, image_id)
    kept = session.get(Caption, image_id)
    if kept is not None and kept.text == text:
        return kept
    caption = kept or Caption(image_id=image_id)
    caption.text, caption.by, caption.updated_us = text, by, now_us()
    session.add(caption)
    session.flush()
    record(session, Edit(image.project_id, by, "caption", image_id, "save", image.caption, text))
    return caption
