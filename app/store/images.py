"""Images of a project: added once a content, paged in order, removed without touching their originals."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.contract.recipe import UNTOUCHED, Recipe, read_recipe, size_after
from app.contract.splits import Split
from app.errors import Invalid, NotFound
from app.store.history import Edit, record
from app.store.models import Blob, Caption, Image, now_us

MAX_REPEATS = 1000


@dataclass(frozen=True)
class NewImage:
    """A checked picture on its way into a project; width and height are those of the upright picture."""

    sha256: str
    extension: str
    size_bytes: int
    width_px: int
    height_px: int
    name: str


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


def add(session: Session, project_id: int, new: NewImage, caption: str | None, by: str) -> tuple[Image, bool]:
    """Take a picture into a project; return its row, and False when the project had it already.

    The caption it came with is kept unless the image has words already.
    """
    found = session.scalar(select(Image).where(Image.project_id == project_id, Image.sha256 == new.sha256))
    image = found or _insert(session, project_id, new, by)
    if caption is not None:
        _adopt_caption(session, image, caption, by)
    return image, found is None


def _insert(session: Session, project_id: int, new: NewImage, by: str) -> Image:
    if session.get(Blob, new.sha256) is None:
        session.add(
            Blob(
                sha256=new.sha256,
                extension=new.extension,
                size_bytes=new.size_bytes,
                width_px=new.width_px,
                height_px=new.height_px,
            )
        )
        session.flush()
    image = Image(
        project_id=project_id,
        sha256=new.sha256,
        name=new.name,
        name_key=new.name.casefold(),
        repeats=1,
        added_us=now_us(),
    )
    session.add(image)
    session.flush()
    after = {"name": new.name, "sha256": new.sha256}
    record(session, Edit(project_id, by, "image", image.id, "add", None, after))
    return image


def _adopt_caption(session: Session, image: Image, text: str, by: str) -> None:
    kept = session.get(Caption, image.id)
    if kept is not None and (kept.text.strip() or kept.text == text):
        return
    before = kept.text if kept else None
    session.merge(Caption(image_id=image.id, text=text, by=by, updated_us=now_us()))
    session.flush()
    record(session, Edit(image.project_id, by, "caption", image.id, "import", before, text))


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


def starting_with(session: Session, project_id: int, prefix: str) -> list[ImageRow]:
    """The images whose name begins so, whatever the case."""
    begins = Image.name_key.startswith(prefix.casefold(), autoescape=True)
    return _read(session, _rows().where(Image.project_id == project_id, begins))


def get(session: Session, image_id: int) -> ImageRow:
    """Find an image. Raises NotFound."""
    if rows := _read(session, _rows().where(Image.id == image_id)):
        return rows[0]
    raise NotFound(f"There is no image {image_id}; it may have been removed.", "Go back to the project's images.")


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
        session.flush()
        record(session, edit)
    return get(session, image_id)


def remove(session: Session, image_id: int, by: str) -> ImageRow:
    """Take an image out of its project and return what it was; its original stays on the disk. Raises NotFound."""
    row = get(session, image_id)
    session.execute(delete(Caption).where(Caption.image_id == image_id))
    session.execute(delete(Image).where(Image.id == image_id))
    before = {"name": row.name, "sha256": row.sha256, "repeats": row.repeats, "caption": row.caption}
    record(session, Edit(row.project_id, by, "image", image_id, "remove", before))
    return row


def _image(session: Session, image_id: int) -> Image:
    get(session, image_id)
    return session.get_one(Image, image_id)
