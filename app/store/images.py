"""Images of a project: added once a content, paged in order, removed without touching their originals."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import UNTOUCHED, Recipe, read_recipe, size_after
from app.contract.splits import Split
from app.errors import Invalid, NotFound
from app.store import projects
from app.store.edits import name_key, new_step, remove_images
from app.store.history import Edit, record, record_many
from app.store.measures import lacks_facts
from app.store.models import Blob, Caption, Image, Project, now_us
from app.store.provenance import UNKNOWN, Provenance

MAX_REPEATS = 1000


@dataclass(frozen=True)
class NewImage:
    """A checked picture on its way into a project; width and height are those of the upright picture.

    `facts` is JSON of collect.facts; `recipe` and the numbers are what its dataset said of it.
    """

    sha256: str
    extension: str
    size_bytes: int
    width_px: int
    height_px: int
    name: str
    phash: str | None = None
    phash_mirrored: str | None = None
    facts: str | None = None
    uses_alpha: bool = False
    repeats: int = 1
    weight: float = 1.0
    split: Split = "train"
    recipe: Recipe = UNTOUCHED
    origin: Provenance = UNKNOWN


@dataclass(frozen=True)
class NewCaption:
    """Words on their way in, with the bytes they came as, how those were read and from which file."""

    text: str
    raw: bytes | None = None
    encoding: str | None = None
    came_from: str | None = None


def words_of(caption: Caption | None) -> NewCaption | None:
    """An image's words as another image may take them in."""
    return NewCaption(caption.text, caption.raw, caption.encoding, caption.came_from) if caption else None


@dataclass(frozen=True)
class ImageRow:
    """An image as pages and the freeze read it; `caption` is None while nobody has written one.

    `width_px` and `height_px` are the original's, upright; `size` is what is left after the recipe.
    """

    id: int
    project_id: int
    name: str
    sha256: str
    extension: str
    width_px: int
    height_px: int
    repeats: int
    caption: str | None
    recipe: Recipe = UNTOUCHED
    split: Split = "train"
    weight: float = 1.0
    revision: int = 0
    reviewed_by: str | None = None

    @property
    def upright(self) -> Size:
        """The original's size, turned by its EXIF."""
        return Size(self.width_px, self.height_px)

    @property
    def size(self) -> Size:
        """The size of what trains and is shown."""
        return size_after(self.recipe, self.upright)


def add(
    session: Session, project_id: int, new: NewImage, caption: str | NewCaption | None, by: str
) -> tuple[Image, bool]:
    """Take a picture into a project; return its row, and False when the project had it already.

    The caption it came with is kept unless the image has words already.
    """
    (added,) = add_many(session, project_id, [(new, caption)], by)
    return added


def add_many(
    session: Session,
    project_id: int,
    arrivals: Sequence[tuple[NewImage, str | NewCaption | None]],
    by: str,
    batch: str | None = None,
) -> list[tuple[Image, bool]]:
    """Take pictures into a project as `add` does, with few statements however many there are."""
    project = projects.get(session, project_id)
    hashes = [new.sha256 for new, _ in arrivals]
    here = Image.project_id == project_id
    known = {image.sha256: image for image in session.scalars(select(Image).where(here, Image.sha256.in_(hashes)))}
    captions = {each.image_id: each for each in _captions(session, [image.id for image in known.values()])}
    put_blobs(session, [new for new, _ in arrivals])
    fresh: dict[str, Image] = {}
    for new, _ in arrivals:
        if new.sha256 not in known and new.sha256 not in fresh:
            fresh[new.sha256] = _new_row(project, new)
    session.add_all(fresh.values())
    session.flush()
    edits = [
        Edit(project_id, by, "image", image.id, "add", None, {"name": image.name, "sha256": image.sha256}, batch)
        for image in fresh.values()
    ]
    for new, caption in arrivals:
        if caption is not None:
            image = known.get(new.sha256) or fresh[new.sha256]
            edits += _adopt_caption(session, image, captions, caption, by)
    session.flush()
    record_many(session, [replace(edit, batch=batch) for edit in edits])
    return [_told(new, known, fresh) for new, _ in arrivals]


def _told(new: NewImage, known: dict[str, Image], fresh: dict[str, Image]) -> tuple[Image, bool]:
    """The row of a picture; of two equal ones of the same batch only the first is new."""
    if new.sha256 in known:
        return known[new.sha256], False
    known[new.sha256] = fresh[new.sha256]
    return fresh[new.sha256], True


def _captions(session: Session, image_ids: Sequence[int]) -> Sequence[Caption]:
    return session.scalars(select(Caption).where(Caption.image_id.in_(image_ids))).all() if image_ids else []


def put_blobs(session: Session, news: Sequence[NewImage]) -> None:
    """Write down what was measured, also of originals that came in before it was."""
    wanted = {new.sha256: new for new in news}
    for blob in session.scalars(select(Blob).where(Blob.sha256.in_(wanted))):
        new = wanted.pop(blob.sha256)
        if new.facts is not None and lacks_facts(blob.facts):
            blob.facts, blob.phash, blob.phash_mirrored = new.facts, new.phash, new.phash_mirrored
    session.add_all(
        Blob(
            sha256=new.sha256,
            extension=new.extension,
            size_bytes=new.size_bytes,
            width_px=new.width_px,
            height_px=new.height_px,
            phash=new.phash,
            phash_mirrored=new.phash_mirrored,
            facts=new.facts,
        )
        for new in wanted.values()
    )
    session.flush()


def _new_row(project: Project, new: NewImage) -> Image:
    recipe = new.recipe
    if new.uses_alpha and project.alpha_use is not None:
        recipe = recipe.model_copy(update={"alpha": project.alpha_use, "background": project.background})
    return Image(
        project_id=project.id,
        sha256=new.sha256,
        name=new.name,
        name_key=name_key(new.name),
        repeats=new.repeats,
        weight=new.weight,
        split=new.split,
        recipe=recipe.to_json(),
        added_us=now_us(),
        **asdict(new.origin),
    )


def _adopt_caption(
    session: Session, image: Image, captions: dict[int, Caption], given: str | NewCaption, by: str
) -> list[Edit]:
    new = NewCaption(given) if isinstance(given, str) else given
    kept = captions.get(image.id)
    if kept is not None and (kept.text.strip() or kept.text == new.text):
        return []
    before = kept.text if kept else None
    caption = kept or Caption(image_id=image.id)
    caption.text, caption.by, caption.updated_us = new.text, by, now_us()
    caption.raw, caption.encoding, caption.came_from = new.raw, new.encoding, new.came_from
    session.add(caption)
    captions[image.id] = caption
    if kept is not None or image.revision:
        image.revision += 1
    return [Edit(image.project_id, by, "caption", image.id, "import", before, new.text)]


Rows = Select[int, int, str, str, str, int, int, int, str, str, Split, float, int, str | None]


def _rows() -> Rows:
    return (
        select(
            Image.id,
            Image.project_id,
            Image.name,
            Image.sha256,
            Blob.extension,
            Blob.width_px,
            Blob.height_px,
            Image.repeats,
            Caption.text,
            Image.recipe,
            Image.split,
            Image.weight,
            Image.revision,
            Image.reviewed_by,
        )
        .join(Blob, Blob.sha256 == Image.sha256)
        .outerjoin(Caption, Caption.image_id == Image.id)
        .order_by(Image.id)
    )


def _read(session: Session, query: Rows) -> list[ImageRow]:
    return [ImageRow(*row[:9], read_recipe(row[9]), *row[10:]) for row in session.execute(query)]


def page(session: Session, project_id: int, after_id: int = 0, limit: int = 200) -> list[ImageRow]:
    """The next images behind an id, in the order they were added."""
    return _read(session, _rows().where(Image.project_id == project_id, Image.id > after_id).limit(limit))


def training_rows(session: Session, project_id: int) -> list[ImageRow]:
    """Every image of a project, in the order they were added."""
    return _read(session, _rows().where(Image.project_id == project_id))


def has_picture(session: Session, project_id: int, sha256: str) -> bool:
    """Whether a picture is in the project, by its hash."""
    same = select(Image.id).where(Image.project_id == project_id, Image.sha256 == sha256)
    return session.scalar(same) is not None


def starting_with(session: Session, project_id: int, prefix: str) -> list[ImageRow]:
    """The images whose name begins so, whatever the case."""
    begins = Image.name_key.startswith(name_key(prefix), autoescape=True)
    return _read(session, _rows().where(Image.project_id == project_id, begins))


def get(session: Session, image_id: int) -> ImageRow:
    """Find an image. Raises NotFound."""
    if rows := _read(session, _rows().where(Image.id == image_id)):
        return rows[0]
    raise NotFound(f"There is no image {image_id}; it may have been removed.", "Go back to the project's images.")


def present(session: Session, project_id: int, image_ids: Sequence[int]) -> set[int]:
    """Those of a few ids whose image is in the project."""
    return set(session.scalars(select(Image.id).where(Image.project_id == project_id, Image.id.in_(image_ids))))


def neighbours(session: Session, row: ImageRow) -> tuple[int | None, int | None, int, int]:
    """The ids of the image before and after, and the image's place (from 1) among how many."""

    def ask(what: Any, *conditions: Any) -> int | None:
        number: int | None = session.scalar(select(what).where(Image.project_id == row.project_id, *conditions))
        return number

    return (
        ask(func.max(Image.id), Image.id < row.id),
        ask(func.min(Image.id), Image.id > row.id),
        ask(func.count(), Image.id <= row.id) or 0,
        ask(func.count()) or 0,
    )


def set_repeats(session: Session, image_id: int, repeats: int, by: str = "you") -> ImageRow:
    """Set how often an image is seen in an epoch. Raises Invalid outside 1 to 1000, NotFound."""
    if not 1 <= repeats <= MAX_REPEATS:
        raise Invalid(f"{repeats} repeats are not possible.", f"Give 1 to {MAX_REPEATS}.", field="repeats")
    image = _image(session, image_id)
    if image.repeats != repeats:
        edit = Edit(image.project_id, by, "image", image_id, "repeats", image.repeats, repeats)
        image.repeats = repeats
        image.revision += 1
        session.flush()
        record(session, edit)
    return get(session, image_id)


def remove(session: Session, image_id: int, by: str) -> ImageRow:
    """Take an image out of its project and return what it was; its original stays on the disk. Raises NotFound."""
    row = get(session, image_id)
    remove_images(session, new_step(row.project_id, by), [image_id])
    return row


def _image(session: Session, image_id: int) -> Image:
    get(session, image_id)
    return session.get_one(Image, image_id)
