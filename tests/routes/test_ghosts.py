"""Suggestions of one image, as the labeling screen asks for them."""

from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import Engine

from app.contract.suggestions import DOUBT
from app.store import history
from app.store.db import read
from tests.routes.suggested import suggest, tag, three_images, words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(http: httpx.AsyncClient, store: Engine, project_id: int) -> list[int]:
    """Three images with tags, a sentence and no words."""
    return await three_images(http, store, project_id)


async def test_ghosts_of_an_image(http: httpx.AsyncClient, store: Engine, ids: list[int]) -> None:
    suggest(store, ids[0], tag("grass", 0.6), tag("red"), tag("fox", 0.1, DOUBT), words("A fox."))
    listed = (await http.get(f"/images/{ids[0]}/suggestions.json")).json()
    assert [(each["text"], each["kind"], each["confidence"]) for each in listed] == [
        ("A fox.", "caption", 1.0),
        ("grass", "tag", 0.6),
    ]
    assert listed[1]["model"] == "wd"
    refused = await http.post(f"/suggestions/{listed[0]['id']}/accept")
    assert refused.status_code == 409
    assert "caption already" in refused.json()["error"]["message"]
    name = {"Cookie": f"studio-name={quote('Ana Ü')}"}
    settled = (await http.post(f"/images/{ids[0]}/suggestions/accept", data={"threshold": "0.5"}, headers=name)).json()
    assert (settled["caption"], settled["count"]) == ("fox, red, grass", 1)
    with read(store) as session:
        assert history.entries(session, 1, 1)[0].by == "wd added, accepted by Ana Ü"
    replaced = await http.post(f"/suggestions/{listed[0]['id']}/accept", data={"how": "line"})
    assert replaced.json()["caption"] == "fox, red, grass\nA fox."
    assert (await http.get("/images/999/suggestions.json")).status_code == 404
    assert (await http.post("/suggestions/999/accept")).json()["error"]["message"]


async def test_a_ghost_is_dismissed_here_or_for_good(http: httpx.AsyncClient, store: Engine, ids: list[int]) -> None:
    for image_id in ids[:2]:
        suggest(store, image_id, tag("moon"), tag("sun"))
    moon = next(
        each for each in (await http.get(f"/images/{ids[0]}/suggestions.json")).json() if each["text"] == "moon"
    )
    answer = await http.post(f"/suggestions/{moon['id']}/dismiss", data={"everywhere": "on"})
    assert answer.json()["count"] == 2
    assert [each["text"] for each in answer.json()["suggestions"]] == ["sun"]
    assert [each["text"] for each in (await http.get(f"/images/{ids[1]}/suggestions.json")).json()] == ["sun"]
