"""Provenance: shown, filtered, set for one and for many."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.store import images, provenance
from app.store.db import read
from app.store.provenance import Provenance
from tests.drawing import project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def filled(settings: Settings, store: Engine) -> tuple[int, list[int]]:
    """A project with three images."""
    project_id = project_with_images(settings, store, 3)
    with read(store) as session:
        return project_id, [row.id for row in images.training_rows(session, project_id)]


async def test_many_at_once(
    http: httpx.AsyncClient, store: Engine, filled: tuple[int, list[int]], read_html: ReadHtml
) -> None:
    project_id, ids = filled
    url = f"/projects/{project_id}/provenance"
    fields = {"set": ["licence", "no_ai"], "licence": "<b>CC0", "no_ai": "1", "source": "not ticked", "image": ids[:2]}
    done = await http.post(url, data=fields)
    assert done.status_code == 303
    with read(store) as session:
        found = provenance.of_project(session, project_id)
    assert found[ids[0]] == Provenance(licence="<b>CC0", no_ai=True)
    assert found[ids[2]] == Provenance()
    page = read_html(await http.get(url))
    assert "<b>CC0" not in page.source
    assert len(page.all("input", name="image")) == 3
    assert len(read_html(await http.get(f"{url}?show=licence&value=%3Cb%3ECC0")).all("input", name="image")) == 2
    assert len(read_html(await http.get(f"{url}?show=no-ai")).all("input", name="image")) == 2
    rest = {"set": "source", "source": "a book", "all_shown": "1", "show": "licence", "value": ""}
    assert (await http.post(url, data=rest)).status_code == 303
    with read(store) as session:
        found = provenance.of_project(session, project_id)
    assert [found[each].source for each in ids] == ["", "", "a book"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"licence": "CC0"}, "Nothing is chosen to be set"),
        ({"set": "licence", "licence": "CC0"}, "No image is selected"),
        ({"set": "collected_on", "collected_on": "soon", "all_shown": "1"}, "soon is no date"),
    ],
)
async def test_what_is_wrong_is_said_beside_it(
    http: httpx.AsyncClient, filled: tuple[int, list[int]], fields: dict[str, str], words: str
) -> None:
    answer = await http.post(f"/projects/{filled[0]}/provenance", data=fields)
    assert answer.status_code == 422
    assert words in answer.text


async def test_one_image(
    http: httpx.AsyncClient, store: Engine, htmx: dict[str, str], filled: tuple[int, list[int]], read_html: ReadHtml
) -> None:
    url = f"/images/{filled[1][0]}/provenance"
    assert "<html" not in (await http.get(url)).text
    fields = {"source": "https://example.org/fox", "author": "Ida", "collected_on": "2024-05"}
    saved = read_html(await http.post(url, data=fields, headers=htmx))
    assert saved.one("input", name="author").attrs["value"] == "Ida"
    assert "Saved" in saved.source
    wrong = await http.post(url, data={**fields, "collected_on": "soon"}, headers=htmx)
    assert wrong.status_code == 422
    assert "no date" in wrong.text
    assert read_html(wrong).one("input", name="collected_on").attrs["value"] == "soon"
    assert (await http.post(url, data=fields)).status_code == 303
    assert (await http.get("/images/999/provenance")).status_code == 404
    with read(store) as session:
        assert provenance.get(session, filled[1][0]).source == "https://example.org/fox"


async def test_an_empty_project(http: httpx.AsyncClient, project_id: int) -> None:
    assert "No images yet" in (await http.get(f"/projects/{project_id}/provenance")).text


async def test_two_people_at_one_images_form_lose_nothing(
    http: httpx.AsyncClient, store: Engine, htmx: dict[str, str], filled: tuple[int, list[int]], read_html: ReadHtml
) -> None:
    image_id = filled[1][0]
    url = f"/images/{image_id}/provenance"

    def fields(shown: Html, **typed: str) -> dict[str, str]:
        inputs = [each for each in shown.all("input") if each.attrs.get("type") != "checkbox"]
        ticked = {each.attrs["name"]: "1" for each in shown.all("input", type="checkbox") if "checked" in each.attrs}
        return ticked | {each.attrs["name"]: each.attrs["value"] for each in inputs} | typed

    async def save(person: str, sent: dict[str, str]) -> httpx.Response:
        return await http.post(url, data=sent, headers={**htmx, "Cookie": f"studio-name={person}"})

    def origin() -> Provenance:
        with read(store) as session:
            return provenance.get(session, image_id)

    before = read_html(await http.get(url, headers=htmx))
    assert (await save("bob", fields(before, licence="CC0-1.0", no_ai="1"))).status_code == 200
    # Of a form that was shown before, only what was typed is written.
    assert (await save("ann", fields(before, source="a book"))).status_code == 200
    assert origin() == Provenance(source="a book", licence="CC0-1.0", no_ai=True)
    # Who types faster than the form is saved is in nobody's way.
    assert (await save("ann", fields(before, source="a book of foxes", author="Ann"))).status_code == 200
    refused = await save("ann", fields(before, licence="own work", author="Ann"))
    assert refused.status_code == 422
    with read(store) as session:
        name = images.get(session, image_id).name
    assert f"bob set the licence of {name} to CC0-1.0 in the meantime, so yours was not written." in refused.text
    assert origin() == Provenance(source="a book of foxes", author="Ann", licence="CC0-1.0", no_ai=True)
    # The form shows what stands there, so that another field does not take it along; typed once more it is meant.
    assert "Yours was “own work”." in refused.text
    again = read_html(refused)
    assert (await save("ann", fields(again, collected_on="2024"))).status_code == 200
    assert (origin().licence, origin().collected_on) == ("CC0-1.0", "2024")
    assert (await save("ann", fields(again, licence="own work"))).status_code == 200
    assert origin().licence == "own work"
    gone = await http.post("/images/999/provenance", data=fields(before, source="x"), headers=htmx)
    assert gone.status_code == 404
