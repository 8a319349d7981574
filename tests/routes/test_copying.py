"""Copying a recipe: to those chosen or to a whole group, as one step."""

import httpx
import pytest
from sqlalchemy import Engine, select

from app.collect.imports import take_file
from app.config import Settings
from app.contract.recipe import Recipe
from app.store import images
from app.store.db import read
from app.store.models import HistoryEntry
from tests.drawing import picture

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
