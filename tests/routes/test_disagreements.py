"""Disagreements by tag and by image."""

import json
import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.contract.suggestions import DOUBT
from tests.routes.conftest import Html
from tests.routes.suggested import caption, suggest, tag, three_images

pytestmark = pytest.mark.anyio
Read = Callable[[httpx.Response], Html]


@pytest.fixture
async def ids(http: httpx.AsyncClient, store: Engine, project_id: int) -> list[int]:
    """Three images with tags, a sentence and no words."""
    return await three_images(http, store, project_id)


async def test_without_a_tag_the_page_leads_to_where_they_are_counted(
    http: httpx.AsyncClient, project_id: int, ids: list[int]
) -> None:
    answer = await http.get(f"/projects/{project_id}/disagreements")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/projects/{project_id}/suggestions")


async def test_disagreements_are_counted_and_settled_by_tag(
    http: httpx.AsyncClient, store: Engine, project_id: int, ids: list[int], read_html: Read
) -> None:
    url = f"/projects/{project_id}/disagreements"
    assert "No suggestions yet" in (await http.get(f"{url}/tags")).text
    suggest(store, ids[0], tag("grass"), tag("red", 0.2, DOUBT))
    suggest(store, ids[1], tag("grass"), tag("sky"))
    suggest(store, ids[2], tag("sky", 0.5))
    table = read_html(await http.get(f"{url}/tags"))
    rows = [cell.text for cell in table.all("th", scope="row")]
    # The sentence of the second image says grass already.
    assert rows == ["sky", "grass"]
    sent = [json.loads(button.attrs["hx-vals"]) for button in table.all("button") if "hx-vals" in button.attrs]
    assert sent[0] == {"tag": "sky", "view": "missing", "q": "", "page": 1, "choice": "accept"}
    answer = await http.post(f"{url}/tags", data={"tag": "sky", "choice": "accept", "view": "missing"})
    assert "suggestions-changed" in answer.headers["HX-Trigger"]
    assert caption(store, ids[2]) == "sky"
    assert caption(store, ids[1]) == "A fox sleeps in the long grass. sky"
    await http.post(f"{url}/tags", data={"tag": "grass", "choice": "dismiss"})
    after = await http.get(f"{url}/tags")
    assert "They agree" in after.text
    assert "Never suggested here" in after.text
    await http.post(f"{url}/allow", data={"tag": "grass"})
    assert [cell.text for cell in read_html(await http.get(f"{url}/tags")).all("th", scope="row")] == ["grass"]
    doubted = read_html(await http.get(f"{url}/tags", params={"view": "doubted"}))
    assert [cell.text for cell in doubted.all("th", scope="row")] == ["red"]
    await http.post(f"{url}/tags", data={"tag": "red", "choice": "accept", "view": "doubted"})
    assert caption(store, ids[0]) == "fox"


async def test_the_images_of_a_tag_are_settled_one_by_one(
    http: httpx.AsyncClient, store: Engine, project_id: int, ids: list[int], read_html: Read
) -> None:
    url = f"/projects/{project_id}/disagreements"
    suggest(store, ids[0], tag("sky", 0.9))
    suggest(store, ids[1], tag("sky", 0.4))
    shown = await http.get(url, params={"tag": "sky"})
    assert [int(found) for found in re.findall(r'id="doubt-(\d+)"', shown.text)] == [2, 1]
    (room,) = [link for link in Html(shown.text).all("a", class_="room") if "aria-current" in link.attrs]
    assert room.text == "Suggestions"
    form = {"suggestion": "2", "tag": "sky", "view": "missing"}
    buttons = [button for button in Html(shown.text).all("button") if "hx-vals" in button.attrs]
    assert json.loads(buttons[0].attrs["hx-vals"]) == {
        "suggestion": 2,
        "tag": "sky",
        "view": "missing",
        "choice": "accept",
    }
    left = await http.post(f"{url}/images", data={**form, "choice": "dismiss"})
    assert re.findall(r'id="doubt-(\d+)"', left.text) == ["1"]
    done = await http.post(f"{url}/images", data={**form, "suggestion": "1", "choice": "accept"})
    assert "Nothing left" in done.text
    assert caption(store, ids[0]) == "fox, red, sky"
    assert caption(store, ids[1]) == "A fox sleeps in the long grass."


async def test_many_tags_are_shown_page_by_page(
    http: httpx.AsyncClient, store: Engine, project_id: int, ids: list[int], read_html: Read
) -> None:
    suggest(store, ids[0], *(tag(f"word {place:03}") for place in range(203)))
    url = f"/projects/{project_id}/disagreements/tags"
    sizes = [len(read_html(await http.get(url, params={"page": at})).all("th", scope="row")) for at in (1, 2, 3, 9, 0)]
    assert sizes == [100, 100, 3, 3, 100]
    second = read_html(await http.get(url, params={"page": 2, "q": "word"}))
    assert [link.text for link in second.all("a", class_="button")] == ["Earlier", "Rarer"]
    assert "2 of 3, 203 tags" in (await http.get(url, params={"page": 2})).text
