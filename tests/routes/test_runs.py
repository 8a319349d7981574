"""The pages of runs in every state; each region alone is the same as on its page."""

import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import Failed, PhaseChanged, Resumed, Warned
from app.launch import start
from tests.drawing import project_with_images
from tests.routes.conftest import Html
from tests.routes.stories import Story, finished_story, living_worker, sweep_story, train_story

pytestmark = pytest.mark.anyio

Reader = Callable[[httpx.Response], Html]
PARTS = ("progress", "chart", "samples", "checkpoints", "log")


@pytest.fixture
def ready_id(settings: Settings, store: Engine) -> int:
    """A project with four captioned pictures on the bundled base."""
    return project_with_images(settings, store)


@pytest.fixture
def queued(settings: Settings, store: Engine, ready_id: int) -> Story:
    """A training that waits."""
    return train_story(settings, store, ready_id)


@pytest.fixture
def finished(settings: Settings, store: Engine, ready_id: int) -> Story:
    """A training that ran to its end."""
    return finished_story(settings, store, ready_id)


async def show(http: httpx.AsyncClient, story: Story) -> Html:
    """The run's page, every region of which must be what it is when asked for alone."""
    answer = await http.get(f"/runs/{story.run.id}")
    assert answer.status_code == 200, answer.text
    for part in PARTS if story.run.kind == "train" else ("progress", "samples", "log"):
        alone = await http.get(f"/runs/{story.run.id}/{part}", headers={"HX-Request": "true"})
        assert alone.status_code == 200
        assert alone.text.strip() in answer.text, part
    return Html(answer.text)


def still(html: str) -> str:
    """The HTML without the durations that tick on between two requests."""
    return re.sub(r"\d+ m?s\b", "…", html)


def stream_of(page: Html) -> str | None:
    """The address of the page's stream, if it has one."""
    found = [each.attrs["hx-sse:connect"] for each in page.elements if "hx-sse:connect" in each.attrs]
    assert len(found) <= 1
    return found[0] if found else None


async def test_queued_says_its_place_and_whether_anything_works(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int, queued: Story
) -> None:
    second = train_story(settings, store, ready_id)
    page = await show(http, second)
    assert "Place 2 in the queue" in page.source
    assert "No worker is running" in page.source
    assert stream_of(page) == f"/runs/{second.run.id}/events?after=1"
    queued.claim()
    with living_worker(settings):
        page = await show(http, second)
        assert "Place 1 in the queue" in page.source
        assert "Red cats is running now. This one is next." in page.source


async def test_running_shows_figures_samples_and_stop(
    http: httpx.AsyncClient, settings: Settings, queued: Story
) -> None:
    queued.claim()
    with living_worker(settings):
        # The same place says from the first moment what there is to do, so that nothing moves when samples come.
        assert "first checkpoint comes at step 20" in (await show(http, queued)).one("aside", class_="next-step").text
    queued.draw(0)
    queued.train(1, 20)
    queued.save(20)
    with living_worker(settings):
        page = await show(http, queued)
    assert "Look at the samples so far" in page.one("aside", class_="next-step").text
    figures = page.one("dl", class_="stats").text
    for words in ("Step20 of 40", "Time left20 s", "Speed2.50 images/s", "Loss0.13", "Learning rate0.0001"):
        assert words in figures
    assert page.one("progress", id="run-bar").attrs["value"] == "20"
    assert "rdct, &lt;b&gt;outside&lt;/b&gt;" in page.source
    assert "<b>outside" not in page.source
    assert page.one("button", id="stop").attrs["hx-post"] == f"/runs/{queued.run.id}/stop"
    assert "saves a checkpoint first" in page.one("button", id="stop").attrs["hx-confirm"]
    for image in page.all("img", class_="sample"):
        assert (await http.get(image.attrs["src"])).headers["content-type"] == "image/png"


async def test_a_run_whose_worker_died_says_so(http: httpx.AsyncClient, queued: Story) -> None:
    queued.claim()
    assert "Nothing works on this run right now" in (await show(http, queued)).source


async def test_resumed_forgets_what_no_longer_holds(http: httpx.AsyncClient, settings: Settings, queued: Story) -> None:
    queued.claim()
    queued.draw(0)
    queued.train(1, 20)
    queued.save(20)
    queued.train(21, 30)
    queued.requeue("The worker was closed.")
    queued.claim()
    with living_worker(settings):
        assert "Resuming" in (await show(http, queued)).one("h1").text
    queued.log.append(Resumed(from_step=20))
    queued.log.append(PhaseChanged(phase="training"))
    page = await show(http, queued)
    assert "attempt 2" in page.source
    assert "Step20 of 40" in page.one("dl", class_="stats").text
    curve = (await http.get(f"/runs/{queued.run.id}/losses")).json()
    assert [step for step, _ in curve["points"]] == list(range(1, 21))
    assert curve["checkpoints"] == [20]


async def test_completed_leads_to_the_review(http: httpx.AsyncClient, finished: Story, ready_id: int) -> None:
    page = await show(http, finished)
    assert stream_of(page) is None
    assert not [each for each in page.elements if "hx-trigger" in each.attrs]
    assert page.all("a", href=f"/projects/{ready_id}/review?run={finished.run.id}")
    heads = [each.text for each in page.all("th", scope="col")]
    assert heads == ["Baselineno LoRA", "Step 40strength 1", "Step 20strength 1"]
    assert len(page.all("img", class_="sample")) == 6


async def test_failed_shows_reason_and_way_out(http: httpx.AsyncClient, queued: Story, ready_id: int) -> None:
    queued.claim()
    queued.log.append(Warned(message="One picture could not be read.", hint="Add it again."))
    queued.log.append(Failed(message="The GPU ran out of memory.", hint="Lower the batch to 1."))
    queued.folder.log.write_text("Traceback <most recent>\n")
    queued.end("failed", "The GPU ran out of memory.", "Lower the batch to 1.")
    page = await show(http, queued)
    alert = page.one("div", role="alert").text
    assert "The GPU ran out of memory. Lower the batch to 1." in alert
    assert "One picture could not be read." in page.source
    assert "open" in page.one("details", id="log-more").attrs
    assert "Traceback &lt;most recent&gt;" in page.source
    assert page.all("a", href=f"/projects/{ready_id}/train", class_="primary")


async def test_stop_asks_the_worker_and_shows_it(http: httpx.AsyncClient, settings: Settings, queued: Story) -> None:
    queued.claim()
    with living_worker(settings):
        answer = await http.post(f"/runs/{queued.run.id}/stop")
    assert answer.status_code == 200
    assert "Stopping" in answer.text
    assert queued.folder.stop.exists()
    assert not Html(answer.text).all("button", id="stop")
    queued.train(1, 10)
    queued.save(10)
    queued.end("stopped", "It was asked to stop, and saved before it left.")
    page = await show(http, queued)
    assert "asked to stop" in page.source
    assert "Saved at step 10." in page.source
    again = await http.post(f"/runs/{queued.run.id}/stop")
    assert again.status_code == 409
    assert "over already" in again.text


async def test_a_sweep_has_a_page_too(http: httpx.AsyncClient, finished: Story, ready_id: int) -> None:
    sweep = sweep_story(finished)
    sweep.claim()
    sweep.draw(40, 0.0)
    sweep.draw(40, 0.5)
    page = await show(http, sweep)
    assert "Images4 of 6" in page.one("dl", class_="stats").text
    sweep.draw(40, 1.0)
    sweep.end("completed")
    page = await show(http, sweep)
    assert [each.text for each in page.all("th", scope="col")] == ["× 0no LoRA", "× 0.5strength", "× 1strength"]
    href = f"/projects/{ready_id}/review?run={finished.run.id}&sweep={sweep.run.id}#strengths"
    assert page.all("a", href=href)


async def test_download_gives_the_file_under_a_telling_name(http: httpx.AsyncClient, queued: Story) -> None:
    queued.claim()
    data = queued.save(20)
    answer = await http.get(f"/runs/{queued.run.id}/checkpoints/20/lora.safetensors")
    assert answer.content == data
    assert answer.headers["content-disposition"] == 'attachment; filename="red-cats-step-000020.safetensors"'
    missing = await http.get(f"/runs/{queued.run.id}/checkpoints/21/lora.safetensors")
    assert missing.status_code == 404
    assert "no checkpoint at step 21" in missing.text


async def test_the_curve_goes_on_behind_a_step(http: httpx.AsyncClient, finished: Story) -> None:
    curve = (await http.get(f"/runs/{finished.run.id}/losses?after=35")).json()
    assert curve == {"points": [[step, 1 / (step + 1)] for step in range(36, 41)], "checkpoints": [20, 40]}
    assert (await http.get(f"/runs/{finished.run.id}/losses?after=-1")).status_code == 422


async def test_the_lists_show_every_state(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int, finished: Story
) -> None:
    running = train_story(settings, store, ready_id, {"name": "Second"})
    running.claim()
    running.train(1, 10)
    train_story(settings, store, ready_id, {"name": "Third <i>"})
    for address, part in (("/runs", "/runs/list?"), (f"/projects/{ready_id}/runs", f"/runs/list?project={ready_id}&")):
        answer = await http.get(address)
        alone = await http.get(part)
        assert still(alone.text.strip()) in still(answer.text)
        page = Html(answer.text)
        assert [each.text.split(" #")[0] for each in page.all("th", scope="row")] == ["Third <i>", "Second", "Red cats"]
        assert [each.text for each in page.all("span", class_="badge")] == ["Queued", "Running", "Completed"]
        assert page.one("progress", class_="thin").attrs["value"] == "10"
        assert "2 checkpoints" in answer.text
    assert finished.run.name == "Red cats"


async def test_the_list_goes_on_behind_its_end(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.routes.runs.PAGE_ROWS", 2)
    ids = [train_story(settings, store, ready_id).run.id for _ in range(3)]
    first = Html((await http.get("/runs")).text)
    assert [each.attrs["id"] for each in first.all("tr") if "id" in each.attrs] == [f"run-{ids[2]}", f"run-{ids[1]}"]
    assert first.all("a", href=f"?before={ids[1]}")
    rest = Html((await http.get(f"/runs?before={ids[1]}")).text)
    assert [each.attrs["id"] for each in rest.all("tr") if "id" in each.attrs] == [f"run-{ids[0]}"]


async def test_empty_lists_say_how_to_begin(http: httpx.AsyncClient, project_id: int) -> None:
    assert "Runs are started from a project" in (await http.get("/runs")).text
    assert f"/projects/{project_id}/train" in (await http.get(f"/projects/{project_id}/runs")).text


async def test_what_is_not_there_is_not_found(http: httpx.AsyncClient, queued: Story) -> None:
    for address in ("/runs/99", "/runs/99/progress", "/runs/99/losses", "/projects/99/runs", "/runs/99/events"):
        assert (await http.get(address)).status_code == 404, address
    queued.folder.spec.unlink()
    answer = await http.get(f"/runs/{queued.run.id}")
    assert answer.status_code == 404
    assert f"runs/{queued.folder.path.name}" in answer.text
    assert str(queued.folder.path) not in answer.text
    assert (await http.get("/runs")).status_code == 200


async def test_a_queued_run_can_be_taken_back(
    http: httpx.AsyncClient, settings: Settings, store: Engine, queued: Story
) -> None:
    page = await show(http, queued)
    assert "out of the queue" in page.one("button", id="stop").attrs["hx-confirm"]
    start.stop(settings, store, queued.run.id)
    assert "Asked to stop" in (await show(http, queued)).source
