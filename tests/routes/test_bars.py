"""Bars of many images: offered where one has some, trimmed in one step that is said and undone."""

from io import BytesIO

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine, select

from app.collect.imports import take_file
from app.config import Settings
from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe
from app.store import images, recipes
from app.store.db import read, write
from app.store.edits import new_step
from app.store.models import HistoryEntry
from tests.drawing import picture
from tests.routes.test_polish import ReadHtml

pytestmark = pytest.mark.anyio


def barred_picture(bar_px: int) -> bytes:
    """Noise of 300 × 200 between a black bar above and one below."""
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    image.paste("black", (0, 0, 300, bar_px))
    image.paste("black", (0, 200 - bar_px, 300, 200))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def image_ids(settings: Settings, store: Engine, project_id: int) -> list[int]:
    """Two images with bars, a third one turned, one with bars that is cropped, one straightened, one without bars."""
    pictures = [*(barred_picture(each) for each in (20, 30, 40, 24, 26)), picture(1, 300, 200)]
    made = [take_file(settings, store, project_id, f"{n}.png", each).image_id for n, each in enumerate(pictures)]
    ids = [each for each in made if each is not None]
    own = Recipe(crop=Crop(left=1, top=2, width=100, height=100))
    with write(store) as session:
        wanted = {ids[2]: Recipe(quarter_turns=1), ids[3]: own, ids[4]: Recipe(straighten_deg=2)}
        recipes.set_recipes(session, new_step(project_id, "you"), wanted)
    return ids


def sizes(store: Engine) -> list[Size]:
    """The sizes that train, in the order of the images."""
    with read(store) as session:
        return [row.size for row in images.page(session, 1)]


async def test_bars_of_all_images_are_trimmed_as_one_step_that_is_undone_there(
    http: httpx.AsyncClient, store: Engine, image_ids: list[int], read_html: ReadHtml
) -> None:
    before = sizes(store)
    polish = read_html(await http.get(f"/images/{image_ids[0]}/polish"))
    assert polish.one("a", href="/projects/1/bars").text == "Trim the bars of all 3 images…"
    page = read_html(await http.get("/projects/1/bars"))
    assert page.one("button", id="trim-all").text == "Trim the bars of all 3 images"
    assert "1 image is straightened" in page.source
    assert [each.text for each in page.all("p", class_="image-tile-caption")] == [
        "300 × 160 left", "300 × 140 left", "120 × 300 left", "tilted",
    ]  # fmt: skip
    answer = await http.post("/projects/1/bars")
    assert answer.status_code == 303
    assert sizes(store) == [Size(300, 160), Size(300, 140), Size(120, 300), *before[3:]]
    with read(store) as session:
        entries = list(session.scalars(select(HistoryEntry).where(HistoryEntry.verb == "recipe")))
    assert len({each.batch for each in entries[-3:]}) == 1
    page = read_html(await http.get(answer.headers["location"]))
    assert "3 images trimmed." in page.one("div", id="done").text
    assert page.all("button", id="trim-all") == []
    step = page.one("input", name="step").attrs["value"]
    back = await http.post("/projects/1/bars/undo", data={"step": step})
    assert "Undone: 3 images are as before." in (await http.get(back.headers["location"])).text
    assert sizes(store) == before


async def test_where_there_is_nothing_to_trim_it_is_said(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int
) -> None:
    take_file(settings, store, project_id, "a.png", picture(1, 300, 200))
    assert "No bars to trim" in (await http.get(f"/projects/{project_id}/bars")).text
    answer = await http.post(f"/projects/{project_id}/bars")
    assert "No image was trimmed" in (await http.get(answer.headers["location"])).text
    assert (await http.post("/projects/99/bars")).status_code == 404
    assert (await http.post("/projects/99/bars/undo", data={"step": "a" * 32})).status_code == 404
    assert (await http.get("/projects/99/bars")).status_code == 404


async def test_an_only_image_with_bars_has_no_others_to_go_to(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, read_html: ReadHtml
) -> None:
    image_id = take_file(settings, store, project_id, "a.png", barred_picture(30)).image_id
    page = read_html(await http.get(f"/images/{image_id}/polish"))
    assert page.one("button", id="trim")
    assert page.all("a", href=f"/projects/{project_id}/bars") == []
