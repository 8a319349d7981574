"""A tag run end to end: queued by the studio, carried out by the real worker, killed in the middle, taken in."""

import os
import signal
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.collect.blobs import blob_path
from app.contract.rundir import RunDir
from app.contract.spec import TagSpec
from app.contract.state import read_state
from app.contract.suggestions import book_path, read_book
from app.launch import start
from app.launch.tag_start import start_tagging, try_on
from app.store import images, runs, suggestions
from app.store.db import read, write
from app.store.images import ImageRow, NewImage
from app.store.models import Run
from tests.process.conftest import Studio, until
from tests.worker.chat_server import Reply, chat_server, said
from tests.worker.tiny_taggers import make_wd

pytestmark = pytest.mark.timeout(120)


def add_images(studio: Studio, count: int) -> list[int]:
    """Put red pictures of different sizes into the project, with their originals."""
    ids = []
    for place in range(count):
        buffer = BytesIO()
        Image.new("RGB", (40 + place, 40), (255, 0, 0)).save(buffer, "PNG")
        new = NewImage(f"{place:064x}", "png", len(buffer.getvalue()), 40 + place, 40, f"{place}.png")
        path = blob_path(studio.settings, new.sha256, "png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        with write(studio.engine) as session:
            ids.append(images.add(session, studio.project_id, new, None, "you")[0].id)
    return ids


def row_of(studio: Studio, run: Run) -> Run:
    with read(studio.engine) as session:
        return runs.get(session, run.id)


def ends(studio: Studio, run: Run) -> Run:
    until(lambda: row_of(studio, run).status not in ("queued", "running"), "the end of the run", 60)
    return row_of(studio, run)


def open_texts(studio: Studio, image_id: int) -> list[str]:
    with read(studio.engine) as session:
        return [row.text for row in suggestions.of_image(session, image_id)]


def wd_spec(folder: Path) -> TagSpec:
    return TagSpec(name="Tags", project="Ink", tagger="wd", model="tiny", model_path=str(folder))


def chat_spec(address: str) -> TagSpec:
    return TagSpec(
        name="Words", project="Ink", tagger="endpoint", model="tiny-vl", address=address, prompt="Describe {name}."
    )


def test_a_tagger_fills_the_store_and_no_caption(studio: Studio, tmp_path: Path) -> None:
    ids = add_images(studio, 3)
    blob_path(studio.settings, f"{1:064x}", "png").write_bytes(b"damaged")
    run = start_tagging(studio.settings, studio.engine, studio.project_id, wd_spec(make_wd(tmp_path / "wd")), "all")
    studio.start("worker", "--data", str(studio.settings.data))
    assert ends(studio, run).status == "completed"
    assert open_texts(studio, ids[0]) == ["red", ">_<"]
    assert open_texts(studio, ids[1]) == []
    state = read_state(start.run_dir(studio.settings, run).events)
    assert [warning.message.split(":")[0] for warning in state.warnings] == ["1.png"]
    with read(studio.engine) as session:
        assert [images.get(session, image_id).caption for image_id in ids] == [None, None, None]
        assert suggestions.of_runs(session, studio.project_id) == {run.id: 4}


def test_a_failed_run_says_why(studio: Studio, tmp_path: Path) -> None:
    add_images(studio, 1)
    run = start_tagging(studio.settings, studio.engine, studio.project_id, wd_spec(tmp_path), "all")
    studio.start("worker", "--data", str(studio.settings.data))
    ended = ends(studio, run)
    assert (ended.status, "selected_tags.csv" in ended.reason) == ("failed", True)


class Gate:
    """Answers at once, except that the answer for one image waits until it is opened."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reached, self.opened = threading.Event(), threading.Event()

    def answer(self, question: dict[str, Any]) -> Reply:
        """Answer one question."""
        text: str = question["messages"][0]["content"][0]["text"]
        if self._name in text:
            self.reached.set()
            self.opened.wait(30)
        return said(text.replace("Describe", "This is"))


def child_of(run_dir: RunDir) -> int:
    """The process id of the run's child."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"child" in words and os.fsencode(run_dir.path) in words:
            return int(entry.name)
    raise AssertionError("no child")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds the process to kill in /proc")
def test_kill_9_goes_on_behind_the_last_line(studio: Studio) -> None:
    ids = add_images(studio, 5)
    gate = Gate("2.")
    with chat_server(gate.answer) as chat:
        run = start_tagging(studio.settings, studio.engine, studio.project_id, chat_spec(chat.address), "all")
        folder = start.run_dir(studio.settings, run)
        studio.start("worker", "--data", str(studio.settings.data))
        until(gate.reached.is_set, "the third image", 60)
        before = book_path(folder).read_bytes()
        assert before.count(b"\n") == 2
        os.kill(child_of(folder), signal.SIGKILL)
        gate.opened.set()
        assert ends(studio, run).status == "completed"
    assert book_path(folder).read_bytes().startswith(before)
    assert [line.name for line in read_book(folder)] == [f"{place}.png" for place in range(5)]
    assert len(chat.asked) == 6
    assert [open_texts(studio, image_id) for image_id in ids] == [[f"This is {place}."] for place in range(5)]
    assert read_state(folder.events).attempt == 2


def test_a_stopped_run_keeps_what_was_said(studio: Studio) -> None:
    ids = add_images(studio, 4)
    gate = Gate("1.")
    with chat_server(gate.answer) as chat:
        run = start_tagging(studio.settings, studio.engine, studio.project_id, chat_spec(chat.address), "all")
        studio.start("worker", "--data", str(studio.settings.data))
        until(gate.reached.is_set, "the second image", 60)
        start.stop(studio.settings, studio.engine, run.id)
        gate.opened.set()
        assert ends(studio, run).status == "stopped"
    assert [len(open_texts(studio, image_id)) for image_id in ids] == [1, 1, 0, 0]
    # What is left can be asked for alone.
    again = start_tagging(studio.settings, studio.engine, studio.project_id, chat_spec(chat.address), "unseen")
    assert [row.name for row in start.run_dir(studio.settings, again).read_dataset()] == ["2.png", "3.png"]


def test_trying_on_one_image_is_the_batch_itself(studio: Studio) -> None:
    add_images(studio, 1)
    with read(studio.engine) as session:
        row: ImageRow = images.training_rows(session, studio.project_id)[0]
    with chat_server(lambda question: said(question["messages"][0]["content"][0]["text"])) as chat:
        trial = try_on(studio.settings, row, chat_spec(chat.address))
    assert trial.looked is not None
    assert [answer.text for answer in trial.looked.answers] == ["Describe 0."]
    gone = try_on(studio.settings, row, chat_spec(chat.address))
    assert gone.looked is None
    assert "Nothing answers" in gone.error
    assert "Ollama" in gone.hint
