"""The history page: names, comparison, restore, undo."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.store import captions, images
from app.store.db import read, write
from tests.drawing import project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

Read = Callable[[httpx.Response], Html]


async def test_a_version_is_named_compared_and_restored(
    http: httpx.AsyncClient, settings: Settings, store: Engine, read_html: Read
) -> None:
    project_id = project_with_images(settings, store, 2)
    url = f"/projects/{project_id}/versions"
    assert (await http.post(url, data={"name": "first"})).status_code == 303
    refused = await http.post(url, data={"name": "first"})
    assert refused.status_code == 422
    assert "first already" in read_html(refused).one("p", id="name-error").text
    with write(store) as session:
        row = images.training_rows(session, project_id)[0]
        captions.save(session, row.id, "changed <i>", "ann")
    compared = read_html(await http.get(f"{url}/compare"))
    assert compared.one("ins").text == "changed <i>"
    assert (await http.get(f"{url}/compare", params={"before": "v99"})).status_code == 404
    shown = await http.get(url)
    assert f"caption of {row.name} (ann)" in shown.text
    links = read_html(shown).all("a", href=f"/projects/{project_id}/label?image={row.id}")
    assert links[0].text == row.name
    assert "Caption changed" in shown.text
    point = read_html(shown).one("input", name="point").attrs["value"]
    assert (await http.post(f"{url}/restore", data={"point": point})).status_code == 303
    with read(store) as session:
        assert images.get(session, row.id).caption == row.caption
    await http.post(f"{url}/undo")
    with read(store) as session:
        assert images.get(session, row.id).caption == "changed <i>"
    await http.post(f"{url}/redo")
    with read(store) as session:
        assert images.get(session, row.id).caption == row.caption


async def test_steps_of_a_recipe_are_named_by_what_changed(
    http: httpx.AsyncClient, settings: Settings, store: Engine, read_html: Read
) -> None:
    project_id = project_with_images(settings, store, 3)
    with read(store) as session:
        ids = [row.id for row in images.training_rows(session, project_id)]
        name = images.get(session, ids[0]).name
    step = f"/images/{ids[0]}/polish/step"
    await http.post(step, data={"step": "rotate", "revision": 0, "seen": "{}"})
    await http.post(step, data={"step": "straighten", "degrees": "2", "revision": 0, "seen": '{"quarter_turns":1}'})
    url = f"/projects/{project_id}/versions"
    shown = read_html(await http.get(url))
    assert shown.all("button", title=f"{name}: straightened 2°")
    await http.post(f"{url}/undo")
    await http.post(f"/images/{ids[0]}/polish/copy", data={"part": "turns", "everyone": "1", "scope": "all"})
    rows = [each.text for each in read_html(await http.get(url)).all("tr")][1:5]
    words = (
        "Turned right2you",
        f"Straightened 2° Undone{name}you",
        f"Straightened 2°{name}you",
        f"Turned right{name}you",
    )
    assert [each.startswith(word) for each, word in zip(rows, words, strict=True)] == [True] * 4
    assert "2 images: turned right" in (await http.get(url)).text
