"""Masks over the web: drawn or chosen, kept as blobs, shown in red, and what no mask can be."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine

from app.collect.blobs import blob_path
from app.collect.imports import take_file
from app.config import Settings
from app.contract.pixels import mask_pixels
from app.contract.recipe import Crop, Recipe
from app.store import captions, images, recipes
from app.store.db import read, write
from app.store.images import ImageRow
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


@pytest.fixture
def image_id(settings: Settings, store: Engine, project_id: int) -> int:
    """A picture of 60 × 40 in a project."""
    found = take_file(settings, store, project_id, "a.png", picture(1, 60, 40)).image_id
    assert found is not None
    return found


def row_of(store: Engine, image_id: int) -> ImageRow:
    """The image as the store has it."""
    with read(store) as session:
        return images.get(session, image_id)


def left_half(width: int, height: int, container: str = "PNG") -> bytes:
    """A mask that learns the left half."""
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height))
    buffer = BytesIO()
    mask.save(buffer, container)
    return buffer.getvalue()


async def send(http: httpx.AsyncClient, image_id: int, revision: int, data: bytes, **fields: object) -> httpx.Response:
    """Send a mask."""
    files = {"mask": ("m.png", data, "image/png")}
    return await http.post(f"/images/{image_id}/mask", data={"revision": revision, **fields}, files=files)


async def test_a_mask_file_covers_the_image_as_it_came(
    http: httpx.AsyncClient, settings: Settings, store: Engine, image_id: int
) -> None:
    revision = row_of(store, image_id).revision
    answer = await send(http, image_id, revision, left_half(120, 80))
    assert answer.status_code == 303
    row = row_of(store, image_id)
    assert row.revision == revision + 1
    assert row.recipe.mask is not None
    original = blob_path(settings, row.sha256, "png")
    mask = mask_pixels(original, blob_path(settings, row.recipe.mask, "png"), row.recipe)
    assert mask is not None
    assert mask.size == (60, 40)
    assert (mask.getpixel((5, 20)), mask.getpixel((55, 20))) == (255, 0)
    red = Image.open(BytesIO((await http.get(f"/media/images/{image_id}/shade.png")).content))
    assert red.getpixel((5, 20))[3] == 0  # type: ignore[index] - a pixel of RGBA
    assert red.getpixel((55, 20))[3] > 0  # type: ignore[index] - a pixel of RGBA
    assert "50 % of the image is not learned" in (await http.get(f"/images/{image_id}/mask")).text


async def test_a_mask_drawn_on_the_turned_picture_is_turned_back(
    http: httpx.AsyncClient, settings: Settings, store: Engine, image_id: int
) -> None:
    revision = row_of(store, image_id).revision
    await http.post(f"/images/{image_id}/polish/step", data={"step": "rotate", "revision": revision})
    # The picture stands upright now, 40 × 60; its left half was the lower half of the file.
    answer = await send(http, image_id, revision + 1, left_half(40, 60), is_drawn="1")
    assert answer.status_code == 303
    row = row_of(store, image_id)
    assert row.recipe.mask is not None
    with Image.open(blob_path(settings, row.recipe.mask, "png")) as stored:
        assert stored.size == (60, 40)
        assert (stored.getpixel((30, 5)), stored.getpixel((30, 35))) == (0, 255)
    shown = Image.open(BytesIO((await http.get(f"/media/images/{image_id}/mask.png")).content))
    assert shown.size == (40, 60)
    assert (shown.getpixel((5, 30)), shown.getpixel((35, 30))) == (255, 0)


async def test_a_white_mask_is_none_and_a_mask_can_be_removed(
    http: httpx.AsyncClient, store: Engine, image_id: int
) -> None:
    revision = row_of(store, image_id).revision
    white = BytesIO()
    Image.new("L", (60, 40), 255).save(white, "PNG")
    assert (await send(http, image_id, revision, white.getvalue())).status_code == 303
    assert row_of(store, image_id).recipe == Recipe()
    await send(http, image_id, revision, left_half(60, 40))
    step = {"step": "unmask", "revision": revision + 1}
    assert (await http.post(f"/images/{image_id}/polish/step", data=step)).status_code == 303
    assert row_of(store, image_id).recipe == Recipe()
    assert (await http.get(f"/media/images/{image_id}/mask.png")).status_code == 404


@pytest.mark.parametrize(
    ("data", "words"),
    [(left_half(40, 60), "different shapes"), (b"<html>", "cannot be read"), (picture(0, 60, 40)[:60], "cannot be")],
)
async def test_what_is_no_mask_is_refused_beside_the_field(
    http: httpx.AsyncClient, store: Engine, image_id: int, data: bytes, words: str
) -> None:
    answer = await send(http, image_id, row_of(store, image_id).revision, data)
    assert answer.status_code == 422
    assert words in answer.text
    assert row_of(store, image_id).recipe == Recipe()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its memory from /proc")
async def test_a_huge_mask_is_decoded_by_a_child_and_refused_in_words(
    http: httpx.AsyncClient, settings: Settings, store: Engine, image_id: int
) -> None:
    bomb = BytesIO()
    Image.new("1", (12_000, 12_000)).save(bomb, "PNG")
    before = resident_mb()
    answer = await send(http, image_id, row_of(store, image_id).revision, bomb.getvalue())
    assert (answer.status_code, row_of(store, image_id).recipe) == (422, Recipe())
    assert "12,000 × 12,000 pixels, more than 100 million. Scale it to 60 × 40." in answer.text
    large = BytesIO()
    half = Image.new("1", (9_000, 6_000))
    half.paste(1, (0, 0, 4_500, 6_000))
    half.save(large, "PNG")
    del half
    assert (await send(http, image_id, row_of(store, image_id).revision, large.getvalue())).status_code == 303
    digest = row_of(store, image_id).recipe.mask
    assert digest is not None
    with Image.open(blob_path(settings, digest, "png")) as stored:
        assert stored.size == (60, 40)
    assert resident_mb() - before < 60
    # Nothing of what was sent is left beside the store.
    assert list((settings.data / "imports" / "staging").iterdir()) == []


def resident_mb() -> float:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def test_a_stale_mask_is_refused(http: httpx.AsyncClient, store: Engine, image_id: int) -> None:
    answer = await send(http, image_id, row_of(store, image_id).revision + 1, left_half(60, 40))
    assert answer.status_code == 409
    assert "changed in the meantime" in answer.text


async def shown_with(http: httpx.AsyncClient, image_id: int, read_html: Callable[[httpx.Response], Html]) -> str:
    """The recipe that the mask page says it showed."""
    shown = read_html(await http.get(f"/images/{image_id}/mask"))
    (seen,) = {each.attrs["value"] for each in shown.all("input", name="seen")}
    return seen


async def test_other_edits_of_the_image_are_in_no_masks_way(
    http: httpx.AsyncClient, store: Engine, image_id: int, read_html: Callable[[httpx.Response], Html]
) -> None:
    revision, seen = row_of(store, image_id).revision, await shown_with(http, image_id, read_html)
    with write(store) as session:
        captions.save(session, image_id, "a fox", "ann")
        turned = Recipe(quarter_turns=1, crop=Crop(left=0, top=0, width=9, height=9))
        recipes.set_recipe(session, image_id, turned, revision + 1, "ann")
    answer = await send(http, image_id, revision, left_half(60, 40), is_drawn="1", seen=seen)
    assert answer.status_code == 303
    row = row_of(store, image_id)
    assert row.recipe.model_copy(update={"mask": None}) == turned
    # Drawn before the turn: what was learned on the left is learned on top by now.
    mask = Image.open(BytesIO((await http.get(f"/media/images/{image_id}/mask.png")).content))
    assert mask.size == (40, 60)
    assert (mask.getpixel((20, 10)), mask.getpixel((20, 50))) == (255, 0)


async def test_another_mask_meanwhile_can_be_looked_at_or_saved_over(
    http: httpx.AsyncClient,
    store: Engine,
    image_id: int,
    htmx: dict[str, str],
    read_html: Callable[[httpx.Response], Html],
) -> None:
    revision, seen = row_of(store, image_id).revision, await shown_with(http, image_id, read_html)
    files = {"mask": ("m.png", left_half(60, 40), "image/png")}
    right = Image.open(BytesIO(left_half(60, 40))).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    buffer = BytesIO()
    right.save(buffer, "PNG")
    await send(http, image_id, revision, buffer.getvalue(), seen=seen)
    theirs = row_of(store, image_id).recipe.mask
    drawn = {"revision": str(revision), "seen": seen, "is_drawn": "1"}
    answer = await http.post(f"/images/{image_id}/mask", data=drawn, files=files, headers=htmx)
    assert answer.status_code == 409
    told = read_html(answer)
    box = told.one("div", role="alert")
    assert "a.png was changed in the meantime: its mask." in box.text
    assert (await http.get(told.one("button", id="mask-theirs").attrs["data-theirs"])).status_code == 200
    assert row_of(store, image_id).recipe.mask == theirs
    drawn["seen"] = box.attrs["data-seen"]
    answer = await http.post(f"/images/{image_id}/mask", data=drawn, files=files, headers=htmx)
    assert answer.status_code == 204
    assert row_of(store, image_id).recipe.mask not in (theirs, None)


async def test_a_mask_file_that_another_mask_came_before_is_refused_on_the_page(
    http: httpx.AsyncClient, store: Engine, image_id: int, read_html: Callable[[httpx.Response], Html]
) -> None:
    revision, seen = row_of(store, image_id).revision, await shown_with(http, image_id, read_html)
    await send(http, image_id, revision, left_half(60, 40), seen=seen)
    white = BytesIO()
    Image.new("L", (60, 40), 90).save(white, "PNG")
    answer = await send(http, image_id, revision, white.getvalue(), seen=seen)
    assert answer.status_code == 409
    told = read_html(answer).one("div", role="alert").text
    assert "a.png was changed in the meantime: its mask." in told
    assert "take the file again" in told


async def test_transparency_is_offered_where_there_is_some(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, image_id: int
) -> None:
    assert (await http.get(f"/media/images/{image_id}/alpha.png")).status_code == 404
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 4, 8))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    other = take_file(settings, store, project_id, "b.png", buffer.getvalue()).image_id
    alpha = Image.open(BytesIO((await http.get(f"/media/images/{other}/alpha.png")).content))
    assert (alpha.getpixel((1, 4)), alpha.getpixel((6, 4))) == (255, 0)
