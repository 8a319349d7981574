"""Frames of animations: offered where the animation is, chosen on a page of their own, imported as a job."""

from collections.abc import Callable

import anyio
import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import captions, images, imports
from app.store.db import read, write
from tests.collect.animations import noisy_film
from tests.drawing import picture
from tests.routes.conftest import Html
from tests.routes.test_crawl import check

pytestmark = pytest.mark.anyio

Reader = Callable[[httpx.Response], Html]
FORM = {"every": "1", "most": "100"}


@pytest.fixture
def film_id(settings: Settings, store: Engine, project_id: int) -> int:
    """An animation of five frames beside a still."""
    take_file(settings, store, project_id, "still.png", picture(1))
    outcome = take_file(settings, store, project_id, "walk.webp", noisy_film("WEBP", 5))
    assert outcome.image_id is not None
    return outcome.image_id


async def over(http: httpx.AsyncClient, read_html: Reader, address: str) -> Html:
    """The report of an import, once it is over."""
    with anyio.fail_after(60):
        while True:
            page = read_html(await http.get(address))
            if not page.all("button", id="cancel"):
                return page
            await anyio.sleep(0.05)


async def test_an_animation_says_how_many_frames_it_has_and_leads_to_them(
    http: httpx.AsyncClient, project_id: int, film_id: int, read_html: Reader
) -> None:
    way = f"/images/{film_id}/frames"
    grid = read_html(await http.get(f"/projects/{project_id}/images"))
    (badge,) = [each for each in grid.all("a", class_="badge")]
    assert (badge.text, badge.attrs["href"]) == ("5 frames", way)
    assert grid.one("li", id=f"image-{film_id}").attrs["data-frames"] == "5"
    polish = read_html(await http.get(f"/images/{film_id}/polish"))
    assert [each.text for each in polish.all("a", href=way)] == ["Extract frames…"]
    assert "the first of its 5 frames" in " ".join(each.text for each in polish.all("p"))
    still = read_html(await http.get(f"/images/{film_id - 1}/polish"))
    assert not [each for each in still.all("a") if each.attrs.get("href", "").endswith("/frames")]


async def test_a_dropped_animation_has_its_badge_at_once(
    http: httpx.AsyncClient, project_id: int, htmx: dict[str, str], read_html: Reader
) -> None:
    sent = await http.post(
        f"/projects/{project_id}/images", content=noisy_film("GIF", 4), headers={**htmx, "X-File-Name": "a.gif"}
    )
    assert [each.text for each in read_html(sent).all("a", class_="badge")] == ["4 frames"]


async def test_the_page_says_what_its_numbers_mean(
    http: httpx.AsyncClient, project_id: int, film_id: int, read_html: Reader
) -> None:
    for address in (f"/images/{film_id}/frames", f"/projects/{project_id}/frames"):
        page = read_html(await http.get(address))
        check(address, page)
        assert page.one("p", id="frames-outlook").text == "5 of 5 frames: 1, 2, 3, 4 … 5."
        assert "checked" in page.one("input", name="skips_alike").attrs
    outlook = f"/projects/{project_id}/frames/outlook"
    told = {
        "every=2&most=100": "3 of 5 frames: 1, 3, 5.",
        "every=1&most=2": "2 of 5 frames: 1, 2. The end is not reached; one of every 3 would reach it.",
        "every=0&most=2": "Give two numbers of 1 or more.",
        "every=x&most=": "Give two numbers of 1 or more.",
    }
    for query, words in told.items():
        part = read_html(await http.get(f"{outlook}?image={film_id}&{query}"))
        assert part.one("p", id="frames-outlook").text == words


async def test_frames_come_in_as_an_import_with_its_report(
    http: httpx.AsyncClient, store: Engine, project_id: int, film_id: int, read_html: Reader
) -> None:
    with write(store) as session:
        captions.save(session, film_id, "a walk", "you")
    page = read_html(await http.get(f"/images/{film_id}/frames"))
    assert "checked" not in page.one("input", name="takes_caption").attrs
    form = {**FORM, "image": str(film_id), "skips_alike": "1", "takes_caption": "1"}
    sent = await http.post(f"/projects/{project_id}/frames", data=form)
    assert sent.status_code == 303
    report = await over(http, read_html, sent.headers["location"])
    assert report.one("h1").text == "Import of frames of walk.webp"
    chips = [each.text for each in report.all("a", class_="chip")]
    assert chips == ["All 5", "Added 4", "Already here 1", "Nothing to note 4", "Nearly the same frame 1"]
    with read(store) as session:
        found = {row.name: row.caption for row in images.training_rows(session, project_id)}
    assert found == {
        "still.png": None,
        "walk.webp": "a walk",
        **{f"walk-frame-{number:03d}.png": "a walk" for number in range(2, 6)},
    }


async def test_without_a_choice_every_animation_is_meant(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, film_id: int, read_html: Reader
) -> None:
    take_file(settings, store, project_id, "run.png", noisy_film("PNG", 3, 900))
    page = read_html(await http.get(f"/projects/{project_id}/frames"))
    assert [each.text for each in page.all("li", class_="clip")] == ["walk.webp5 frames", "run.png3 frames"]
    assert page.one("p", id="frames-outlook").text == "8 of 8 frames of 2 animations."
    sent = await http.post(f"/projects/{project_id}/frames", data=FORM)
    await over(http, read_html, sent.headers["location"])
    with read(store) as session:
        assert len(images.training_rows(session, project_id)) == 3 + 8


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"every": "0"}, "every", "One of every 0 frames is not possible. Give 1 to 10,000."),
        ({"most": "many"}, "most", "many is no whole number. Give 1 or more."),
        ({"most": "²"}, "most", "² is no whole number. Give 1 or more."),
    ],
)
async def test_a_number_that_makes_no_sense_is_told_beside_its_field(
    change: dict[str, str],
    name: str,
    words: str,
    http: httpx.AsyncClient,
    project_id: int,
    film_id: int,
    read_html: Reader,
) -> None:
    sent = await http.post(f"/projects/{project_id}/frames", data={**FORM, "image": str(film_id), **change})
    page = read_html(sent)
    assert sent.status_code == 422
    assert page.one("p", id=f"{name}-error").text == words
    assert page.one("input", type="hidden", name="image").attrs["value"] == str(film_id)


async def test_stills_and_images_of_others_have_no_frames(
    http: httpx.AsyncClient, project_id: int, film_id: int, read_html: Reader
) -> None:
    still = await http.get(f"/images/{film_id - 1}/frames")
    assert (still.status_code, "No animation here" in still.text) == (200, True)
    sent = await http.post(f"/projects/{project_id}/frames", data={**FORM, "image": str(film_id - 1)})
    assert sent.status_code == 422
    assert (await http.get("/images/999/frames")).status_code == 404
    assert (await http.get("/projects/999/frames")).status_code == 404


async def test_one_import_at_a_time(http: httpx.AsyncClient, store: Engine, project_id: int, film_id: int) -> None:
    with write(store) as session:
        imports.create(session, project_id, "{}", "you")
    sent = await http.post(f"/projects/{project_id}/frames", data={**FORM, "image": str(film_id)})
    assert sent.status_code == 409
