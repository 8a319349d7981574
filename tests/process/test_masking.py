"""A mask run end to end: queued by the studio, carried out by the real worker, killed in the middle, taken in."""

import os
import signal
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from app.collect.blobs import blob_path
from app.contract.buckets import make_buckets
from app.contract.pixels import mask_pixels
from app.contract.spec import MaskSpec
from app.contract.state import read_state
from app.contract.suggestions import book_path, read_book
from app.launch import start
from app.launch.mask_start import start_masking
from app.polish.taking import take
from app.store import images, runs, subjects, undo
from app.store.db import read, write
from app.store.edits import new_step
from app.store.images import NewImage
from app.store.models import Run
from tests.process.conftest import Studio, until
from tests.worker.tiny_taggers import make_subject_finder

pytestmark = pytest.mark.timeout(120)
BUCKETS = make_buckets(64, 8)


def add_images(studio: Studio, count: int) -> list[int]:
    """Put grey pictures with a red square into the project, with their originals."""
    ids = []
    for place in range(count):
        image = Image.new("RGB", (400, 300), (128, 128, 128))
        ImageDraw.Draw(image).rectangle((100 + place, 100, 199 + place, 199), fill=(255, 0, 0))
        buffer = BytesIO()
        image.save(buffer, "PNG")
        new = NewImage(f"{place:064x}", "png", len(buffer.getvalue()), 400, 300, f"{place}.png")
        path = blob_path(studio.settings, new.sha256, "png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        with write(studio.engine) as session:
            ids.append(images.add(session, studio.project_id, new, None, "you")[0].id)
    return ids


def spec(path: Path) -> MaskSpec:
    return MaskSpec(name="Subjects", project="Ink", model=path.stem, model_path=str(path))


def row_of(studio: Studio, run: Run) -> Run:
    with read(studio.engine) as session:
        return runs.get(session, run.id)


def ends(studio: Studio, run: Run) -> Run:
    until(lambda: row_of(studio, run).status not in ("queued", "running"), "the end of the run", 60)
    return row_of(studio, run)


def test_masks_are_suggested_taken_and_undone(studio: Studio, tmp_path: Path) -> None:
    ids = add_images(studio, 3)
    blob_path(studio.settings, f"{1:064x}", "png").write_bytes(b"damaged")
    model = make_subject_finder(tmp_path / "tiny.onnx", side_px=None)
    run = start_masking(studio.settings, studio.engine, studio.project_id, spec(model), "all")
    studio.start("worker", "--data", str(studio.settings.data))
    assert ends(studio, run).status == "completed"
    warned = read_state(start.run_dir(studio.settings, run).events).warnings
    assert [warning.message.split(":")[0] for warning in warned] == ["1.png"]
    with read(studio.engine) as session:
        found = subjects.of_image(session, ids[0])
        assert subjects.of_image(session, ids[1]) is None
        assert subjects.seen_by(session, studio.project_id, "tiny") == {ids[0], ids[2]}
        assert [images.get(session, image_id).recipe.mask for image_id in ids] == [None, None, None]
    assert found is not None
    blob = blob_path(studio.settings, found.mask_sha256, "png")
    assert blob.is_file()
    # It was moved, not copied.
    assert not list((start.run_dir(studio.settings, run).path / "masks").iterdir())
    assert take(studio.engine, new_step(studio.project_id, "you"), "mask", BUCKETS).changed == 2
    assert take(studio.engine, new_step(studio.project_id, "you"), "crop", BUCKETS).changed == 2
    with read(studio.engine) as session:
        row = images.get(session, ids[0])
    mask = mask_pixels(blob_path(studio.settings, row.sha256, "png"), blob, row.recipe)
    assert mask is not None
    assert mask.size == (row.size.width, row.size.height)
    assert row.recipe.crop is not None
    assert row.size.width < 200
    assert mask.getpixel((mask.width // 2, mask.height // 2)) == 255
    assert mask.getpixel((0, 0)) == 0
    for _ in range(2):
        with write(studio.engine) as session:
            undo.undo(session, studio.project_id, "you")
    with read(studio.engine) as session:
        assert images.get(session, ids[0]).recipe.to_json() == "{}"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the process to kill in /proc")
def test_kill_9_goes_on_behind_the_last_line(studio: Studio, tmp_path: Path) -> None:
    ids = add_images(studio, 4)
    model = make_subject_finder(tmp_path / "tiny.onnx")
    run = start_masking(studio.settings, studio.engine, studio.project_id, spec(model), "all")
    folder = start.run_dir(studio.settings, run)
    # The last image is a pipe that nobody writes to yet: the run cannot end before it was killed.
    held = hold(studio, 3)
    studio.start("worker", "--data", str(studio.settings.data))
    until(lambda: len(read_book(folder)) == 3, "the images before the last", 60)
    before = book_path(folder).read_bytes()
    os.kill(child_of(folder.path), signal.SIGKILL)
    held.replace()
    assert ends(studio, run).status == "completed"
    assert book_path(folder).read_bytes().startswith(before)
    assert [line.name for line in read_book(folder)] == [f"{place}.png" for place in range(4)]
    assert read_state(folder.events).attempt == 2
    with read(studio.engine) as session:
        found = {each.image_id: each for each in subjects.of_project(session, studio.project_id)}
    assert sorted(found) == ids
    assert all(blob_path(studio.settings, each.mask_sha256, "png").is_file() for each in found.values())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="holds the run up by a pipe")
def test_a_stopped_run_keeps_what_was_found(studio: Studio, tmp_path: Path) -> None:
    ids = add_images(studio, 3)
    run = start_masking(
        studio.settings, studio.engine, studio.project_id, spec(make_subject_finder(tmp_path / "tiny.onnx")), "all"
    )
    held = hold(studio, 1)
    studio.start("worker", "--data", str(studio.settings.data))
    until(lambda: len(read_book(start.run_dir(studio.settings, run))) == 1, "the first image", 60)
    start.stop(studio.settings, studio.engine, run.id)
    # The run may see that it is to stop before it opens the next image.
    until(lambda: held.release() or row_of(studio, run).status == "stopped", "a reader, or the end", 60)
    assert ends(studio, run).status == "stopped"
    with read(studio.engine) as session:
        found = [each.image_id for each in subjects.of_project(session, studio.project_id)]
    assert found == ids[: len(found)]
    assert 1 <= len(found) <= 2


class Held:
    """An original that cannot be read to its end until it is released."""

    def __init__(self, path: Path) -> None:
        self._path, self._data = path, path.read_bytes()
        path.unlink()
        os.mkfifo(path)

    def replace(self) -> None:
        """Put the original back, for whoever opens it from now on."""
        self._path.unlink()
        self._path.write_bytes(self._data)

    def release(self) -> bool:
        """Let whoever reads it come to its end; whether somebody does."""
        try:
            pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.write(pipe, self._data)
        os.close(pipe)
        return True


def hold(studio: Studio, place: int) -> Held:
    return Held(blob_path(studio.settings, f"{place:064x}", "png"))


def child_of(folder: Path) -> int:
    """The process id of the run's child."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"child" in words and os.fsencode(folder) in words:
            return int(entry.name)
    raise AssertionError("no child")


def test_a_model_that_is_none_says_so(studio: Studio, tmp_path: Path) -> None:
    add_images(studio, 1)
    path = tmp_path / "none.onnx"
    path.write_bytes(b"no model")
    run = start_masking(studio.settings, studio.engine, studio.project_id, spec(path), "all")
    studio.start("worker", "--data", str(studio.settings.data))
    ended = ends(studio, run)
    assert (ended.status, "cannot be loaded" in ended.reason) == ("failed", True)
