"""The studio put together: store opened, static files cached, errors in our form."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.config import Settings
from app.launch.bases import BUNDLED_NAME
from app.main import create_app
from app.render import static_version
from app.store import bases
from app.store.db import read

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The whole studio, started on an empty data folder."""
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def http(app: FastAPI, settings: Settings) -> httpx.AsyncClient:
    """A client of the studio under its own address."""
    base = f"http://localhost:{settings.port}"
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base)


async def test_it_answers_and_has_made_its_store(http: httpx.AsyncClient, settings: Settings) -> None:
    assert (await http.get("/healthz")).json() == {"ok": True}
    assert settings.store_path.is_file()


async def test_static_files_are_kept_for_good_under_their_version(http: httpx.AsyncClient) -> None:
    kept = await http.get(f"/static/app.css?v={static_version()}")
    assert kept.status_code == 200
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    asked_again = await http.get("/static/app.css")
    assert asked_again.headers["cache-control"] == "no-cache"
    same = await http.get("/static/app.css", headers={"If-None-Match": asked_again.headers["etag"]})
    assert same.status_code == 304
    missing = await http.get("/static/none.css?v=1")
    assert missing.status_code == 404
    assert "immutable" not in missing.headers.get("cache-control", "")


async def test_the_schema_is_served_without_a_page_from_elsewhere(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/api/openapi.json")).json()
    assert schema["info"]["title"] == "LoRA Studio"
    assert "/login" not in schema["paths"]
    assert (await http.get("/redoc")).status_code == 404


async def test_the_bundled_base_model_is_listed_from_the_first_start(app: FastAPI) -> None:
    with read(app.state.engine) as session:
        assert [base.name for base in bases.listed(session)] == [BUNDLED_NAME]
    assert app.state.imports.progress(1) is None


async def test_stopping_is_set_when_the_studio_ends(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        assert not app.state.stopping.is_set()
    assert app.state.stopping.is_set()
