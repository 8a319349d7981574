"""The tags page: counts, neighbours, doubts, and the lists for completion."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.store import captions, images
from app.store.db import write
from tests.drawing import project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

Read = Callable[[httpx.Response], Html]


@pytest.fixture
def filled_id(settings: Settings, store: Engine) -> int:
    """A project whose tags disagree a little."""
    project_id = project_with_images(settings, store, 3)
    words = ["watercolour, cat, <b>", "watercolour, cats", "watercolor, cat"]
    with write(store) as session:
        ids = [row.id for row in images.training_rows(session, project_id)]
        captions.save_many(session, project_id, dict(zip(ids, words, strict=True)), "ann")
    return project_id


async def test_tags_with_their_counts_and_neighbours(http: httpx.AsyncClient, filled_id: int, read_html: Read) -> None:
    url = f"/projects/{filled_id}/tags"
    shown = read_html(await http.get(url, params={"tag": "cat"}))
    assert shown.one("h1").text == "Tags"
    assert "Beside “cat”" in shown.one("h2", id="tag-beside").text
    assert "Near spellings" in shown.source
    assert "Singular and plural" in shown.source
    assert "&lt;b&gt;" in shown.source
    part = await http.get(url, params={"search": "cats"}, headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert "1 tag with" in part.text
    assert (await http.get(url, params={"search": "nothing", "order": "name"})).status_code == 200


async def test_lists_are_taken_in_and_words_hidden(
    http: httpx.AsyncClient, settings: Settings, filled_id: int, read_html: Read
) -> None:
    url = f"/projects/{filled_id}/tags"
    sent = await http.post(f"{url}/upload", files={"file": ("../odd name.csv", b"zebra,0,5\nzebra_crossing,0,2\n")})
    assert sent.status_code == 303
    assert (settings.data / "vocabularies" / "odd name.csv").is_file()
    for name, data in (("x.exe", b"a"), ("x.csv", b"\n\n")):
        refused = await http.post(f"{url}/upload", files={"file": (name, data)})
        assert refused.status_code == 422
        assert read_html(refused).one("p", id="file-error")
    saved = await http.post(f"{url}/lists", data={"paths": "", "hidden": "Crossing, other"})
    assert saved.status_code == 303
    missing = await http.post(f"{url}/lists", data={"paths": "/no/such.csv"})
    assert "There is no file /no/such.csv" in missing.text
    for odd in ("~no.such.person/x.csv", "x" * 5000, "a\x00b"):
        assert (await http.post(f"{url}/lists", data={"paths": odd})).status_code == 422
    items = (await http.get(f"/projects/{filled_id}/label/complete.json", params={"q": "zebra"})).json()["items"]
    assert [item["tag"] for item in items] == ["zebra"]
