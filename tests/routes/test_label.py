"""The labeling screen's page, its index of images and their rows."""

import httpx
import pytest
from sqlalchemy import Engine, update

from app.config import Settings
from app.contract.recipe import Crop, Recipe
from app.store import images
from app.store.db import write
from app.store.models import Image
from tests.drawing import project_with_images
from tests.routes.conftest import Html
from tests.routes.suggested import suggest, tag

pytestmark = pytest.mark.anyio


@pytest.fixture
def labeled_id(settings: Settings, store: Engine) -> int:
    """A project with four captioned images."""
    return project_with_images(settings, store, 4)


async def test_the_page_opens_at_the_first_image_without_words_or_the_one_asked_for(
    http: httpx.AsyncClient, store: Engine, labeled_id: int
) -> None:
    url = f"/projects/{labeled_id}/label"
    opened = Html((await http.get(url)).text).one("div", id="label")
    assert opened.attrs["data-image"] == "1"
    with write(store) as session:
        images.add(session, labeled_id, images.NewImage("f" * 64, "png", 1, 64, 64, "bare.png"), None, "you")
    assert Html((await http.get(url)).text).one("div", id="label").attrs["data-image"] == "5"
    assert Html((await http.get(f"{url}?image=3")).text).one("div", id="label").attrs["data-image"] == "3"


async def test_the_page_knows_filter_and_person(http: httpx.AsyncClient, labeled_id: int) -> None:
    http.cookies.set("studio-name", "Zo%C3%AB")
    page = Html((await http.get(f"/projects/{labeled_id}/label", params={"filter": 'a "b" <c>'})).text)
    assert page.one("input", id="filter").attrs["value"] == 'a "b" <c>'
    assert page.one("span", id="person").text == "Zoë"
    assert page.one("noscript").tag == "noscript"


async def test_an_empty_project_leads_to_its_images(http: httpx.AsyncClient, project_id: int) -> None:
    page = Html((await http.get(f"/projects/{project_id}/label")).text)
    assert page.all("a", href=f"/projects/{project_id}/images", class_="primary")
    assert not page.all("div", id="label")
    assert (await http.get("/projects/99/label")).status_code == 404


async def test_the_index_names_every_image_in_order(http: httpx.AsyncClient, labeled_id: int) -> None:
    answer = (await http.get(f"/projects/{labeled_id}/label/index.json")).json()
    assert answer == {
        "ids": [1, 2, 3, 4],
        "count": 4,
        "total": 4,
        "error": None,
        "rows": f"/projects/{labeled_id}/label/rows.json",
    }
    assert (await http.get("/projects/99/label/index.json")).status_code == 404


async def test_the_index_holds_what_the_filter_finds_or_where_it_cannot_be_read(
    http: httpx.AsyncClient, labeled_id: int
) -> None:
    url = f"/projects/{labeled_id}/label/index.json"
    found = (await http.get(url, params={"filter": '"number 2" or "number 3"'})).json()
    assert (found["ids"], found["count"], found["total"]) == ([3, 4], 2, 4)
    broken = (await http.get(url, params={"filter": "a cat (number"})).json()
    assert broken["ids"] == []
    assert broken["error"]["column"] == 6
    assert "not closed" in broken["error"]["message"]


async def test_rows_come_in_the_order_asked_without_what_is_gone(
    http: httpx.AsyncClient, settings: Settings, store: Engine, labeled_id: int
) -> None:
    other_id = (await http.post("/projects", data={"name": "Other", "purpose": "style"})).headers["location"]
    answer = (await http.get(f"/projects/{labeled_id}/label/rows.json?ids=3,99,1")).json()
    assert [(row["id"], row["name"], row["caption"]) for row in answer] == [
        (3, "cat-2.png", "a cat, number 2"),
        (1, "cat-0.png", "a cat, number 0"),
    ]
    assert answer[0]["crop"]["bucket"] == [64, 64]
    assert (answer[0]["split"], answer[0]["repeats"], answer[0]["reviewed_by"]) == ("train", 1, None)
    assert (await http.get(f"{'/'.join(other_id.split('/')[:3])}/label/rows.json?ids=1")).json() == []


async def test_a_row_shows_the_image_as_its_recipe_leaves_it(
    http: httpx.AsyncClient, store: Engine, labeled_id: int
) -> None:
    recipe = Recipe(quarter_turns=1, crop=Crop(left=0, top=0, width=40, height=80))
    with write(store) as session:
        session.execute(update(Image).where(Image.id == 2).values(recipe=recipe.to_json(), revision=7))
    (row,) = (await http.get(f"/projects/{labeled_id}/label/rows.json?ids=2")).json()
    assert (row["width"], row["height"], row["revision"]) == (40, 80, 7)
    assert "cropped" in row["badges"]
    assert "/media/images/2/picture.webp" in row["display"]


async def test_a_masked_image_tells_where_red_lies_over_it(
    http: httpx.AsyncClient, store: Engine, labeled_id: int
) -> None:
    with write(store) as session:
        session.execute(update(Image).where(Image.id == 2).values(recipe=Recipe(mask="a" * 64).to_json()))
        session.execute(update(Image).where(Image.id == 3).values(recipe=Recipe(mask="b" * 64).to_json()))
    rows = (await http.get(f"/projects/{labeled_id}/label/rows.json?ids=1,2,3")).json()
    assert [row["shade"] is None for row in rows] == [True, False, False]
    assert rows[1]["shade"].startswith("/media/images/2/shade.png?v=")
    assert rows[1]["shade"].split("=")[1] != rows[2]["shade"].split("=")[1]


async def test_one_tag_is_asked_about_in_doubt_first(http: httpx.AsyncClient, store: Engine, labeled_id: int) -> None:
    suggest(store, 1, tag("hat", 0.99), tag("sky", 0.4))
    suggest(store, 3, tag("Hat", 0.4))
    url = f"/projects/{labeled_id}/label/pass.json"
    asked = (await http.get(url, params={"tag": "hat"})).json()
    # The caption of the first lacks what a model is sure of.
    assert [(each["id"], each["confidence"]) for each in asked] == [(3, 0.4), (1, 0.99), (2, None), (4, None)]
    some = (await http.get(url, params={"tag": "hat", "filter": "near:3 OR name:cat-3*"})).json()
    assert [each["id"] for each in some][-1] == 4
    assert (await http.get(url, params={"tag": "hat", "filter": "is:nothing"})).json() == []


async def test_a_filter_is_completed(http: httpx.AsyncClient, labeled_id: int) -> None:
    url = f"/projects/{labeled_id}/label/offers.json"
    assert [each["term"] for each in (await http.get(url, params={"q": "is:un"})).json()] == [
        "is:untagged",
        "is:unreviewed",
    ]
    findings = [each["term"] for each in (await http.get(url, params={"q": "finding:"})).json()]
    assert "finding:p02" in findings
    found = (await http.get(f"/projects/{labeled_id}/label/index.json", params={"filter": "finding:P02"})).json()
    assert found["count"] == 4


@pytest.mark.parametrize("ids", [",".join(["1"] * 201), "1;2", "-1", "9" * 30])
async def test_rows_are_refused_beyond_two_hundred_numbers(http: httpx.AsyncClient, labeled_id: int, ids: str) -> None:
    answer = await http.get(f"/projects/{labeled_id}/label/rows.json", params={"ids": ids})
    assert answer.status_code == 422
