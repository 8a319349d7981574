"""Captions: the words of an image, every change of them in the history."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.store import images
from app.store.edits import Words, new_step, write_captions
from app.store.models import Caption, Image


class Stale(Conflict):
    """Somebody else changed the image since it was read; carries what stands there now and who wrote it."""

    def __init__(self, name: str, text: str, by: str, revision: int) -> None:
        super().__init__(
            f"{by or 'Somebody'} changed {name} in the meantime; nothing was overwritten.",
            "Compare both and keep what is right.",
        )
        self.text = text
        self.by = by
        self.revision = revision


def save(
    session: Session, image_id: int, text: str, by: str, base_revision: int | None = None, batch: str = ""
) -> Caption:
    """Set the caption of an image, as it was written; equal words change nothing. Raises NotFound.

    Empty words are kept as such: they say that somebody wants none. With a base revision a save that knows less than
    the store raises Stale, unless both say the same. Saves of one `batch` are one step of the history.
    """
    image = images.get(session, image_id)
    kept = session.get(Caption, image_id)
    if kept is not None and kept.text == text:
        return kept
    if base_revision is not None:
        check_revision(session, image_id, base_revision)
    write_captions(session, new_step(image.project_id, by, batch), {image_id: Words(text, by)})
    return session.get_one(Caption, image_id)


def save_many(session: Session, project_id: int, texts: Mapping[int, str], by: str) -> str:
    """Set many captions as one step and return its name; equal words change nothing."""
    step = new_step(project_id, by)
    write_captions(session, step, {image_id: Words(text, by) for image_id, text in texts.items()})
    return step.batch


def texts(session: Session, image_ids: Sequence[int]) -> dict[int, str]:
    """The words of those of a few images that are there, '' for none."""
    query = select(Image.id, Caption.text).outerjoin(Caption, Caption.image_id == Image.id)
    return {image_id: text or "" for image_id, text in session.execute(query.where(Image.id.in_(image_ids)))}


def check_revision(session: Session, image_id: int, base_revision: int) -> None:
    """Raise Stale when an image has been changed since a revision, NotFound when it is gone."""
    image = images.get(session, image_id)
    if image.revision != base_revision:
        kept = session.get(Caption, image_id)
        raise Stale(image.name, image.caption or "", kept.by if kept else "", image.revision)
