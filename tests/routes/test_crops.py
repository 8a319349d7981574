"""Cropping over the web: a box saved as it is or snapped to its bucket, and what no box can be."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe
from app.routes.crops import RATIOS
from app.store import captions, images
from app.store.db import read, write
from app.store.images import ImageRow
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def image_id(settings: Settings, store: Engine, project_id: int) -> int:
    """A picture of 600 × 400 in a project."""
    found = take_file(settings, store, project_id, "a.png", picture(1, 600, 400)).image_id
    assert found is not None
    return found


def row_of(store: Engine, image_id: int) -> ImageRow:
    """The image as the store has it."""
    with read(store) as session:
        return images.get(session, image_id)


async def test_the_page_offers_shapes_and_stands_among_its_neighbours(
    http: httpx.AsyncClient, image_id: int, read_html: ReadHtml
) -> None:
    shown = read_html(await http.get(f"/images/{image_id}/polish/crop"))
    assert [option.text for option in shown.all("option")] == [label for _, label in RATIOS]
    assert "1 / 1" in shown.source
    assert shown.all("button", id="crop-suggested") == []


async def test_a_crop_is_saved_cut_to_the_picture_and_can_be_taken_back(
    http: httpx.AsyncClient, store: Engine, image_id: int
) -> None:
    url, revision = f"/images/{image_id}/polish/crop", row_of(store, image_id).revision
    answer = await http.post(url, data={"revision": revision, "left": 500, "top": 100, "width": 900, "height": 100})
    assert answer.status_code == 303
    assert row_of(store, image_id).size == Size(100, 100)
    assert (await http.get(url)).status_code == 200
    for bad in ({"left": "x"}, {"width": 0}, {"height": ""}, {"top": "-1"}):
        fields = {"revision": revision + 1, "left": 0, "top": 0, "width": 10, "height": 10, **bad}
        assert (await http.post(url, data=fields)).status_code == 422
    step = {"step": "uncrop", "revision": revision + 1}
    assert (await http.post(f"/images/{image_id}/polish/step", data=step)).status_code == 303
    assert row_of(store, image_id).recipe == Recipe()


async def test_a_crop_snaps_to_the_bucket_without_script(
    http: httpx.AsyncClient, store: Engine, image_id: int, read_html: ReadHtml
) -> None:
    box = {"left": 10, "top": 20, "width": 300, "height": 310}
    part = read_html(await http.get(f"/images/{image_id}/polish/fit", params=box))
    told = [
        int(each) for each in next(e for e in part.elements if "data-snapped" in e.attrs).attrs["data-snapped"].split()
    ]
    fields = {"revision": row_of(store, image_id).revision, "snaps": "1", **box}
    assert (await http.post(f"/images/{image_id}/polish/crop", data=fields)).status_code == 303
    crop = row_of(store, image_id).recipe.crop
    assert crop is not None
    assert [crop.left, crop.top, crop.width, crop.height] == told
    assert crop.width == crop.height
    assert "nothing" in (await http.get(f"/images/{image_id}/polish")).text


NAMES = ("left", "top", "width", "height")


def box(*values: int) -> dict[str, str]:
    """The fields of a crop box."""
    return {name: str(value) for name, value in zip(NAMES, values, strict=True)}


def form_of(shown: Html) -> dict[str, str]:
    """What a page's form would send."""
    return {name: shown.one("input", name=name).attrs["value"] for name in ("revision", "seen", *NAMES)}


async def test_words_are_in_no_crops_way_and_a_clash_keeps_the_box(
    http: httpx.AsyncClient, store: Engine, image_id: int, read_html: ReadHtml
) -> None:
    url = f"/images/{image_id}/polish/crop"
    shown = form_of(read_html(await http.get(url)))
    with write(store) as session:
        captions.save(session, image_id, "a fox", "ann")
    assert (await http.post(url, data=shown | box(0, 0, 300, 200))).status_code == 303
    assert row_of(store, image_id).size == Size(300, 200)
    # The second box was drawn when there was no crop yet.
    clash = await http.post(url, data=shown | box(20, 30, 100, 90))
    assert clash.status_code == 409
    told = read_html(clash)
    words = told.one("div", role="alert").text
    assert "a.png was changed in the meantime: its crop." in words
    assert "It trains at 300 × 200 now." in words
    assert "moved along" not in words
    assert form_of(told).items() >= box(20, 30, 100, 90).items()
    assert [each.attrs["form"] for each in told.all("button") if each.text == "Take my box"] == ["crop-form"]
    assert f"/images/{image_id}/polish" in [e.attrs["href"] for e in told.all("a") if e.text == "Take theirs"]
    assert row_of(store, image_id).size == Size(300, 200)
    assert (await http.post(url, data=form_of(told))).status_code == 303
    assert row_of(store, image_id).size == Size(100, 90)


async def test_a_box_on_a_picture_that_was_turned_meanwhile_is_turned_along(
    http: httpx.AsyncClient, store: Engine, image_id: int, read_html: ReadHtml
) -> None:
    url = f"/images/{image_id}/polish/crop"
    shown = form_of(read_html(await http.get(url)))
    turn = {"step": "rotate", "revision": shown["revision"], "seen": shown["seen"]}
    assert (await http.post(f"/images/{image_id}/polish/step", data=turn)).status_code == 303
    told = read_html(await http.post(url, data=shown | box(20, 30, 100, 90)))
    assert "look whether it still lies right" in told.one("div", role="alert").text
    # What was near the left upper corner of 600 × 400 is near the right upper one of 400 × 600.
    assert form_of(told).items() >= box(400 - 30 - 90, 20, 90, 100).items()
    assert (await http.post(url, data=form_of(told))).status_code == 303
    crop = Crop(left=280, top=20, width=90, height=100)
    assert row_of(store, image_id).recipe == Recipe(quarter_turns=1, crop=crop)


async def test_a_recipe_that_none_was_shown_with_is_refused(http: httpx.AsyncClient, image_id: int) -> None:
    for odd in ("nonsense", "[]", '{"quarter_turns":9}', '{"mask":"x"}'):
        sent = {"revision": "0", "seen": odd, **box(0, 0, 9, 9)}
        assert (await http.post(f"/images/{image_id}/polish/crop", data=sent)).status_code == 422
