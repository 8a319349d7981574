"""The buckets page: counts for a base and a resolution, and the images behind each bar."""

import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import bases
from app.store.bases import FoundBase
from app.store.db import write
from tests.drawing import bundled_base, picture, project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def filled(settings: Settings, store: Engine, project_id: int) -> int:
    """A project with two squares, a small square and a long strip."""
    for name, size in {"a": (600, 600), "b": (512, 512), "c": (60, 60), "d": (900, 100)}.items():
        take_file(settings, store, project_id, f"{name}.png", picture(ord(name), *size))
    return project_id


async def test_bars_lead_to_their_images(http: httpx.AsyncClient, filled: int, read_html: ReadHtml) -> None:
    page = read_html(await http.get(f"/projects/{filled}/buckets"))
    rows = page.all("a", class_="bucket-row")
    assert [row.text for row in rows] == [
        "1024 × 256 1 image alone 1 enlarged 1 cropped",
        "512 × 512 3 images 1 enlarged",
    ]
    behind = read_html(await http.get(rows[1].attrs["href"].partition("#")[0]))
    tiles = behind.all("li", class_="image-tile")
    assert len(tiles) == 3
    assert behind.all("a", href="/images/1/polish")


async def test_small_images_at_their_own_size(http: httpx.AsyncClient, filled: int, read_html: ReadHtml) -> None:
    page = read_html(await http.get(f"/projects/{filled}/buckets"))
    (way_out,) = [link for link in page.all("a") if link.text == "Try their own size"]
    kept = read_html(await http.get(way_out.attrs["href"]))
    assert [row.text for row in kept.all("a", class_="bucket-row")] == [
        "896 × 64 1 image alone 1 cropped",
        "512 × 512 2 images",
        "64 × 64 1 image alone 1 enlarged",
    ]
    assert "cut to whole steps of 64 px" in kept.source
    assert not [link for link in kept.all("a") if link.text == "Try their own size"]


@pytest.mark.parametrize(("only", "names"), [("upscaled", {"c", "d"}), ("cropped", {"d"}), ("few", {"d"})])
async def test_what_is_doubtful_can_be_shown(
    http: httpx.AsyncClient, filled: int, read_html: ReadHtml, only: str, names: set[str]
) -> None:
    page = read_html(await http.get(f"/projects/{filled}/buckets?only={only}"))
    assert {image.attrs["alt"] for image in page.all("img") if image.attrs["alt"].endswith(".png")} == {
        f"{name}.png" for name in names
    }


async def test_another_base_and_resolution(
    http: httpx.AsyncClient, store: Engine, filled: int, read_html: ReadHtml
) -> None:
    base = bundled_base(store)
    page = read_html(await http.get(f"/projects/{filled}/buckets?base={base.id}&former_base=0&resolution=512"))
    assert f"around {base.resolution_px} px" in page.source
    page = read_html(await http.get(f"/projects/{filled}/buckets?base={base.id}&former_base={base.id}&resolution=768"))
    assert "around 768 px" in page.source
    for odd in ("base=999&resolution=-5&batch=0", "resolution=999999&batch=99999", "bucket=1x1&after=-4", "after=77"):
        assert (await http.get(f"/projects/{filled}/buckets?{odd}")).status_code == 200


async def chosen_batch(http: httpx.AsyncClient, read_html: ReadHtml, address: str) -> str:
    """The batch that the page is drawn for."""
    page = read_html(await http.get(address))
    return re.findall(r'<option value="(\d+)" selected>\1</option>', page.source)[0]


async def test_it_starts_with_the_batch_that_a_run_starts_with(
    http: httpx.AsyncClient, settings: Settings, store: Engine, read_html: ReadHtml
) -> None:
    project_id = project_with_images(settings, store)
    form = read_html(await http.get(f"/projects/{project_id}/train"))
    batch = form.one("input", id="optimization-batch").attrs["value"]
    root = f"/projects/{project_id}/buckets"
    assert await chosen_batch(http, read_html, root) == batch == "4"
    with write(store) as session:
        large = bases.add_found(session, FoundBase("xl", "/xl", "diffusers", "sdxl", 7_000_000_000, 1024, False)).id
    assert await chosen_batch(http, read_html, f"{root}?base={large}") == "1"
    # Another base brings its own batch, and what is chosen for one base stays.
    small = bundled_base(store).id
    assert await chosen_batch(http, read_html, f"{root}?base={large}&former_base={small}&batch=4") == "1"
    assert await chosen_batch(http, read_html, f"{root}?base={large}&former_base={large}&batch=8") == "8"
    # From a plan one comes to the buckets of that plan.
    texts = {"optimization.batch": "3", "data.resolution_px": "128", "data.enlarges": ""}
    part = read_html(await http.post(f"/projects/{project_id}/train/plan", data=texts))
    (link,) = [each.attrs["href"] for each in part.all("a") if each.text == "See the buckets"]
    assert await chosen_batch(http, read_html, link) == "3"
    page = read_html(await http.get(link))
    assert "around 128 px" in page.source
    assert "selected" in page.one("option", value="own").attrs


async def test_a_project_without_images_says_how_to_begin(http: httpx.AsyncClient, project_id: int) -> None:
    assert "No images yet" in (await http.get(f"/projects/{project_id}/buckets")).text
    assert (await http.get("/projects/99/buckets")).status_code == 404
