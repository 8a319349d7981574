"""Projects: the list, the form, the overview, each with its way through errors."""

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.store import bases, history, projects, runs
from app.store.db import read, write
from tests.drawing import project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

FORM = {"name": "Ink cats", "purpose": "style", "trigger_word": "nkct", "base_id": ""}


async def test_an_empty_studio_teaches_and_offers_a_project(http: httpx.AsyncClient) -> None:
    page = Html((await http.get("/")).text)
    assert page.one("h1").text == "Projects"
    assert page.one("a", href="/projects/new").text == "New project"
    assert "teaches an image model one thing" in page.source


async def test_a_project_is_made_and_leads_to_its_images(http: httpx.AsyncClient, store: Engine) -> None:
    answer = await http.post("/projects", data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects/1/images")
    with read(store) as session:
        made = projects.get(session, 1)
    assert (made.name, made.purpose, made.trigger_word, made.base_id) == ("Ink cats", "style", "nkct", None)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": "  "}, "name", "Give it one"),
        ({"name": "x" * 101}, "name", "Use at most 100"),
        ({"name": "red FOX"}, "name", "Choose another name"),
        ({"purpose": ""}, "purpose", "Choose what the LoRA is to learn"),
        ({"purpose": "opinion"}, "purpose", "Choose what the LoRA is to learn"),
        ({"trigger_word": "a, b"}, "trigger_word", "comma"),
        ({"trigger_word": "w" * 41}, "trigger_word", "at most 40"),
        ({"base_id": "77"}, "base_id", "Choose one from the list"),
        ({"base_id": "mine"}, "base_id", "Choose one from the list"),
    ],
)
async def test_a_wrong_field_is_told_beside_it_and_nothing_typed_is_lost(
    http: httpx.AsyncClient, store: Engine, project_id: int, change: dict[str, str], field: str, words: str
) -> None:
    sent = FORM | change
    answer = await http.post("/projects", data=sent)
    assert answer.status_code == 422
    page = Html(answer.text)
    assert words in page.one("p", id=f"{field}-error").text
    assert page.one("input", id="name").attrs["value"] == sent["name"]
    assert page.one("input", id="trigger_word").attrs["value"] == sent["trigger_word"].strip()
    with read(store) as session:
        assert [card.id for card in projects.cards(session)] == [project_id]


async def test_the_trigger_field_suggests_and_doubts(http: httpx.AsyncClient) -> None:
    from_name = Html((await http.get("/projects/trigger", params={"name": "Red fox"})).text)
    assert from_name.one("button").text == "Use “rdfx”"
    ordinary = Html((await http.get("/projects/trigger", params={"name": "Red fox", "trigger_word": "cat"})).text)
    assert "ordinary word" in ordinary.one("p", class_="doubt").text
    assert ordinary.one("button").text == "Use “rdfx”"
    made_up = Html((await http.get("/projects/trigger", params={"name": "Red fox", "trigger_word": "pebblo"})).text)
    assert not made_up.all("button")
    assert not made_up.all("p", class_="doubt")


async def test_the_list_shows_pictures_counts_and_the_next_step(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int
) -> None:
    full_id = project_with_images(settings, store, count=5)
    page = Html((await http.get("/")).text)
    cards = {each.attrs["id"]: each.text for each in page.all("li", class_="project-card")}
    assert "No images yet" in cards[f"project-{project_id}"]
    assert "Next: Add images" in cards[f"project-{project_id}"]
    assert "5 images, 5 captioned" in cards[f"project-{full_id}"]
    assert "Next: Train" in cards[f"project-{full_id}"]
    assert len(page.all("img", alt="", loading="lazy")) == 4


@pytest.mark.parametrize(
    ("status", "step", "href"),
    [
        (None, "Train", "/projects/1/train"),
        ("queued", "Watch Balanced", "/runs/1"),
        ("running", "Watch Balanced", "/runs/1"),
        ("failed", "See why Balanced failed", "/runs/1"),
        ("completed", "Review Balanced", "/projects/1/review?run=1"),
        ("stopped", "Review Balanced", "/projects/1/review?run=1"),
    ],
)
async def test_the_overview_shows_one_next_step(
    http: httpx.AsyncClient, store: Engine, settings: Settings, status: str | None, step: str, href: str
) -> None:
    project_id = project_with_images(settings, store)
    if status:
        with write(store) as session:
            run = runs.create(session, project_id, "train", "Balanced", "0001-balanced")
            run.status = status
    page = Html((await http.get(f"/projects/{project_id}")).text)
    aside = page.one("aside", class_="next-step")
    assert step in aside.text
    assert [each for each in page.all("a", class_="primary") if each.attrs["href"] == href]


async def test_a_project_without_a_base_is_led_to_its_settings(
    http: httpx.AsyncClient, store: Engine, settings: Settings
) -> None:
    project_id = project_with_images(settings, store)
    with write(store) as session:
        projects.update(session, project_id, base_id=None)
    page = Html((await http.get(f"/projects/{project_id}")).text)
    assert "Choose a base model" in page.one("aside", class_="next-step").text
    assert page.one("section", id="settings")


async def test_settings_are_kept_from_a_plain_form_and_from_htmx(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}"
    with read(store) as session:
        base = bases.listed(session)[0]
    plain = await http.post(url, data={"name": "Red fox", "trigger_word": "rdfx", "base_id": str(base.id)})
    assert (plain.status_code, plain.headers["location"]) == (303, url)
    part = await http.post(url, data={"name": "Red fox", "trigger_word": "zorro", "base_id": ""}, headers=htmx)
    assert part.status_code == 200
    assert "Saved" in Html(part.text).one("form", id="settings-form").text
    renamed = await http.post(url, data={"name": "Blue fox", "trigger_word": "zorro", "base_id": ""}, headers=htmx)
    assert (renamed.status_code, renamed.headers["hx-redirect"]) == (204, url)
    with read(store) as session:
        kept = projects.get(session, project_id)
        entries = history.entries(session, project_id)
    assert (kept.name, kept.trigger_word, kept.base_id) == ("Blue fox", "zorro", None)
    assert [entry.verb for entry in entries] == ["update"] * 3


async def test_wrong_settings_come_back_with_their_message(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    with write(store) as session:
        projects.create(session, "Taken", "style", "", None)
    sent = {"name": "taken", "trigger_word": "a,b", "base_id": ""}
    part = await http.post(f"/projects/{project_id}", data=sent | {"trigger_word": "rdfx"}, headers=htmx)
    assert part.status_code == 422
    assert "called Taken already" in Html(part.text).one("p", id="name-error").text
    page = await http.post(f"/projects/{project_id}", data=sent | {"name": "Red fox"})
    assert page.status_code == 422
    assert "comma" in Html(page.text).one("p", id="trigger_word-error").text
    with read(store) as session:
        assert projects.get(session, project_id).trigger_word == "rdfx"


async def test_an_unknown_project_is_told_in_words(http: httpx.AsyncClient) -> None:
    answer = await http.get("/projects/99")
    assert answer.status_code == 404
    assert "There is no project 99" in answer.text


async def test_a_demo_is_one_press_away(http: httpx.AsyncClient) -> None:
    home = Html((await http.get("/")).text)
    assert "CC BY-SA 4.0" in home.one("form", id="demo-style").text
    made = await http.post("/projects/demo", data={"key": "style"})
    assert made.status_code == 303
    overview = Html((await http.get(made.headers["location"])).text)
    assert "CC BY-SA 4.0" in overview.one("main", id="content").text
    again = Html((await http.get("/")).text)
    assert not again.all("form", id="demo-style")
    assert again.one("form", id="demo-character")
    named = {"name": "My emoji", "purpose": "style", "trigger_word": "openmoji"}
    assert (await http.post(made.headers["location"], data=named)).status_code == 303
    overview = Html((await http.get(made.headers["location"])).text)
    assert "CC BY-SA 4.0" in overview.one("main", id="content").text
    assert not Html((await http.get("/")).text).all("form", id="demo-style")
    assert (await http.post("/projects/demo", data={"key": "nothing"})).status_code == 404
