"""Each error as a page, a partial and JSON, with nothing of the inside in it."""

import errno
import logging
import os
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query
from starlette.requests import ClientDisconnect

from app import error_pages
from app.errors import AppError, Conflict, Invalid, NotFound, Unavailable

pytestmark = pytest.mark.anyio

ERRORS: list[tuple[type[AppError], int]] = [(NotFound, 404), (Invalid, 422), (Conflict, 409), (Unavailable, 503)]
SECRET = "a secret of the inside"


@pytest.fixture
def http() -> httpx.AsyncClient:
    """A client of an app with a route for each error, in pages and under /api."""
    app = FastAPI()
    error_pages.install(app)

    async def number(count: Annotated[int, Query(gt=0)]) -> int:
        return count

    async def mistake() -> None:
        raise RuntimeError(SECRET)

    for area in ("", "/api"):
        app.add_api_route(f"{area}/number", number)
        app.add_api_route(f"{area}/mistake", mistake)
        for kind, _ in ERRORS:
            app.add_api_route(f"{area}/{kind.__name__}", raising(kind))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def raising(kind: type[AppError]) -> object:
    """A route that raises one of our errors."""

    async def route() -> None:
        raise kind("The <thing> is gone.", "Look elsewhere.", "name")

    return route


@pytest.mark.parametrize(("kind", "status"), ERRORS)
async def test_each_error_in_each_form(http: httpx.AsyncClient, kind: type[AppError], status: int) -> None:
    page = await http.get(f"/{kind.__name__}")
    part = await http.get(f"/{kind.__name__}", headers={"HX-Request": "true"})
    data = await http.get(f"/api/{kind.__name__}")
    assert (page.status_code, part.status_code, data.status_code) == (status, status, status)
    for html in (page.text, part.text):
        assert "The &lt;thing&gt; is gone." in html
        assert "Look elsewhere." in html
        assert kind.title in html
    assert "<html" in page.text
    assert "<html" not in part.text
    assert data.json() == {"error": {"message": "The <thing> is gone.", "hint": "Look elsewhere.", "field": "name"}}


async def test_a_value_of_the_wrong_type_names_its_field(http: httpx.AsyncClient) -> None:
    for sent in ("?count=x", "?count=0", ""):
        data = await http.get(f"/api/number{sent}")
        assert data.status_code == 422
        assert data.json()["error"]["field"] == "count"
        assert data.json()["error"]["message"].startswith("count: ")
    assert (await http.get("/number?count=x")).headers["content-type"].startswith("text/html")


async def test_an_address_that_leads_nowhere(http: httpx.AsyncClient) -> None:
    page = await http.get("/no/<where>")
    assert page.status_code == 404
    assert "There is nothing at /no/&lt;where&gt;." in page.text
    assert (await http.get("/api/nowhere")).json()["error"]["message"] == "There is nothing at /api/nowhere."


async def test_a_wrong_method_says_which_are_right(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/number")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/mistake", "/api/mistake"])
async def test_a_mistake_of_ours_is_found_again_by_its_id(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await http.get(path)
    assert answer.status_code == 500
    assert SECRET not in answer.text
    mark = re.search(r"error ([0-9a-f]{8})", answer.text)
    assert mark
    assert [mark[1] in record.getMessage() for record in caplog.records] == [True]


async def ask(route: Callable[[], Awaitable[None]]) -> httpx.Response:
    """Ask an app with this one route of JSON."""
    app = FastAPI()
    error_pages.install(app)
    app.add_api_route("/api/it", route)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.get("/api/it")


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "may not be written")])
async def test_a_disk_that_refuses_is_told_without_its_path(number: int, words: str) -> None:
    async def save() -> None:
        raise OSError(number, os.strerror(number), "/secret/place")

    answer = await ask(save)
    assert answer.status_code == 503
    assert words in answer.json()["error"]["message"]
    assert answer.json()["error"]["hint"]
    assert "secret" not in answer.text


async def test_any_other_trouble_of_the_system_is_a_mistake_of_ours() -> None:
    async def look() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "/secret/place")

    answer = await ask(look)
    assert answer.status_code == 500
    assert "secret" not in answer.text


async def test_a_sender_who_leaves_is_no_mistake_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def take() -> None:
        raise ClientDisconnect

    answer = await ask(take)
    assert answer.status_code == 400
    assert not caplog.records
