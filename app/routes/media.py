"""Pictures for the screen: thumbnails, display copies, samples, and originals as a download alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from app.collect.blobs import blob_path, display_path, made_thumb, polished_copy
from app.collect.pictures import DISPLAY_SIDE_PX, THUMB_SIDE_PX
from app.config import Settings
from app.contract.pixels import UNREADABLE, mask_pixels
from app.contract.recipe import Recipe, look_key, turns_alone
from app.contract.state import read_state
from app.errors import NotFound
from app.launch.start import run_dir
from app.polish.masks import png, shade, turned_alpha, turned_mask, uncropped_mask
from app.store import images, runs, subjects
from app.store.db import read
from app.store.images import ImageRow
from app.store.models import Blob
from app.store.subjects import StoredSubject
from app.wiring import OwnSettings, Store

router = APIRouter()

Stage = Literal["thumb", "picture", "uncropped", "uncropped-thumb", "turned"]
Layer = Literal["shade", "mask", "alpha", "subject", "subject-shade"]

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
def thumb(sha256: str, store: Store, settings: OwnSettings) -> FileResponse:
    """Answer the thumbnail of an original."""
    return _copy(made_thumb, settings, _blob(store, sha256))


@router.get("/media/pictures/{sha256}.webp")
def picture(sha256: str, store: Store, settings: OwnSettings) -> FileResponse:
    """Answer the large copy for the screen."""
    return _copy(display_path, settings, _blob(store, sha256))


@router.get("/media/images/{image_id}/{stage}.webp")
def polished(image_id: int, stage: Stage, store: Store, settings: OwnSettings, v: str = "") -> FileResponse:
    """Answer an image as it trains, small or large, or as it is before its crop or before all but its turns."""
    with read(store) as session:
        row = images.get(session, image_id)
    side_px = THUMB_SIDE_PX if stage.endswith("thumb") else DISPLAY_SIDE_PX
    try:
        path = polished_copy(settings, row.sha256, row.extension, _at(stage, row.recipe), side_px)
    except UNREADABLE as error:
        raise NotFound("The original is gone or damaged.", "Add the image again.") from error
    is_this_look = v == (look_key(row.recipe) or "0")
    return _picture(path, "webp", FOR_GOOD if is_this_look else FOR_NOW)


@router.get("/media/images/{image_id}/{layer}.png")
def layer(image_id: int, layer: Layer, store: Store, settings: OwnSettings) -> Response:
    """Answer red over what does not count of an image, or its mask, or its transparency as a mask.

    `subject` is the mask that a model suggests, `subject-shade` red outside it, over the picture before its crop.
    """
    with read(store) as session:
        row = images.get(session, image_id)
        found = subjects.of_image(session, image_id)
    try:
        drawn = _suggested(settings, row, layer, found) if layer.startswith("subject") else _layer(settings, row, layer)
    except UNREADABLE as error:
        raise NotFound("The mask or the original is gone or damaged.", "Remove the mask, or draw it again.") from error
    if drawn is None:
        what = {"alpha": "transparency", "subject": "subject", "subject-shade": "subject"}.get(layer, "mask")
        raise NotFound(f"{row.name} has no {what}.", "Reload the page.")
    return Response(drawn, media_type="image/png", headers={"cache-control": "no-store"})


def _at(stage: Stage, recipe: Recipe) -> Recipe:
    if stage.startswith("uncropped"):
        return recipe.model_copy(update={"crop": None})
    return turns_alone(recipe) if stage == "turned" else recipe


def _layer(settings: Settings, row: ImageRow, layer: Layer) -> bytes | None:
    original = blob_path(settings, row.sha256, row.extension)
    mask_path = blob_path(settings, row.recipe.mask, "png") if row.recipe.mask else None
    if layer == "alpha":
        image = turned_alpha(original, row.recipe, DISPLAY_SIDE_PX)
    elif layer == "mask":
        image = turned_mask(mask_path, row.recipe, DISPLAY_SIDE_PX) if mask_path else None
    else:
        image = mask_pixels(original, mask_path, row.recipe)
        if image is not None:
            image.thumbnail((DISPLAY_SIDE_PX, DISPLAY_SIDE_PX))
            image = shade(image)
    return None if image is None else png(image)


def _suggested(settings: Settings, row: ImageRow, layer: Layer, found: StoredSubject | None) -> bytes | None:
    if found is None:
        return None
    path = blob_path(settings, found.mask_sha256, "png")
    if layer == "subject":
        return png(turned_mask(path, row.recipe, DISPLAY_SIDE_PX))
    return png(shade(uncropped_mask(path, row.recipe, 2 * THUMB_SIDE_PX)))


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


def _copy(made: Callable[[Settings, str, str], Path], settings: Settings, blob: Blob) -> FileResponse:
    try:
        return _picture(made(settings, blob.sha256, blob.extension), "webp")
    except UNREADABLE as error:
        raise NotFound("The original is gone or damaged.", "Add the image again.") from error


def _picture(path: Path, kind: str, keep: str = FOR_GOOD) -> FileResponse:
    return FileResponse(path, media_type=TYPES[kind], headers={"cache-control": keep})
