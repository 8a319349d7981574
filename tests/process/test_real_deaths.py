"""kill -9 of server, worker and child at three points each, on the real trainer: no stuck run, no lost caption."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import read_events
from app.contract.state import read_state
from app.launch.draft import draft
from app.launch.start import run_dir, start_training
from app.launch.subject import subject_of
from app.store import images, runs
from app.store.db import migrate, open_engine, read
from app.store.models import Run
from tests.drawing import bundled_base, project_with_images
from tests.studio import Studio, until

SETTINGS = {
    "optimization.steps": "12",
    "saving.every_steps": "3",
    "sampling.every_steps": "6",
    "sampling.inference_steps": "2",
    "prompts": "rdct",
}
FAR_S = 150.0


@pytest.fixture
def engine(settings: Settings) -> Engine:
    settings.make_folders()
    migrate(settings)
    return open_engine(settings.store_path)


def queued_run(settings: Settings, engine: Engine) -> Run:
    project_id = project_with_images(settings, engine, 3)
    base = bundled_base(engine)
    with read(engine) as session:
        made = draft(subject_of(session, project_id, base), "quick", SETTINGS)
    assert made.spec is not None, made.errors
    return start_training(settings, engine, project_id, made.spec)


def type_captions(address: str, image_ids: list[int], acked: dict[int, str], stop: threading.Event) -> None:
    """Save captions one after the other and remember those that were acknowledged, until the server is gone."""
    with httpx.Client(base_url=address, headers={"X-LoRA-Studio": "1"}) as client:
        for number in range(100_000):
            image_id, text = image_ids[number % len(image_ids)], f"caption {number}"
            try:
                answer = client.put(f"/api/images/{image_id}/caption", json={"text": text})
            except httpx.HTTPError:
                return
            assert answer.status_code == 200, answer.text
            acked[image_id] = text
            if stop.is_set():
                return


POINTS: dict[str, Callable[[list[str]], bool]] = {
    "claimed": lambda types: "claimed" in types,
    "loading": lambda types: "phase" in types,
    "training": lambda types: "progress" in types,
    "saved": lambda types: types.count("checkpoint") >= 2,
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("point", ["claimed", "training", "saved"])
def test_a_killed_server(settings: Settings, engine: Engine, point: str) -> None:
    run = queued_run(settings, engine)
    events = run_dir(settings, run).events
    with read(engine) as session:
        image_ids = [row.id for row in images.training_rows(session, run.project_id)]
    acked: dict[int, str] = {}
    stop = threading.Event()
    studio = Studio(settings.data)
    writer = threading.Thread(target=type_captions, args=(studio.address, image_ids, acked, stop))
    writer.start()
    until(lambda: has_come_to(events, point), point, FAR_S)
    until(lambda: bool(acked), "an acknowledged caption", FAR_S)
    studio.kill()
    stop.set()
    writer.join(30)
    assert acked

    again = Studio(settings.data)
    until(lambda: read_state(events).is_over, "the end of the run", FAR_S)
    again.end()
    check_completed(settings, engine, run)
    with read(engine) as session:
        kept = {row.id: row.caption for row in images.training_rows(session, run.project_id)}
    for image_id, text in acked.items():
        assert number_of(kept[image_id]) >= number_of(text)


PARTS = {"worker": ("-m worker --data",), "child": ("-m worker child",)}


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process to kill in /proc")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("point", ["claimed", "training", "saved"])
def test_a_killed_part_comes_back_by_itself(settings: Settings, engine: Engine, point: str, part: str) -> None:
    run = queued_run(settings, engine)
    events = run_dir(settings, run).events
    studio = Studio(settings.data)
    # The claim is told just before the child is there to be killed.
    reached = "loading" if (point, part) == ("claimed", "child") else point
    until(lambda: has_come_to(events, reached), reached, FAR_S)
    studio.kill_part(*PARTS[part])
    until(lambda: read_state(events).is_over, "the end of the run", FAR_S)
    studio.end()
    check_completed(settings, engine, run)
    assert read_state(events).attempt == 2


def has_come_to(events: Path, point: str) -> bool:
    """Whether the run has reported as far as this point."""
    return POINTS[point]([event.type for event in read_events(events)])


def check_completed(settings: Settings, engine: Engine, run: Run) -> None:
    """The run is over in every record, with its checkpoints and no event told twice."""
    folder = run_dir(settings, run)
    with read(engine) as session:
        assert runs.get(session, run.id).status == "completed"
    whole = read_events(folder.events)
    assert [event.seq for event in whole] == list(range(1, len(whole) + 1))
    # A worker that is asked to leave saves where it is, so there may be one more than the planned ones.
    assert {3, 6, 9, 12} <= {saved.step for saved in read_state(folder.events).checkpoints}
    assert folder.lora(12).is_file()


def number_of(caption: str | None) -> int:
    """The number that a caption of this test ends with."""
    return int((caption or "").rpartition(" ")[2])
