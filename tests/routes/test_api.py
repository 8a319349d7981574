"""The JSON interface: the same nouns, the same errors, and its own documentation."""

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from tests.drawing import project_with_images
from tests.routes.conftest import Html
from tests.routes.stories import finished_story

pytestmark = pytest.mark.anyio


async def test_a_project_is_made_and_read(http: httpx.AsyncClient) -> None:
    made = await http.post("/api/projects", json={"name": "Cats", "purpose": "style", "trigger_word": "inkc"})
    assert made.status_code == 201
    read = await http.get(f"/api/projects/{made.json()['id']}")
    assert read.json() == made.json()
    assert read.json()["images"] == 0
    assert [each["name"] for each in (await http.get("/api/projects")).json()] == ["Cats"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"name": "", "purpose": "style"}, 422), ({"name": "A", "purpose": "portrait"}, 422), ({}, 422)],
)
async def test_bad_input_is_refused(http: httpx.AsyncClient, body: dict[str, str], status: int) -> None:
    answer = await http.post("/api/projects", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_errors_are_json_in_words(http: httpx.AsyncClient) -> None:
    for url in ("/api/projects/99", "/api/runs/99", "/api/nothing"):
        answer = await http.get(url)
        assert answer.status_code == 404
        assert set(answer.json()["error"]) == {"message", "hint", "field"}


async def test_captions_and_images(http: httpx.AsyncClient, settings: Settings, store: Engine) -> None:
    project_id = project_with_images(settings, store, 3)
    listed = (await http.get(f"/api/projects/{project_id}/images", params={"limit": 2})).json()
    assert len(listed) == 2
    rest = (await http.get(f"/api/projects/{project_id}/images", params={"after_id": listed[-1]["id"]})).json()
    assert len(rest) == 1
    answer = await http.put(f"/api/images/{rest[0]['id']}/caption", json={"text": "asleep"})
    assert (answer.json()["caption"], answer.json()["training_text"]) == ("asleep", "rdct, asleep")


async def test_a_run_is_queued_and_stopped(http: httpx.AsyncClient, settings: Settings, store: Engine) -> None:
    project_id = project_with_images(settings, store, 2)
    refused = await http.post(f"/api/projects/{project_id}/runs", json={"settings": {"optimization.steps": "none"}})
    assert refused.status_code == 422
    assert "optimization.steps" in refused.json()["error"]["message"]
    made = await http.post(f"/api/projects/{project_id}/runs", json={"preset": "quick"})
    assert (made.status_code, made.json()["status"]) == (201, "queued")
    stopped = await http.post(f"/api/runs/{made.json()['id']}/stop")
    assert stopped.status_code == 202


async def test_a_finished_run(http: httpx.AsyncClient, settings: Settings, store: Engine) -> None:
    project_id = project_with_images(settings, store, 2)
    story = finished_story(settings, store, project_id)
    facts = (await http.get(f"/api/runs/{story.run.id}")).json()
    assert (facts["status"], facts["step"], facts["samples"]) == ("completed", 40, 6)
    assert [saved["step"] for saved in facts["checkpoints"]] == [20, 40]
    assert (await http.get("/api/runs", params={"project_id": project_id})).json() == [facts]
    assert "path" not in (await http.get("/api/bases")).json()[0]


async def test_the_documentation_names_every_request(http: httpx.AsyncClient) -> None:
    page = Html((await http.get("/docs")).text)
    described = (await http.get("/api/openapi.json")).json()["paths"]
    for path in described:
        if path.startswith("/api/"):
            assert path in page.one("main", id="content").text
