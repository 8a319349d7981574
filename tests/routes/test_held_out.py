"""Held-out images: proposed, kept, changed for one and for many."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import images, splits
from app.store.db import read, write
from tests.collect.test_duplicates import scene
from tests.export.parts import encoded
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def image_ids(settings: Settings, store: Engine, project_id: int) -> list[int]:
    """Fourteen different images and a small copy of the first."""
    for seed in range(1, 15):
        take_file(settings, store, project_id, f"{seed}.png", encoded(scene(seed, 100)))
    take_file(settings, store, project_id, "copy.png", encoded(scene(1, 100).resize((90, 90))))
    with read(store) as session:
        return [row.id for row in images.training_rows(session, project_id)]


async def test_a_proposal_is_kept_only_when_asked(
    http: httpx.AsyncClient, store: Engine, project_id: int, image_ids: list[int], read_html: ReadHtml
) -> None:
    url = f"/projects/{project_id}/held-out"
    page = read_html(await http.get(url))
    chosen = [int(box.attrs["value"]) for box in page.all("input", name="image") if "checked" in box.attrs]
    assert len(chosen) == 2
    assert image_ids[0] not in chosen
    assert image_ids[-1] not in chosen
    with read(store) as session:
        assert splits.counts(session, project_id).held_out == 0
    kept = await http.post(f"/projects/{project_id}/split", data={"split": "held-out", "image": chosen})
    assert (kept.status_code, kept.headers["location"]) == (303, url)
    page = read_html(await http.get(url))
    assert page.one("h2", id="held-title").text == "Held out"
    assert [int(box.attrs["value"]) for box in page.all("input", name="image")] == sorted(chosen)


async def test_a_copy_on_the_other_side_is_told(
    http: httpx.AsyncClient, store: Engine, project_id: int, image_ids: list[int]
) -> None:
    with write(store) as session:
        splits.set_split(session, project_id, image_ids[:1], "held-out", "you")
    page = (await http.get(f"/projects/{project_id}/held-out")).text
    assert "Like copy.png" in page
    assert "1 held-out image has a near copy" in page


async def test_one_image(
    http: httpx.AsyncClient, store: Engine, htmx: dict[str, str], image_ids: list[int], read_html: ReadHtml
) -> None:
    url = f"/images/{image_ids[3]}/split"
    assert read_html(await http.get(url)).one("option", selected="").text == "Trains"
    part = read_html(await http.post(url, data={"split": "regularisation"}, headers=htmx))
    assert part.one("option", selected="").text == "Regularisation"
    assert "Saved" in part.source
    assert (await http.post(url, data={"split": "test"}, headers=htmx)).status_code == 422
    assert (await http.post(url, data={"split": "train"})).status_code == 303
    with read(store) as session:
        assert images.get(session, image_ids[3]).split == "train"


async def test_many_and_none(
    http: httpx.AsyncClient, store: Engine, htmx: dict[str, str], project_id: int, image_ids: list[int]
) -> None:
    url = f"/projects/{project_id}/split"
    done = await http.post(url, data={"split": "regularisation", "image": image_ids[:3]}, headers=htmx)
    assert (done.status_code, done.headers["hx-trigger"]) == (204, "images-changed")
    assert "Regularisation" in (await http.get(f"/projects/{project_id}/held-out")).text
    assert (await http.post(url, data={"split": "train"}, headers=htmx)).status_code == 422
    with read(store) as session:
        assert splits.counts(session, project_id).regularisation == 3


async def test_too_few_images(http: httpx.AsyncClient, project_id: int, settings: Settings, store: Engine) -> None:
    assert "No images yet" in (await http.get(f"/projects/{project_id}/held-out")).text
    take_file(settings, store, project_id, "1.png", encoded(scene(1, 100)))
    assert "every one is needed for training" in (await http.get(f"/projects/{project_id}/held-out")).text
