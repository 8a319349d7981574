"""A run that failed or was stopped goes on: as it was, or with less memory."""

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import Failed, Warned
from app.contract.lean import Lean, read_lean
from app.contract.state import read_state
from app.launch.again import offer
from app.store import runs
from app.store.db import read
from tests.drawing import project_with_images
from tests.routes.conftest import Html
from tests.routes.stories import Story, finished_story, train_story

pytestmark = pytest.mark.anyio


@pytest.fixture
def queued(settings: Settings, store: Engine) -> Story:
    """A run that waits."""
    return train_story(settings, store, project_with_images(settings, store))


@pytest.fixture
def finished(settings: Settings, store: Engine) -> Story:
    """A run that ended well."""
    return finished_story(settings, store, project_with_images(settings, store))


@pytest.fixture
def failed(queued: Story) -> Story:
    """A run that ran out of memory behind its first checkpoint, after somebody had asked it to stop."""
    queued.claim()
    queued.train(1, 20)
    queued.save(20)
    (queued.folder.checkpoint(20) / "state").mkdir()
    queued.folder.stop.touch()
    queued.log.append(Failed(message="Memory ran out in step 31.", hint="Store the base as int8."))
    queued.end("failed", "Memory ran out in step 31.", "Store the base as int8.")
    return queued


async def test_a_failed_run_goes_on_as_it_was(http: httpx.AsyncClient, failed: Story) -> None:
    page = Html((await http.get(f"/runs/{failed.run.id}")).text)
    (button,) = [each for each in page.all("button") if "Go on from step 20" in each.text]
    assert "name" not in button.attrs
    answer = await http.post(f"/runs/{failed.run.id}/again")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{failed.run.id}")
    state = read_state(failed.folder.events)
    assert (state.status, state.is_over, state.step) == ("queued", False, 20)
    assert [saved.step for saved in state.checkpoints] == [20]
    assert not failed.folder.stop.exists()
    assert not failed.folder.lean.exists()
    with read(failed.store) as session:
        row = runs.get(session, failed.run.id)
        assert (row.status, row.worker, row.reason, row.ended_us) == ("queued", None, "", None)
    failed.claim()
    assert read_state(failed.folder.events).status == "running"
    assert (await http.post(f"/runs/{failed.run.id}/again")).status_code == 409


async def test_a_failed_run_goes_on_with_less_memory(http: httpx.AsyncClient, failed: Story) -> None:
    page = Html((await http.get(f"/runs/{failed.run.id}")).text)
    (button,) = [each for each in page.all("button") if "Go on with less memory: " in each.text]
    words = button.text.partition(": ")[2]
    before = failed.folder.spec.read_bytes()
    answer = await http.post(f"/runs/{failed.run.id}/again", data={button.attrs["name"]: button.attrs["value"]})
    assert answer.status_code == 303
    assert failed.folder.spec.read_bytes() == before
    assert read_lean(failed.folder) != Lean()
    (warning,) = [each for each in read_state(failed.folder.events).warnings if isinstance(each, Warned)]
    assert words in warning.message


async def test_what_is_not_over_or_is_complete_cannot_go_on(http: httpx.AsyncClient, finished: Story) -> None:
    state = read_state(finished.folder.events)
    assert offer(finished.folder, finished.spec, state, None) is None
    assert (await http.post(f"/runs/{finished.run.id}/again")).status_code == 409
    assert (await http.post("/runs/999/again")).status_code == 404
    assert "/again" not in (await http.get(f"/runs/{finished.run.id}")).text


async def test_a_stopped_run_without_checkpoint_starts_again(http: httpx.AsyncClient, queued: Story) -> None:
    queued.claim()
    queued.end("stopped", "It was asked to stop before it went on.")
    page = Html((await http.get(f"/runs/{queued.run.id}")).text)
    assert [each.text for each in page.all("button") if "this run again" in each.text] == ["Start this run again"]
    assert (await http.post(f"/runs/{queued.run.id}/again")).status_code == 303
    assert read_state(queued.folder.events).reason == ""


async def test_json_lets_a_run_go_on(http: httpx.AsyncClient, failed: Story) -> None:
    answer = await http.post(f"/api/runs/{failed.run.id}/again?lean=true")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert read_lean(failed.folder) != Lean()
    again = await http.post(f"/api/runs/{failed.run.id}/again")
    assert again.status_code == 409
    assert "cannot go on" in again.text
