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
from app.store import captions, images, recipes
from app.store.db import read, write
from app.store.edits import new_step
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


def shown_with(shown: Html) -> dict[str, str]:
    """What a page's forms say of the image that it showed."""
    return {name: shown.all("input", name=name)[0].attrs["value"] for name in ("revision", "seen")}


def write_words(store: Engine, image_id: int) -> None:
    """Save a caption, as another tab does."""
    with write(store) as session:
        captions.save(session, image_id, "a fox", "ann")


async def test_words_that_are_written_meanwhile_are_in_no_steps_way(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str], read_html: ReadHtml
) -> None:
    shown = shown_with(read_html(await http.get(f"/images/{image_id}/polish")))
    write_words(store, image_id)
    turn = {"step": "rotate", **shown}
    assert (await http.post(f"/images/{image_id}/polish/step", data=turn)).status_code == 303
    assert row_of(store, image_id).recipe == Recipe(quarter_turns=1)
    # What was shown before the turn is stale; what is there now comes along with the words that say so.
    for headers in ({}, htmx):
        data = {"step": "mirror", **shown}
        stale = await http.post(f"/images/{image_id}/polish/step", data=data, headers=headers)
        assert stale.status_code == 409
        told = read_html(stale)
        assert "a.png was changed in the meantime: its turns." in told.one("div", role="alert").text
        assert shown_with(told)["seen"] == '{"quarter_turns":1}'
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
        ("colour", {"background": "#112233"}, "no transparent parts"),
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


async def test_steps_are_undone_and_done_again_from_the_page(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str], read_html: ReadHtml
) -> None:
    await do(http, image_id, "rotate", row_of(store, image_id).revision)
    await do(http, image_id, "mirror", row_of(store, image_id).revision)
    with write(store) as session:
        # What is done to its words is another page's.
        captions.save(session, image_id, "a fox", "ann")
    shown = read_html(await http.get(f"/images/{image_id}/polish"))
    assert shown.one("button", id="undo").attrs["title"] == "Undo: a.png: mirrored (Ctrl+Z)"
    assert shown.one("button", id="undo").attrs["data-key"] == "ctrl+z"
    assert "disabled" in shown.one("button", id="redo").attrs
    url = f"/images/{image_id}/polish/step"

    def form(step: str) -> dict[str, object]:
        row = row_of(store, image_id)
        return {"step": step, "revision": row.revision, "seen": row.recipe.to_json()}

    answer = await http.post(url, data=form("undo"), headers=htmx)
    assert json.loads(answer.headers["hx-trigger"])["toast"]["text"] == "Undone: a.png: mirrored"
    assert read_html(answer).one("button", id="redo").attrs["title"] == "Redo: a.png: mirrored (Ctrl+Shift+Z)"
    assert row_of(store, image_id).recipe == Recipe(quarter_turns=1)
    assert (await http.post(url, data=form("undo"))).status_code == 303
    assert row_of(store, image_id).recipe == Recipe()
    assert "Undone" not in (await http.post(url, data=form("undo"), headers=htmx)).headers["hx-trigger"]
    for _ in range(2):
        await http.post(url, data=form("redo"))
    row = row_of(store, image_id)
    assert (row.recipe, row.caption) == (Recipe(quarter_turns=1, mirrored=True), "a fox")


async def test_what_somebody_did_meanwhile_is_not_undone_unseen(
    http: httpx.AsyncClient, store: Engine, image_id: int, htmx: dict[str, str]
) -> None:
    await do(http, image_id, "rotate", row_of(store, image_id).revision)
    row = row_of(store, image_id)
    await do(http, image_id, "mirror", row.revision)
    for fields in ({"seen": row.recipe.to_json(), "revision": row.revision + 1}, {"revision": row.revision}):
        answer = await http.post(f"/images/{image_id}/polish/step", data={"step": "undo", **fields}, headers=htmx)
        assert answer.status_code == 409
        assert "a.png was changed in the meantime" in answer.text
    assert row_of(store, image_id).recipe == Recipe(quarter_turns=1, mirrored=True)


def clear_picture(*, is_transparent: bool, shade: int = 0) -> bytes:
    """A picture with transparency in its file, of which it uses some or none."""
    image = Image.new("RGBA", (60, 40), (200, 30, shade, 255))
    if is_transparent:
        image.paste((0, 0, 0, 0), (0, 0, 30, 40))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def test_transparent_parts_are_offered_only_where_there_are_some(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, read_html: ReadHtml
) -> None:
    opaque = taken(settings, store, project_id, "opaque.png", clear_picture(is_transparent=False))
    clear = taken(settings, store, project_id, "clear.png", clear_picture(is_transparent=True))
    fields = {"background": "#112233", "alpha": "mask"}
    refused = await do(http, clear, "colour", 0, background="red")
    assert refused.status_code == 422
    assert "red is no colour" in refused.text
    assert (await do(http, clear, "colour", 0, **fields)).status_code == 303
    with write(store) as session:
        # As it could be set before.
        recipes.set_recipes(session, new_step(project_id, "you"), {opaque: Recipe(alpha="mask")})
    shown = read_html(await http.get(f"/images/{opaque}/polish"))
    assert [shown.all("select", id="alpha"), shown.all("input", id="shows-mask")] == [[], []]
    assert "shade.png" not in shown.source
    assert shown.one("button", id="reset")
    shown = read_html(await http.get(f"/images/{clear}/polish"))
    assert shown.one("select", id="alpha")
    (shade,) = (each.attrs["href"] for each in shown.all("image") if "shade.png" in each.attrs["href"])
    assert (await http.get(shade)).status_code == 200
    copies = await http.get(f"/images/{opaque}/polish/copy", params={"scope": "filter", "filter": "is:masked"})
    assert "clear.png" in copies.text
    copies = await http.get(f"/images/{clear}/polish/copy", params={"scope": "filter", "filter": "is:masked"})
    assert "opaque.png" not in copies.text
    await do(http, opaque, "reset", row_of(store, opaque).revision)
    assert row_of(store, opaque).recipe == Recipe()


async def test_reset_goes_to_what_the_project_decided_and_is_offered_only_where_it_changes_something(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, read_html: ReadHtml
) -> None:
    clear = taken(settings, store, project_id, "clear.png", clear_picture(is_transparent=True))
    await http.post(f"/projects/{project_id}/images/alpha", data={"ground": "grey", "use": "mask"})
    decided = Recipe(background="#808080", alpha="mask")

    async def offered() -> bool:
        return bool(read_html(await http.get(f"/images/{clear}/polish")).all("button", id="reset"))

    assert row_of(store, clear).recipe == decided
    assert not await offered()
    await do(http, clear, "colour", row_of(store, clear).revision, background="#112233", alpha="flatten")
    assert await offered()
    await do(http, clear, "reset", row_of(store, clear).revision)
    assert row_of(store, clear).recipe == decided
    assert not await offered()
