"""Pictures for the screen: thumbnails, display copies, samples, and originals as a download alone."""

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.collect.blobs import blob_path, display_path, made_thumb
from app.config import Settings
from app.contract.pixels import UNREADABLE
from app.contract.state import read_state
from app.errors import NotFound
from app.launch.start import run_dir
from app.store import runs
from app.store.db import read
from app.store.models import Blob
from app.wiring import OwnSettings, Store

router = APIRouter()

# Named by content: what an address once answered, it answers for good.
FOR_GOOD = "private, max-age=31536000, immutable"
# A run that resumed may draw a sample again under the same name; an address with `?v=` means one drawing of it.
FOR_NOW = "private, max-age=60"
# An original may be anything that a stranger made: even opened by hand it runs nothing and loads nothing.
SANDBOX = "sandbox; default-src 'none'"
TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


@router.get("/media/thumbs/{sha256}.webp")
def thumb(sha256: str, store: Store, settings: OwnSettings) -> FileResponse:
    """Answer the thumbnail of an original."""
    return _copy(made_thumb, settings, _blob(store, sha256))


@router.get("/media/pictures/{sha256}.webp")
def picture(sha256: str, store: Store, settings: OwnSettings) -> FileResponse:
    """Answer the large copy for the screen."""
    return _copy(display_path, settings, _blob(store, sha256))


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
