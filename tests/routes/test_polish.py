"""Polishing over the web: each step is saved, shown and in the history; a stale one is refused in words."""

import json
from collections.abc import Callable
from io import BytesIO

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine, select, update

from app.collect.demo import openmoji_drawings
from app.collect.facts import PictureFacts
from app.collect.imports import take_file
from app.config import Settings
from app.contract.buckets import Size
from app.contract.recipe import Recipe
from app.store import images
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.models import Blob, HistoryEntry
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def image_id(settings: Settings, store: Engine, project_id: int) -> int:
    """A picture of 600 × 400 in a project."""
    return taken(settings, store, project_id, "a.png", picture(1, 600, 400))


def taken(settings: Settings, store: Engine, project_id: int, name: str, data: bytes) -> int:
    """Add a picture; return the image's id."""
    found = take_file(settings, store, project_id, name, data).image_id
    assert found is not None
    return found


def row_of(store: Engine, image_id: int) -> ImageRow:
    """The image as the store has it."""
    with read(store) as session:
        return images.get(session, image_id)


def recipe_entries(store: Engine) -> list[HistoryEntry]:
    """What the history says of recipes, oldest first."""
    with read(store) as session:
        return list(
            session.scalars(select(HistoryEntry).where(HistoryEntry.verb == "recipe").order_by(HistoryEntry.id))
        )


async def do(http: httpx.AsyncClient, image_id: int, step: str, revision: int, **fields: object) -> httpx.Response:
    """Post one step."""
    return await http.post(f"/images/{image_id}/polish/step", data={"step": step, "revision": revision, **fields})


async def test_each_step_is_one_entry_and_one_revision(http: httpx.AsyncClient, store: Engine, image_id: int) -> None:
    revision = row_of(store, image_id).revision
    for place, (step, fields) in enumerate(
        [("rotate", {}), ("mirror", {}), ("straighten", {"degrees": "2.5"}), ("flip", {}), ("reset", {})]
    ):
        answer = await do(http, image_id, step, revision + place, **fields)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/images/{image_id}/polish")
    assert row_of(store, image_id).revision == revision + 5
    entries = recipe_entries(store)
    assert len(entries) == 5
    assert len({entry.batch for entry in entries}) == 5
    assert json.loads(entries[0].after or "") == Recipe(quarter_turns=1).to_json()
    assert [json.loads(each.before or "") for each in entries[1:]] == [
        json.loads(each.after or "") for each in entries[:-1]
    ]
    assert row_of(store, image_id).recipe == Recipe()


async def test_a_step_that_changes_nothing_is_no_step(http: httpx.AsyncClient, store: Engine, image_id: int) -> None:
    revision = row_of(store, image_id).revision
    assert (await do(http, image_id, "reset", revision)).status_code == 303
    assert row_of(store, image_id).revision == revision
    assert recipe_entries(store) == []


async def test_a_stale_step_is_refused_in_words(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str]
) -> None:
    revision = row_of(store, image_id).revision
    await do(http, image_id, "rotate", revision)
    for url, data in (
        (f"/images/{image_id}/polish/step", {"step": "mirror"}),
        (f"/images/{image_id}/polish/crop", {"left": 0, "top": 0, "width": 9, "height": 9}),
    ):
        answer = await http.post(url, data={"revision": revision, **data}, headers=htmx)
        assert answer.status_code == 409
        assert "a.png was changed in the meantime" in answer.text
    assert row_of(store, image_id).recipe == Recipe(quarter_turns=1)


async def test_the_region_comes_back_with_the_new_picture(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str], read_html: ReadHtml
) -> None:
    before = read_html(await http.get(f"/images/{image_id}/polish"))
    plain = before.all("image")[0].attrs["href"]
    answer = await http.post(
        f"/images/{image_id}/polish/step",
        data={"step": "rotate", "revision": row_of(store, image_id).revision},
        headers=htmx,
    )
    assert answer.status_code == 200
    assert "<html" not in answer.text
    turned = read_html(answer).all("image")[0].attrs["href"]
    assert turned != plain
    for url, size in ((plain, (600, 400)), (turned, (400, 600))):
        shown = await http.get(url)
        assert "immutable" in shown.headers["cache-control"]
        assert Image.open(BytesIO(shown.content)).size == size


@pytest.mark.parametrize(
    ("step", "fields", "words"),
    [
        ("straighten", {"degrees": "20"}, "no angle"),
        ("straighten", {"degrees": "much"}, "no angle"),
        ("colour", {"background": "red"}, "no colour"),
    ],
)
async def test_what_makes_no_sense_is_refused_beside_it(
    http: httpx.AsyncClient, store: Engine, image_id: int, step: str, fields: dict[str, str], words: str
) -> None:
    answer = await do(http, image_id, step, row_of(store, image_id).revision, **fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert row_of(store, image_id).recipe == Recipe()


async def test_bars_are_offered_and_trimmed(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int
) -> None:
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    image.paste("black", (0, 0, 300, 30))
    image.paste("black", (0, 170, 300, 200))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    image_id = taken(settings, store, project_id, "film.png", buffer.getvalue())
    offer = await http.get(f"/images/{image_id}/polish")
    assert "300 × 140 would be left" in offer.text
    assert (await do(http, image_id, "trim", row_of(store, image_id).revision)).status_code == 303
    assert row_of(store, image_id).size == Size(300, 140)
    assert "would be left" not in (await http.get(f"/images/{image_id}/polish")).text


async def test_the_ground_around_a_drawing_is_not_offered_as_bars(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int
) -> None:
    for name, data, _ in openmoji_drawings()[:3]:
        image_id = taken(settings, store, project_id, name, data)
        shown = (await http.get(f"/images/{image_id}/polish")).text
        assert "bars" not in shown.lower(), name
        revision = row_of(store, image_id).revision
        assert (await do(http, image_id, "trim", revision)).status_code == 409
        assert row_of(store, image_id).revision == revision


async def test_bars_that_were_not_measured_are_said_to_be_so_and_measured_when_asked(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str]
) -> None:
    with write(store) as session:
        session.execute(update(Blob).values(facts='{"container":"PNG","mode":"RGB"}'))
    assert "not measured yet" in (await http.get(f"/images/{image_id}/polish")).text
    revision = row_of(store, image_id).revision
    answer = await http.post(
        f"/images/{image_id}/polish/step", data={"step": "measure", "revision": revision}, headers=htmx
    )
    assert answer.status_code == 200
    assert "not measured yet" not in answer.text
    assert row_of(store, image_id).revision == revision
    with read(store) as session:
        assert PictureFacts.model_validate_json(session.scalars(select(Blob.facts)).one() or "").bars == (0, 0, 0, 0)


async def test_pages_of_an_image_that_is_gone(http: httpx.AsyncClient, store: Engine, project_id: int) -> None:
    for page in ("polish", "polish/crop", "polish/fit", "polish/copy", "mask"):
        assert (await http.get(f"/images/99/{page}")).status_code == 404
    assert (await do(http, 99, "rotate", 0)).status_code == 404
