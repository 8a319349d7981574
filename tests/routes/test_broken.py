"""Things that happen to the files behind the pages: every answer says what is wrong, and none is a mistake of ours."""

import shutil
from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.config import Settings
from app.contract.events import SampleDrawn
from tests.drawing import project_with_images
from tests.routes.stories import Story, finished_story, sweep_story, train_story

pytestmark = pytest.mark.anyio

BIG = 10**20


@pytest.fixture
def finished(settings: Settings, store: Engine) -> Story:
    """A run that ended well, with a sweep of it in the queue."""
    return finished_story(settings, store, project_with_images(settings, store))


def drawn(path: str, step: int = 30) -> SampleDrawn:
    """An event that names a file."""
    return SampleDrawn(step=step, prompt_index=0, prompt="a cat", seed=42, path=path)


def addresses(story: Story) -> Iterator[str]:
    """Every page, partial and answer that reads a run."""
    run, project = story.run.id, story.run.project_id
    for part in ("", "/progress", "/chart", "/samples", "/checkpoints", "/log", "/losses", "/grid", "/strengths"):
        yield f"/runs/{run}{part}"
    yield f"/runs/{run}/cell?step=20&prompt_index=0&seed=42&strength_pct=100"
    yield f"/runs/{run}/checkpoints/20/lora.safetensors"
    yield f"/runs/{run}/{next(iter(story.folder.samples.rglob('*.png')), 'samples/none')}".replace(
        f"{story.folder.path}/", ""
    )
    yield from (f"/projects/{project}{part}" for part in ("", "/runs", "/review", "/train", "/images"))
    yield f"/projects/{project}/review?run={run}"
    yield from ("/", "/runs", "/runs/list", "/api/runs", f"/api/runs/{run}", f"/api/projects/{project}", "/bases")


def remove_folder(story: Story) -> None:
    """Delete the run's folder."""
    shutil.rmtree(story.folder.path)


def rename_folder(story: Story) -> None:
    """Rename the run's folder."""
    story.folder.path.rename(story.folder.path.with_name(f"mine {story.run.id}"))


def put_a_file_there(story: Story) -> None:
    """Put a file where the folder was."""
    shutil.rmtree(story.folder.path)
    story.folder.path.write_text("a file")


def take_spec(story: Story) -> None:
    """Delete spec.json."""
    story.folder.spec.unlink()


def age_spec(story: Story) -> None:
    """Let a newer studio write spec.json."""
    story.folder.spec.write_text(story.folder.spec.read_text().replace('"version": 1', '"version": 9'))


def spoil_spec(story: Story) -> None:
    """Write bytes over spec.json that are no text."""
    story.folder.spec.write_bytes(b"\xff\xfe{")


def spoil_events(story: Story) -> None:
    """Damage a line in the middle of the events."""
    lines = story.folder.events.read_bytes().split(b"\n")
    lines[min(3, len(lines) - 2)] = b"\xff\x00{damaged"
    story.folder.events.write_bytes(b"\n".join(lines))


def take_events(story: Story) -> None:
    """Delete the events."""
    story.folder.events.unlink()


def take_pictures(story: Story) -> None:
    """Delete samples, checkpoints and the frozen dataset."""
    for folder in (story.folder.samples, story.folder.checkpoints):
        shutil.rmtree(folder, ignore_errors=True)
    story.folder.dataset.unlink()


ACCIDENTS = (
    remove_folder,
    rename_folder,
    put_a_file_there,
    take_spec,
    age_spec,
    spoil_spec,
    spoil_events,
    take_events,
    take_pictures,
)


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda each: each.__name__)
async def test_no_page_breaks(
    http: httpx.AsyncClient, settings: Settings, finished: Story, accident: Callable[[Story], None]
) -> None:
    queued = train_story(settings, finished.store, finished.run.project_id)
    swept = sweep_story(finished)
    for story in (finished, queued, swept):
        where = list(addresses(story))
        accident(story)
        for address in where:
            answer = await http.get(address)
            assert answer.status_code in (200, 404, 503), (accident.__name__, address, answer.text[-800:])
            if not address.startswith(("/api/runs", "/bases")):
                assert str(settings.data) not in answer.text, address
    for address in (f"/runs/{queued.run.id}/stop", f"/api/runs/{queued.run.id}/stop"):
        assert (await http.post(address)).status_code in (200, 202, 404, 503), address
    sweep = await http.post(f"/runs/{finished.run.id}/sweep", data={"step": "20", "strengths": "1"})
    assert sweep.status_code in (303, 404, 503)


async def test_a_run_of_the_other_kind_has_no_such_part(http: httpx.AsyncClient, finished: Story) -> None:
    swept = sweep_story(finished)
    for address in (f"/runs/{finished.run.id}/strengths", f"/runs/{swept.run.id}/grid"):
        assert (await http.get(address)).status_code == 404, address
    for address in (f"/runs/{finished.run.id}/grid", f"/runs/{swept.run.id}/strengths"):
        assert (await http.get(address)).status_code == 200, address


async def test_a_damaged_event_is_told_of_and_the_rest_stands(http: httpx.AsyncClient, finished: Story) -> None:
    spoil_events(finished)
    answer = await http.get(f"/runs/{finished.run.id}")
    assert answer.status_code == 200
    assert "Line 4 of events.jsonl is damaged" in answer.text
    assert (await http.get(f"/api/runs/{finished.run.id}")).json()["outcome"] == "completed"


async def test_settings_of_a_newer_studio_are_told_of(http: httpx.AsyncClient, finished: Story) -> None:
    age_spec(finished)
    answer = await http.get(f"/runs/{finished.run.id}")
    assert answer.status_code == 503
    assert "a newer LoRA Studio wrote them" in answer.text


async def test_events_cannot_name_a_file_outside_the_run(http: httpx.AsyncClient, finished: Story) -> None:
    secret = finished.settings.data / "secret.png"
    secret.write_bytes(b"secret")
    finished.log.append(drawn("samples/../../../secret.png"))
    (finished.folder.samples / "link.png").symlink_to(secret)
    finished.log.append(drawn("samples/link.png", step=41))
    for name in ("..%2f..%2f..%2fsecret.png", "%2e%2e/%2e%2e/%2e%2e/secret.png", "link.png"):
        answer = await http.get(f"/runs/{finished.run.id}/samples/{name}")
        assert answer.status_code == 404, name


async def test_numbers_that_no_store_can_hold_are_not_found(http: httpx.AsyncClient, project_id: int) -> None:
    for address in (
        f"/projects/{BIG}",
        f"/images/{BIG}",
        f"/runs/{BIG}",
        f"/runs/{BIG}/events",
        f"/api/runs/{BIG}",
        f"/api/projects/{BIG}/images",
        f"/projects/{project_id}/images?after={BIG}",
        f"/runs?before={BIG}",
        f"/runs/list?project={BIG}",
    ):
        assert (await http.get(address)).status_code in (200, 404), address
    for form in ({"base_id": str(BIG)}, {"base_id": "9" * 5000}):
        for address in ("/projects", f"/projects/{project_id}"):
            sent = {"name": "Another", "purpose": "style", **form}
            assert (await http.post(address, data=sent)).status_code in (404, 422)
    api = await http.post("/api/projects", json={"name": "Another", "purpose": "style", "base_id": BIG})
    assert api.status_code == 404


async def test_more_digits_than_a_number_has_are_refused(
    http: httpx.AsyncClient, settings: Settings, store: Engine
) -> None:
    project = project_with_images(settings, store)
    image = (await http.get(f"/api/projects/{project}/images")).json()[0]["id"]
    answer = await http.post(f"/images/{image}/repeats", data={"repeats": "9" * 5000})
    assert answer.status_code == 422
    assert len(answer.text) < 20_000


async def test_the_home_of_nobody_is_refused(http: httpx.AsyncClient, project_id: int) -> None:
    folder = await http.post(f"/projects/{project_id}/images/folder", data={"path": "~no.such.person/x"})
    models = await http.post("/bases", data={"folder": "~no.such.person/x"})
    for answer in (folder, models):
        assert answer.status_code == 422
        assert "names the home of nobody" in answer.text


async def test_many_selected_pictures_can_be_removed_at_once(http: httpx.AsyncClient, project_id: int) -> None:
    ids = [str(number) for number in range(1, 3000)]
    answer = await http.post(f"/projects/{project_id}/images/remove", data={"image": ids})
    assert answer.status_code == 303


async def test_a_form_that_is_far_too_large_is_not_held_in_memory(http: httpx.AsyncClient, project_id: int) -> None:
    answer = await http.post("/projects", data={"name": "x" * 5_000_000})
    assert answer.status_code == 413


@pytest.mark.parametrize("is_partial", [True, False])
async def test_a_full_disk_loses_no_words_of_a_caption(
    http: httpx.AsyncClient, store: Engine, settings: Settings, htmx: dict[str, str], is_partial: bool
) -> None:
    project = project_with_images(settings, store)
    image = (await http.get(f"/api/projects/{project}/images")).json()[0]
    event.listen(store, "connect", fill_up)
    store.dispose()
    words = "a cat that must not be lost " * 2000
    sent = {"text": words, "known": image["caption"]}
    answer = await http.post(f"/images/{image['id']}/caption", data=sent, headers=htmx if is_partial else {})
    assert answer.status_code == 503
    assert "The disk is full, so nothing was saved." in answer.text
    assert words.strip() in answer.text
    again = (await http.get(f"/api/projects/{project}/images")).json()[0]
    assert again["caption"] == image["caption"]


def fill_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Leave the store no room to grow."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA max_page_count = 1")
    cursor.close()


async def test_a_stream_of_a_run_whose_folder_is_gone_is_not_offered(http: httpx.AsyncClient, finished: Story) -> None:
    remove_folder(finished)
    assert (await http.get(f"/runs/{finished.run.id}/events")).status_code == 404
