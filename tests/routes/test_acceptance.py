"""Accepting many suggestions at once."""

import httpx
import pytest
from sqlalchemy import Engine

from tests.routes.suggested import caption, suggest, tag, three_images, words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(http: httpx.AsyncClient, store: Engine, project_id: int) -> list[int]:
    """Three images with tags, a sentence and no words."""
    return await three_images(http, store, project_id)


async def test_accepting_many_says_first_whose_captions_change(
    http: httpx.AsyncClient, store: Engine, project_id: int, ids: list[int]
) -> None:
    url = f"/projects/{project_id}"
    for image_id in ids:
        suggest(store, image_id, tag("sky", 0.8), tag("moon", 0.4), words("A model's words."))
    shown = (await http.get(f"{url}/suggestions/plan", params={"threshold": "0.5"})).text
    assert "Add 3 tags to 3 captions" in shown
    stale = await http.post(f"{url}/suggestions/accept", data={"threshold": "0.5", "expected": "2"})
    assert stale.status_code == 422
    assert "changed meanwhile" in stale.text
    assert caption(store, ids[0]) == "fox, red"
    done = await http.post(f"{url}/suggestions/accept", data={"threshold": "0.5", "expected": "3"})
    assert "3 captions changed" in done.headers["HX-Trigger"]
    assert caption(store, ids[0]) == "fox, red, sky"
    # The third has words by now, so a caption goes nowhere unless a model's words may be replaced.
    assert "Nothing to accept" in (await http.get(f"{url}/suggestions/plan", params={"kind": "caption"})).text
    form = {"kind": "caption", "threshold": "0", "overwrites": "models"}
    await http.post(f"{url}/suggestions/accept", data=form)
    assert [caption(store, image_id) for image_id in ids[::2]] == ["fox, red, sky", "A model's words."]
    assert (await http.get(f"{url}/suggestions/plan", params={"threshold": "x"})).status_code == 422
