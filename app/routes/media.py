"""Pictures for the screen: thumbnails, display copies, samples, and originals as a download alone."""

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.collect.blobs import blob_path
from app.collect.drawing import DrawWish, Layer
from app.collect.pictures import DISPLAY_SIDE_PX, THUMB_SIDE_PX
from app.collect.screen import Screen
from app.contract.recipe import UNTOUCHED, Recipe, look_key, turns_alone
from app.contract.state import read_state
from app.errors import NotFound
from app.launch.start import run_dir
from app.store import images, runs, subjects
from app.store.db import read
from app.store.models import Blob
from app.wiring import Imports, OwnSettings, Store

router = APIRouter()

Stage = Literal["thumb", "picture", "uncropped", "uncropped-thumb", "turned"]

# Named by content: what an address once answered, it answers for good.
FOR_GOOD = "private, max-age=31536000, immutable"
# A run that resumed may draw a sample again under the same name; an address with `?v=` means one drawing of it.
FOR_NOW = "private, max-age=60"
# An original may be anything that a stranger made: even opened by hand it runs nothing and loads nothing.
SANDBOX = "sandbox; default-src 'none'"
TYPES = {"jpg": "image/jpeg"} | {
    ending: f"image/{ending}" for ending in ("png", "webp", "gif", "bmp", "tiff", "avif", "heic", "jxl")
}


@router.get("/media/thumbs/{sha256}.webp")
def thumb(sha256: str, store: Store, imports: Imports) -> FileResponse:
    """Answer the thumbnail of an original."""
    return _copy(imports.screen, _blob(store, sha256), THUMB_SIDE_PX)


@router.get("/media/pictures/{sha256}.webp")
def picture(sha256: str, store: Store, imports: Imports) -> FileResponse:
    """Answer the large copy for the screen."""
    return _copy(imports.screen, _blob(store, sha256), DISPLAY_SIDE_PX)


@router.get("/media/images/{image_id}/{stage}.webp")
def polished(image_id: int, stage: Stage, store: Store, imports: Imports, v: str = "") -> FileResponse:
    """Answer an image as it trains, small or large, or as it is before its crop or before all but its turns."""
    with read(store) as session:
        row = images.get(session, image_id)
    side_px = THUMB_SIDE_PX if stage.endswith("thumb") else DISPLAY_SIDE_PX
    recipe = _at(stage, row.recipe)
    wish = DrawWish(sha256=row.sha256, extension=row.extension, recipe=recipe, side_px=side_px)
    path = imports.screen.path(wish, row.name)
    is_this_look = v == (look_key(row.recipe) or "0")
    return _picture(_there(path), "webp", FOR_GOOD if is_this_look else FOR_NOW)


@router.get("/media/images/{image_id}/{layer}.png")
def layer(image_id: int, layer: Layer, store: Store, imports: Imports) -> FileResponse:
    """Answer red over what does not count of an image, or its mask, or its transparency as a mask.

    `subject` is the mask that a model suggests, `subject-shade` red outside it, over the picture before its crop.
    """
    with read(store) as session:
        row = images.get(session, image_id)
        found = subjects.of_image(session, image_id)
    mask = (found.mask_sha256 if found else None) if layer.startswith("subject") else row.recipe.mask
    wish = DrawWish(sha256=row.sha256, extension=row.extension, recipe=row.recipe, layer=layer, mask=mask)
    path = imports.screen.path(wish, row.name)
    if path is None:
        what = {"alpha": "transparency", "subject": "subject", "subject-shade": "subject"}.get(layer, "mask")
        raise NotFound(f"{row.name} has no {what}.", "Reload the page.")
    return _picture(path, "png", "no-store")


def _at(stage: Stage, recipe: Recipe) -> Recipe:
    if stage.startswith("uncropped"):
        return recipe.model_copy(update={"crop": None})
    return turns_alone(recipe) if stage == "turned" else recipe


@router.get("/media/originals/{sha256}")
def original(sha256: str, store: Store, settings: OwnSettings) -> FileResponse:
    """Hand an original out as it came, as a download."""
    blob = _blob(store, sha256)
    path = blob_path(settings, blob.sha256, blob.extension)
    if not path.is_file():
        raise NotFound("The original is no longer on the disk.", "Add the image again.")
    answer = FileResponse(path, media_type=TYPES[blob.extension], filename=f"{blob.sha256[:16]}.{blob.extension}")
    answer.headers["cache-control"] = FOR_GOOD
    answer.headers["content-security-policy"] = SANDBOX
    return answer


@router.get("/runs/{run_id}/samples/{name:path}")
def sample(run_id: int, name: str, store: Store, settings: OwnSettings, v: str = "") -> FileResponse:
    """Answer a sample that the run's events tell of, by its name under samples/."""
    with read(store) as session:
        run = runs.get(session, run_id)
    folder = run_dir(settings, run)
    drawn = {each.path for each in read_state(folder.events).samples}
    # The event file is only a file: what it names must lie in the run's own folder all the same.
    path = folder.inside(f"samples/{name}") if f"samples/{name}" in drawn else None
    if path is None:
        raise NotFound(f"{run.name} has no sample {name[:100]}.", "Reload the page of the run.")
    return _picture(path, "png", FOR_GOOD if v else FOR_NOW)


def _blob(store: Store, sha256: str) -> Blob:
    with read(store) as session:
        if blob := session.get(Blob, sha256):
            return blob
    raise NotFound("There is no such image.", "Reload the page; it may have been removed.")


def _copy(screen: Screen, blob: Blob, side_px: int) -> FileResponse:
    wish = DrawWish(sha256=blob.sha256, extension=blob.extension, recipe=UNTOUCHED, side_px=side_px)
    return _picture(_there(screen.path(wish)), "webp")


def _there(path: Path | None) -> Path:
    if path is None:
        raise NotFound("The original is gone or damaged.", "Add the image again.")
    return path


def _picture(path: Path, kind: str, keep: str = FOR_GOOD) -> FileResponse:
    return FileResponse(path, media_type=TYPES[kind], headers={"cache-control": keep})
