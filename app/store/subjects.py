"""Subjects: where models see the subject of an image, until a person takes its mask or its crop into the recipe."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Engine, Row, func, select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.contract.recipe import Crop
from app.contract.rundir import RunDir, publish
from app.contract.spec import MaskSpec, read_spec
from app.contract.suggestions import Looked, mask_path, read_book
from app.store.db import write
from app.store.models import Blob, Image, Run, SubjectRow, now_us

CHUNK = 500
COLUMNS = (
    SubjectRow.image_id,
    SubjectRow.model,
    SubjectRow.mask_sha256,
    SubjectRow.box,
    SubjectRow.share,
    SubjectRow.is_dismissed,
)


@dataclass(frozen=True)
class StoredSubject:
    """What a model sees in an image; the box is in pixels of the upright original."""

    image_id: int
    model: str
    mask_sha256: str
    box: Crop
    share: float
    is_dismissed: bool


class Standing(NamedTuple):
    """A subject as it is stored beside its image's recipe and the size of the upright original; nothing is parsed."""

    image_id: int
    is_dismissed: bool
    mask_sha256: str
    box: str
    recipe: str
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Taken:
    """Which run of which model found it, in which project."""

    project_id: int
    run_id: int
    model: str


def take_book(engine: Engine, settings: Settings, run: Run, run_dir: RunDir) -> int:
    """Take in what a mask run has found so far and return how many images that is; the masks become blobs.

    May be repeated at any time: by whoever settles the run, and again after a death in between.
    """
    try:
        spec = read_spec(run_dir.spec.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The run itself fails for this, in words.
        return 0
    if not isinstance(spec, MaskSpec):
        return 0
    lines = [
        line for line in read_book(run_dir) if line.subject and _moved(settings, run_dir, line.subject.mask_sha256)
    ]
    for start in range(0, len(lines), CHUNK):
        with write(engine) as session:
            take(session, Taken(run.project_id, run.id, spec.model), lines[start : start + CHUNK])
    return len(lines)


def _moved(settings: Settings, run_dir: RunDir, digest: str) -> bool:
    """Move a mask among the blobs, and say whether it is there whole."""
    blob, made = settings.blob(digest, "png"), mask_path(run_dir, digest)
    if not blob.exists():
        try:
            data = made.read_bytes()
        except FileNotFoundError:
            # Another worker that settles the same run may have moved it in between.
            return blob.exists()
        if sha256(data).hexdigest() != digest:
            return False
        publish(blob, data)
    made.unlink(missing_ok=True)
    return True


def take(session: Session, taken: Taken, lines: Sequence[Looked]) -> None:
    """Take what was found in; of each image the newest word stands, and the same word once more stays dismissed."""
    by_hash = {line.sha256: line.subject for line in lines if line.subject}
    images = session.execute(
        select(Image.id, Image.sha256, SubjectRow)
        .outerjoin(SubjectRow, SubjectRow.image_id == Image.id)
        .where(Image.project_id == taken.project_id, Image.sha256.in_(by_hash))
    )
    for image_id, digest, before in images.all():
        found = by_hash[digest]
        row = before or SubjectRow(image_id=image_id, is_dismissed=False)
        row.is_dismissed = row.is_dismissed and row.mask_sha256 == found.mask_sha256
        row.run_id, row.model = taken.run_id, taken.model
        row.mask_sha256, row.box, row.share = found.mask_sha256, found.box.model_dump_json(), found.share
        row.at_us = now_us()
        session.add(row)
    session.flush()


def of_image(session: Session, image_id: int) -> StoredSubject | None:
    """The subject of an image, dismissed or not; None where no model has seen one."""
    row = session.get(SubjectRow, image_id)
    return _stored(row) if row else None


def of_project(session: Session, project_id: int, image_ids: Collection[int] | None = None) -> list[StoredSubject]:
    """The subjects of a project, or of those of its images, dismissed ones too, in the order of the images."""
    query = select(*COLUMNS).join(Image, Image.id == SubjectRow.image_id).where(Image.project_id == project_id)
    wanted = None if image_ids is None else set(image_ids)
    if wanted is not None and len(wanted) <= CHUNK:
        query = query.where(SubjectRow.image_id.in_(wanted))
    rows = session.execute(query.order_by(SubjectRow.image_id))
    return [_stored(row) for row in rows if wanted is None or row.image_id in wanted]


def standings(session: Session, project_id: int) -> list[Standing]:
    """How the subjects of a project stand to the recipes of their images, in the order of the images."""
    query = (
        select(
            SubjectRow.image_id,
            SubjectRow.is_dismissed,
            SubjectRow.mask_sha256,
            SubjectRow.box,
            Image.recipe,
            Blob.width_px,
            Blob.height_px,
        )
        .join(Image, Image.id == SubjectRow.image_id)
        .join(Blob, Blob.sha256 == Image.sha256)
        .where(Image.project_id == project_id)
    )
    return [Standing(*row) for row in session.execute(query.order_by(SubjectRow.image_id))]


def seen_by(session: Session, project_id: int, model: str) -> set[int]:
    """The images of a project in which a model has seen a subject."""
    query = select(SubjectRow.image_id).join(Image, Image.id == SubjectRow.image_id)
    return set(session.scalars(query.where(Image.project_id == project_id, SubjectRow.model == model)))


def of_runs(session: Session, project_id: int) -> dict[int, int]:
    """Of how many images of a project the word of each run still stands."""
    query = (
        select(SubjectRow.run_id, func.count())
        .join(Image, Image.id == SubjectRow.image_id)
        .where(Image.project_id == project_id, SubjectRow.run_id.is_not(None))
    )
    return {run_id: number for run_id, number in session.execute(query.group_by(SubjectRow.run_id)) if run_id}


def dismiss(session: Session, project_id: int, image_ids: Collection[int], *, is_dismissed: bool = True) -> int:
    """Put the subjects of images away, or bring them back, and return how many that changed."""
    ids, changed = sorted(image_ids), 0
    own = select(Image.id).where(Image.project_id == project_id)
    for start in range(0, len(ids), CHUNK):
        found = session.execute(
            update(SubjectRow)
            .where(SubjectRow.image_id.in_(ids[start : start + CHUNK]), SubjectRow.image_id.in_(own))
            .where(SubjectRow.is_dismissed.is_(not is_dismissed))
            .values(is_dismissed=is_dismissed)
            .returning(SubjectRow.image_id)
            .execution_options(synchronize_session=False)
        )
        changed += len(found.all())
    return changed


def _stored(row: SubjectRow | Row[int, str, str, str, float, bool]) -> StoredSubject:
    box = Crop.model_validate_json(row.box)
    return StoredSubject(row.image_id, row.model, row.mask_sha256, box, row.share, row.is_dismissed)
