"""Duplicates: pairs come one after the other, decisions are kept, offered and taken back."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import images, relations
from app.store.db import read, write
from app.store.models import Blob, Image
from tests.collect.test_duplicates import scene
from tests.export.parts import encoded
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def alike(settings: Settings, store: Engine, project_id: int) -> dict[str, str]:
    """Two sizes of one picture, two of another and one alone; their hashes by name."""
    for seed, sizes in ((1, (200, 100)), (2, (200, 100)), (3, (200,))):
        for size in sizes:
            name = f"{seed}-{size}.png"
            take_file(settings, store, project_id, name, encoded(scene(seed, 200).resize((size, size))))
            take_file(settings, store, project_id, f"{seed}-{size}.txt", f"scene {seed}, {size} wide".encode())
    with read(store) as session:
        return {row.name: row.sha256 for row in images.training_rows(session, project_id)}


def answer(page: Html, choice: str) -> dict[str, str]:
    """The fields that the form of the shown pair sends."""
    fields = {name: page.one("input", name=name).attrs["value"] for name in ("left", "right")}
    return {**fields, "answer": choice, "skipped": "0"}


async def test_one_pair_after_the_other(
    http: httpx.AsyncClient,
    store: Engine,
    htmx: dict[str, str],
    project_id: int,
    alike: dict[str, str],
    read_html: ReadHtml,
) -> None:
    url = f"/projects/{project_id}/duplicates"
    page = read_html(await http.get(url))
    assert page.one("h1").text == "Duplicates"
    assert "0 of 2 pairs" in page.source
    first = answer(page, "left")
    part = read_html(await http.post(f"{url}/decide", data=first, headers=htmx))
    assert "<html" not in part.source
    assert "1 of 2 pairs" in part.source
    assert "is better than" in part.one("p", class_="last-text").text
    assert part.one("mark").text == "100 wide"
    kept = {name: part.all("input", name=name)[0].attrs["value"] for name in ("keeper", "other")}
    merged = read_html(await http.post(f"{url}/merge", data=kept, headers=htmx))
    assert "has the words of both" in merged.source
    with read(store) as session:
        assert images.get(session, int(kept["keeper"])).caption in (
            "scene 1, 200 wide, 100 wide",
            "scene 2, 200 wide, 100 wide",
        )
    removed = read_html(await http.post(f"{url}/remove", data=kept, headers=htmx))
    assert "was removed" in removed.source
    assert "0 of 1 pair" in removed.source
    done = await http.post(f"{url}/decide", data=answer(removed, "alternate"))
    assert done.status_code == 303
    over = read_html(await http.get(done.headers["location"]))
    assert over.all("h2")[0].text == "Every pair is decided"
    back = read_html(await http.post(f"{url}/undo", headers=htmx))
    assert "0 of 1 pair" in back.source


async def test_skipping_and_what_is_gone(
    http: httpx.AsyncClient,
    store: Engine,
    htmx: dict[str, str],
    project_id: int,
    alike: dict[str, str],
    read_html: ReadHtml,
) -> None:
    url = f"/projects/{project_id}/duplicates"
    one, two = [read_html(await http.get(f"{url}/pair?skipped={count}", headers=htmx)) for count in (0, 1)]
    assert one.one("input", name="left").attrs["value"] != two.one("input", name="left").attrs["value"]
    assert "The rest was skipped" in (await http.get(f"{url}?skipped=99")).text
    fields = answer(one, "same")
    with write(store) as session:
        found = relations.candidate(session, project_id, fields["right"])
        assert found is not None
        images.remove(session, found.image_id, "you")
    gone = await http.post(f"{url}/decide", data=fields, headers=htmx)
    assert gone.status_code == 404
    assert (await http.post(f"{url}/decide", data={**fields, "answer": "eat"}, headers=htmx)).status_code == 422
    assert (await http.get("/projects/99/duplicates")).status_code == 404


async def test_nothing_alike_and_nothing_measured(
    http: httpx.AsyncClient, store: Engine, project_id: int, alike: dict[str, str]
) -> None:
    with write(store) as session:
        for sha256 in alike.values():
            session.get_one(Blob, sha256).phash = None
    page = await http.get(f"/projects/{project_id}/duplicates")
    assert "5 images are still to be measured" in page.text
    assert "No two images are alike" in page.text
    with read(store) as session:
        assert session.query(Image).count() == 5
