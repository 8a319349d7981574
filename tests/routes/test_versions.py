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
