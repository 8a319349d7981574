"""Copying a recipe: to those chosen or to a whole group, as one step."""

import httpx
import pytest
from sqlalchemy import Engine, select

from app.collect.imports import take_file
from app.config import Settings
from app.contract.recipe import Recipe
from app.store import images, projects, recipes
from app.store.db import read, write
from app.store.edits import new_step
from app.store.models import HistoryEntry
from tests.drawing import picture
from tests.routes.test_polish import ReadHtml, clear_picture

pytestmark = pytest.mark.anyio


@pytest.fixture
async def image_ids(http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int) -> list[int]:
    """Three images of one size and one of another; the first is rotated."""
    sizes = [(60, 40), (60, 40), (60, 40), (90, 90)]
    ids = [
        take_file(settings, store, project_id, f"{n}.png", picture(n, *size)).image_id for n, size in enumerate(sizes)
    ]
    await http.post(f"/images/{ids[0]}/polish/step", data={"step": "rotate", "revision": 0})
    return [each for each in ids if each is not None]


def recipes_of(store: Engine) -> list[Recipe]:
    """The recipes of all images, in their order."""
    with read(store) as session:
        return [row.recipe for row in images.page(session, 1)]


TURNED = Recipe(quarter_turns=1)


async def test_a_group_is_offered_and_counted(http: httpx.AsyncClient, image_ids: list[int]) -> None:
    same = (await http.get(f"/images/{image_ids[0]}/polish/copy")).text
    assert "Apply to all 2" in same
    assert "3.png" not in same
    assert "Apply to all 3" in (await http.get(f"/images/{image_ids[0]}/polish/copy?scope=all")).text
    assert (await http.get(f"/images/{image_ids[3]}/polish/copy?scope=bucket")).status_code == 200


async def test_a_recipe_goes_to_the_chosen_as_one_step(
    http: httpx.AsyncClient, store: Engine, image_ids: list[int]
) -> None:
    answer = await http.post(
        f"/images/{image_ids[0]}/polish/copy", data={"part": ["turns", "crop"], "image": image_ids[1:3], "scope": "all"}
    )
    assert answer.status_code == 303
    assert recipes_of(store) == [TURNED, TURNED, TURNED, Recipe()]
    with read(store) as session:
        query = select(HistoryEntry.batch).where(HistoryEntry.verb == "recipe", HistoryEntry.noun_id.in_(image_ids[1:]))
        batches = list(session.scalars(query))
    assert len(batches) == 2
    assert len(set(batches)) == 1


async def test_a_recipe_goes_to_everyone_of_the_group(
    http: httpx.AsyncClient, store: Engine, image_ids: list[int]
) -> None:
    url = f"/images/{image_ids[0]}/polish/copy"
    assert (await http.post(url, data={"part": "turns", "everyone": "1", "scope": "size"})).status_code == 303
    assert recipes_of(store) == [TURNED, TURNED, TURNED, Recipe()]


@pytest.mark.parametrize("fields", [{"part": "turns"}, {"image": "2"}, {}])
async def test_nothing_chosen_is_said_in_words(
    http: httpx.AsyncClient, store: Engine, image_ids: list[int], fields: dict[str, str]
) -> None:
    answer = await http.post(f"/images/{image_ids[0]}/polish/copy", data=fields)
    assert answer.status_code == 422
    assert "Choose at least one" in answer.text
    assert recipes_of(store)[1:] == [Recipe()] * 3


async def test_images_of_another_project_are_passed_over(
    http: httpx.AsyncClient, store: Engine, image_ids: list[int]
) -> None:
    url = f"/images/{image_ids[0]}/polish/copy"
    assert (await http.post(url, data={"part": "turns", "image": [image_ids[1], 999]})).status_code == 303
    assert recipes_of(store) == [TURNED, TURNED, Recipe(), Recipe()]


async def test_a_filter_names_the_group(http: httpx.AsyncClient, store: Engine, image_ids: list[int]) -> None:
    url = f"/images/{image_ids[0]}/polish/copy"
    answer = await http.get(url, params={"scope": "filter", "filter": "name:2*"})
    assert answer.status_code == 200
    assert f'value="{image_ids[2]}"' in answer.text
    assert f'value="{image_ids[1]}"' not in answer.text
    bad = await http.get(url, params={"scope": "filter", "filter": "(name:2"})
    assert bad.status_code == 422
    # A filter that cannot be read finds nobody, and never everybody.
    form = {"part": "turns", "everyone": "1", "scope": "filter", "filter": "(name:2"}
    assert (await http.post(url, data=form)).status_code == 422
    assert recipes_of(store)[1:] == [Recipe()] * 3
    assert (await http.post(url, data={**form, "filter": "name:2*"})).status_code == 303
    assert recipes_of(store) == [TURNED, Recipe(), TURNED, Recipe()]


async def test_what_was_done_is_said_and_undone_there(
    http: httpx.AsyncClient, store: Engine, image_ids: list[int], read_html: ReadHtml
) -> None:
    url = f"/images/{image_ids[0]}/polish/copy"
    answer = await http.post(url, data={"part": "turns", "everyone": "1", "scope": "filter", "filter": "name:*"})
    shown = read_html(await http.get(answer.headers["location"]))
    assert "3 images changed." in shown.one("div", id="done").text
    fields = {name: shown.all("input", name=name)[0].attrs["value"] for name in ("step", "scope", "filter")}
    assert (fields["scope"], fields["filter"]) == ("filter", "name:*")
    # Of one image it is undone alone.
    await http.post("/projects/1/undo", data={"image": image_ids[1]})
    assert "3 images changed; of 1 image it is undone." in (await http.get(answer.headers["location"])).text
    back = await http.post(f"{url}/undo", data=fields)
    assert back.headers["location"] == answer.headers["location"]
    assert recipes_of(store) == [TURNED, Recipe(), Recipe(), Recipe()]
    shown = read_html(await http.get(back.headers["location"]))
    assert "Undone: 3 images are as before." in shown.one("div", id="done").text
    assert shown.all("button", id="undo") == []
    # What is undone already stays so.
    assert (await http.post(f"{url}/undo", data=fields)).status_code == 303
    again = await http.post(url, data={"part": "crop", "image": image_ids[1]})
    assert "No image was changed" in (await http.get(again.headers["location"])).text
    assert (await http.post(f"{url}/undo", data={"step": "a" * 32})).status_code == 303
    assert recipes_of(store) == [TURNED, Recipe(), Recipe(), Recipe()]


async def test_many_are_reset_in_one_step_to_what_the_project_decided(
    http: httpx.AsyncClient, settings: Settings, store: Engine, image_ids: list[int], read_html: ReadHtml
) -> None:
    clear = take_file(settings, store, 1, "clear.png", clear_picture(is_transparent=True)).image_id
    assert clear is not None
    await http.post("/projects/1/images/alpha", data={"ground": "grey", "use": "flatten"})
    own = Recipe(background="#112233", mirrored=True, mask="a" * 64)
    with write(store) as session:
        wanted = {clear: own, image_ids[1]: TURNED, image_ids[2]: Recipe(straighten_deg=2)}
        recipes.set_recipes(session, new_step(1, "you"), wanted)
    # Of an image that nothing was done to, nothing can be copied but that.
    page = read_html(await http.get(f"/images/{image_ids[3]}/polish/copy?scope=all"))
    assert [each.attrs["value"] for each in page.all("input", name="act") if "checked" in each.attrs] == ["reset"]
    url = f"/images/{image_ids[0]}/polish/copy"
    answer = await http.post(url, data={"act": "reset", "everyone": "1", "scope": "all"})
    assert "3 images changed." in (await http.get(answer.headers["location"])).text
    assert recipes_of(store) == [TURNED, Recipe(), Recipe(), Recipe(), Recipe(background="#808080")]


async def test_what_is_behind_transparent_parts_goes_to_images_that_have_some(
    http: httpx.AsyncClient, settings: Settings, store: Engine, image_ids: list[int], read_html: ReadHtml
) -> None:
    first, other = (
        take_file(settings, store, 1, f"clear{n}.png", clear_picture(is_transparent=True, shade=n)).image_id
        for n in (1, 2)
    )
    with write(store) as session:
        recipes.set_recipes(session, new_step(1, "you"), {first or 0: Recipe(background="#112233", alpha="mask")})
    page = read_html(await http.get(f"/images/{first}/polish/copy"))
    chosen = [each.attrs["value"] for each in page.all("input", name="part") if "checked" in each.attrs]
    assert chosen == ["colour"]
    await http.post(f"/images/{first}/polish/copy", data={"part": "colour", "everyone": "1", "scope": "all"})
    assert recipes_of(store) == [TURNED, *[Recipe()] * 3, *[Recipe(background="#112233", alpha="mask")] * 2]
    # One without any has none to copy.
    opaque = read_html(await http.get(f"/images/{image_ids[1]}/polish/copy"))
    assert "colour" not in [each.attrs["value"] for each in opaque.all("input", name="part")]
    await http.post(f"/images/{image_ids[1]}/polish/copy", data={"part": "colour", "image": str(other)})
    assert recipes_of(store)[5] == Recipe(background="#112233", alpha="mask")


async def test_the_bucket_is_the_one_that_the_project_trains_in(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int
) -> None:
    sizes = [(200, 200), (400, 400), (210, 200)]
    names = [f"{place}.png" for place in range(3)]
    ids = [take_file(settings, store, 1, names[n], picture(n, *size)).image_id for n, size in enumerate(sizes)]
    url = f"/images/{ids[0]}/polish/copy?scope=bucket"
    assert "Apply to all 2" in (await http.get(url)).text
    with write(store) as session:
        projects.remember_enlarges(session, project_id, is_on=False)
    shown = (await http.get(url)).text
    assert "2.png" in shown
    assert "1.png" not in shown
