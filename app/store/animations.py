"""Images of a project that hold more than one frame, and what their frames are to inherit."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from re import finditer

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.contract.splits import Split
from app.store.edits import name_key
from app.store.images import NewCaption, words_of
from app.store.models import Blob, Caption, Image
from app.store.provenance import Provenance, origin_of

# As in store.provenance: far below what SQLite takes in one statement.
BATCH = 500
MARK = '"frames":'
MAX_STEM = 150
FRAME = "-frame-"
"""What follows the animation's name in a frame's."""


@dataclass(frozen=True)
class Animation:
    """An image with several frames: its original, its words and its provenance."""

    image_id: int
    project_id: int
    name: str
    sha256: str
    extension: str
    frames: int
    split: Split
    origin: Provenance
    caption: NewCaption | None = None


def frame_counts(session: Session, image_ids: Sequence[int]) -> dict[int, int]:
    """How many frames those of the images have that hold more than one, by id."""
    counts: dict[int, int] = {}
    for start in range(0, len(image_ids), BATCH):
        query = (
            select(Image.id, Blob.facts)
            .join(Blob, Blob.sha256 == Image.sha256)
            .where(Image.id.in_(image_ids[start : start + BATCH]), Blob.facts.contains(MARK))
        )
        counts |= {image_id: count for image_id, facts in session.execute(query) if (count := _frames(facts)) > 1}
    return counts


def animations(session: Session, project_id: int) -> list[Animation]:
    """Every animation of a project, in the order they were added."""
    return _read(session, Image.project_id == project_id)


def by_id(session: Session, image_ids: Sequence[int]) -> list[Animation]:
    """The animations among some images, in the order they were added; those that are gone are passed over."""
    ids = sorted(set(image_ids))
    batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    return [each for batch in batches for each in _read(session, Image.id.in_(batch))]


def _read(session: Session, condition: ColumnElement[bool]) -> list[Animation]:
    query = (
        select(Image, Blob, Caption)
        .join(Blob, Blob.sha256 == Image.sha256)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .where(condition, Blob.facts.contains(MARK))
        .order_by(Image.id)
    )
    found = [_animation(image, blob, caption) for image, blob, caption in session.execute(query)]
    return [each for each in found if each.frames > 1]


def _animation(image: Image, blob: Blob, caption: Caption | None) -> Animation:
    return Animation(
        image_id=image.id,
        project_id=image.project_id,
        name=image.name,
        sha256=image.sha256,
        extension=blob.extension,
        frames=_frames(blob.facts),
        split=image.split,
        origin=origin_of(image),
        caption=words_of(caption),
    )


def _frames(facts: str | None) -> int:
    """The number of frames in what was measured of a picture, which is one where it says nothing."""
    try:
        said = json.loads(facts or "{}")
    except ValueError:
        return 1
    count = said.get("frames", 1) if isinstance(said, dict) else 1
    return count if isinstance(count, int) else 1


def frame_stems(session: Session, project_id: int, chosen: Sequence[Animation]) -> list[str]:
    """What the names of each animation's frames begin with: its own name, told apart where others have taken it."""
    taken: set[str] = set()
    stems = []
    owners = _owners(session, project_id)
    for each in chosen:
        bare = PurePath(each.name)
        stem = bare.stem[:MAX_STEM]
        spellings = (stem, f"{stem}-{bare.suffix.lstrip('.')}", f"{stem}-{each.image_id}")
        free = next(
            (name for name in spellings[:-1] if name_key(name) not in taken and _is_free(owners, each, name)),
            spellings[-1],
        )
        taken.add(name_key(free))
        stems.append(free)
    return stems


def _owners(session: Session, project_id: int) -> Mapping[str, set[tuple[int, int | None]]]:
    """The images of a project that are called like frames, and their parents, by how their names begin."""
    query = select(Image.id, Image.parent_id, Image.name_key)
    owners: defaultdict[str, set[tuple[int, int | None]]] = defaultdict(set)
    named = query.where(Image.project_id == project_id, Image.name_key.contains(FRAME))
    # All in one go: an animation asked about alone would have every name of the project looked at.
    for image_id, parent_id, key in session.execute(named):
        # Of -frame-frame- both count.
        for found in finditer(f"(?={FRAME})", key):
            owners[key[: found.start() + len(FRAME)]].add((image_id, parent_id))
    return owners


def _is_free(owners: Mapping[str, set[tuple[int, int | None]]], parent: Animation, stem: str) -> bool:
    """Whether no image but the animation's own frames is called like one of them would be."""
    others = owners.get(name_key(f"{stem}{FRAME}"), set())
    return all(parent.image_id in (image_id, parent_id) for image_id, parent_id in others)
