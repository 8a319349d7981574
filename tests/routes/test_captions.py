"""The plain caption page: what it shows, what it saves, and what it never overwrites."""

import httpx
import pytest
from sqlalchemy import Engine

from app.routes.captions import Part, split_trigger
from app.store import captions, history, images, projects
from app.store.db import read, write
from app.store.images import ImageRow, NewImage
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


def add(store: Engine, project_id: int, name: str, caption: str | None = None, *, width_px: int = 1024) -> int:
    """Put a row without a file into a project."""
    with write(store) as session:
        sha256 = f"{sum(name.encode()):064x}"
        new = NewImage(sha256, "png", 1000, width_px, 1024, name)
        return images.add(session, project_id, new, caption, "you")[0].id


def row(store: Engine, image_id: int) -> ImageRow:
    """An image as the store has it."""
    with read(store) as session:
        return images.get(session, image_id)


@pytest.fixture
def image_id(store: Engine, project_id: int) -> int:
    """An image whose caption came from a Windows file."""
    return add(store, project_id, "fox-a.png", "a fox,\r\non grass")


async def test_the_editor_shows_words_place_and_neighbours(
    http: httpx.AsyncClient, store: Engine, project_id: int
) -> None:
    names = ["fox-a.png", "fox-b.png", "fox-c.png"]
    first, second, third = (add(store, project_id, name, "a fox" if name != "fox-c.png" else None) for name in names)
    page = Html((await http.get(f"/images/{second}/caption")).text)
    assert page.one("h1").text == "fox-b.png"
    assert page.one("textarea", id="text").text == "a fox"
    assert page.one("p", class_="training-text").text == "rdfx, a fox"
    assert page.one("mark").text == "rdfx"
    assert page.one("a", id="previous").attrs["href"] == f"/images/{first}/caption"
    assert page.one("a", id="next").attrs["href"] == f"/images/{third}/caption"
    assert page.one("a", **{"data-key": "u"}).attrs["href"] == f"/images/{third}/caption"
    assert "2 / 3" in page.one("div", class_="steps-end").text
    assert [each.attrs["href"] for each in page.all("a", class_="film-item")] == [
        f"/images/{number}/caption" for number in (first, second, third)
    ]
    last = Html((await http.get(f"/images/{third}/caption")).text)
    assert not last.all("a", id="next")
    assert "No caption" in last.one("section", id="training-text").text


async def test_a_save_keeps_the_words_and_writes_history(
    http: httpx.AsyncClient, store: Engine, project_id: int, image_id: int, htmx: dict[str, str]
) -> None:
    sent = {"text": "a fox, RDFX, im Schnee ❄", "known": "a fox,\non grass"}
    answer = await http.post(f"/images/{image_id}/caption", data=sent, headers=htmx)
    assert answer.status_code == 200
    part = Html(answer.text)
    assert part.one("p", class_="training-text").text == "a fox, RDFX, im Schnee ❄"
    assert part.one("mark").text == "RDFX"
    assert part.one("section", id="training-text").attrs["data-known"] == sent["text"]
    assert row(store, image_id).caption == sent["text"]
    with read(store) as session:
        newest = history.entries(session, project_id)[0]
    assert (newest.noun, newest.noun_id, newest.verb, newest.by) == ("caption", image_id, "save", "you")
    assert newest.before == '"a fox,\\r\\non grass"'


@pytest.mark.parametrize("text", ["a fox,\r\non grass", "a fox,\non grass"])
async def test_an_untouched_caption_stays_byte_for_byte(
    http: httpx.AsyncClient, store: Engine, project_id: int, image_id: int, text: str
) -> None:
    with read(store) as session:
        before = history.newest(session, project_id)
    answer = await http.post(f"/images/{image_id}/caption", data={"text": text, "known": text})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/images/{image_id}/caption")
    assert row(store, image_id).caption == "a fox,\r\non grass"
    with read(store) as session:
        assert history.newest(session, project_id) == before


async def test_words_changed_elsewhere_are_not_overwritten_unseen(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str]
) -> None:
    with write(store) as session:
        captions.save(session, image_id, "their words", "api")
    sent = {"text": "my words", "known": "a fox,\non grass"}
    for headers in (htmx, {}):
        answer = await http.post(f"/images/{image_id}/caption", data=sent, headers=headers)
        page = Html(answer.text)
        assert answer.status_code == 409
        assert "changed elsewhere" in page.one("div", **{"data-error": ""}).text
        assert "their words" in page.one("q").text
        assert page.one("section", id="training-text").attrs["data-known"] == "their words"
        assert row(store, image_id).caption == "their words"
    # The plain page keeps what was typed, and sends the other text as known the next time.
    assert page.one("textarea", id="text").text == "my words"
    assert page.one("input", name="known").attrs["value"] == "their words"
    again = await http.post(f"/images/{image_id}/caption", data=sent | {"known": "their words"}, headers=htmx)
    assert again.status_code == 200
    assert row(store, image_id).caption == "my words"


async def test_saves_that_overtake_each_other_end_with_the_last_words(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    earlier = {"text": "a f", "known": ["a"]}
    later = {"text": "a fox", "known": ["a", "a f"]}
    for name, order in (("in-order.png", (earlier, later)), ("overtaken.png", (later, earlier))):
        image_id = add(store, project_id, name, "a")
        for sent in order:
            await http.post(f"/images/{image_id}/caption", data=sent, headers=htmx)
        assert row(store, image_id).caption == "a fox", name


async def test_a_far_too_long_text_is_told_and_kept_on_the_page(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str]
) -> None:
    sent = {"text": "ä" * 50_001}
    for headers in (htmx, {}):
        answer = await http.post(f"/images/{image_id}/caption", data=sent, headers=headers)
        assert answer.status_code == 422
        assert "100,002 bytes long" in answer.text
    assert Html(answer.text).one("textarea", id="text").text == sent["text"]
    assert row(store, image_id).caption == "a fox,\r\non grass"


async def test_a_removed_image_takes_no_words(http: httpx.AsyncClient, image_id: int, htmx: dict[str, str]) -> None:
    await http.post(f"/images/{image_id}/remove")
    answer = await http.post(f"/images/{image_id}/caption", data={"text": "x"}, headers=htmx)
    assert answer.status_code == 404
    assert "it may have been removed" in answer.text


async def test_what_people_write_never_becomes_markup(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    payload = "<img src=x onerror=alert(1)></textarea><script>alert(2)</script>\"'"
    image_id = add(store, project_id, f"{payload}.png")
    part = await http.post(f"/images/{image_id}/caption", data={"text": payload}, headers=htmx)
    whole = await http.get(f"/images/{image_id}/caption")
    for answer in (part, whole):
        page = Html(answer.text)
        assert payload in page.one("p", class_="training-text").text
        assert not page.all("img", onerror="alert(1)")
        assert not [each for each in page.all("script") if not each.attrs.get("src")]
    assert page.one("textarea", id="text").text == payload


async def test_going_back_never_brings_old_words(http: httpx.AsyncClient, project_id: int, image_id: int) -> None:
    for url in (f"/images/{image_id}/caption", f"/projects/{project_id}/images"):
        assert (await http.get(url)).headers["cache-control"] == "no-store"


async def test_captions_lead_to_the_labeling_screen(http: httpx.AsyncClient, store: Engine, project_id: int) -> None:
    url = f"/projects/{project_id}/captions"
    assert (await http.get(url)).headers["location"] == f"/projects/{project_id}/images"
    image_id = add(store, project_id, "fox-a.png", "a fox")
    assert (await http.get(url)).headers["location"] == f"/projects/{project_id}/label"
    leads = (await http.get(f"/images/{image_id}")).headers["location"]
    assert leads == f"/projects/{project_id}/label?image={image_id}"
    assert (await http.get("/images/99")).status_code == 404


async def test_a_save_is_signed_with_the_name_of_the_browser(
    http: httpx.AsyncClient, store: Engine, project_id: int, image_id: int
) -> None:
    http.cookies.set("studio-name", "Ann%20B.")
    await http.post(f"/images/{image_id}/caption", data={"text": "a fox"})
    with read(store) as session:
        assert history.entries(session, project_id)[0].by == "Ann B."


async def test_once_all_captions_are_there_training_comes_next(
    http: httpx.AsyncClient, store: Engine, project_id: int
) -> None:
    first = add(store, project_id, "a.png", "a fox")
    path = f"/projects/{project_id}/train"
    assert "Set up training" in [
        each.text for each in Html((await http.get(f"/images/{first}/caption")).text).all("a", href=path)
    ]
    add(store, project_id, "b.png")
    page = Html((await http.get(f"/images/{first}/caption")).text)
    assert "Set up training" not in page.source
    assert "Next without a caption" in page.source


async def test_a_heavy_crop_and_a_small_picture_are_said(
    http: httpx.AsyncClient, store: Engine, project_id: int
) -> None:
    wide = add(store, project_id, "wide.png", "x", width_px=8192)
    page = (await http.get(f"/images/{wide}/caption")).text
    assert "Trains at <strong>1024 × 256</strong>" in page
    assert "50 % is cut away, left and right" in page
    with write(store) as session:
        new = NewImage("e" * 64, "png", 1, 100, 100, "small.png")
        small = images.add(session, project_id, new, "x", "you")[0].id
        projects.update(session, project_id, trigger_word="")
    page = (await http.get(f"/images/{small}/caption")).text
    assert "Nothing is cut away" in page
    assert "has to be enlarged" in page


def test_the_trigger_word_is_set_apart_wherever_it_stands_as_a_word() -> None:
    parts = split_trigger("RDFX, a (rdfx) in rdfxes", "rdfx")
    assert parts == (Part("RDFX", True), Part(", a (", False), Part("rdfx", True), Part(") in rdfxes", False))
    assert split_trigger("a fox", "") == (Part("a fox", False),)
    assert split_trigger("", "") == ()
