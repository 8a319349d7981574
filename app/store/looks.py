"""Looks: how the images of a few originals are shown today, for whoever tidies up the copies of them."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.models import Blob, Image, SubjectRow

AT_ONCE = 500


class Look(NamedTuple):
    """An original, and the recipe and suggested mask of an image of it; `recipe` is None where no image has it.

    `facts` is JSON of collect.facts.
    """

    sha256: str
    extension: str
    size_bytes: int
    facts: str | None
    recipe: str | None
    subject_mask: str | None


def of_originals(session: Session, hashes: Collection[str]) -> list[Look]:
    """Every look of these originals, in whatever project; none of one that the store does not know."""
    wanted = sorted(hashes)
    query = (
        select(Blob.sha256, Blob.extension, Blob.size_bytes, Blob.facts, Image.recipe, SubjectRow.mask_sha256)
        .outerjoin(Image, Image.sha256 == Blob.sha256)
        .outerjoin(SubjectRow, SubjectRow.image_id == Image.id)
    )
    found: list[Look] = []
    for start in range(0, len(wanted), AT_ONCE):
        part = query.where(Blob.sha256.in_(wanted[start : start + AT_ONCE]))
        found += [Look(*row) for row in session.execute(part)]
    return found
