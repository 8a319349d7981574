"""Bulk edits over HTTP: a preview, one step, never on a broken filter; in the background when there are many."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.label.desk import Desk
from app.label.jobs import BulkJobs, Cancelled
from app.routes import bulk
from app.store import captions, images, parts, splits, undo
from app.store.db import read, write
from tests.drawing import project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

Read = Callable[[httpx.Response], Html]


@pytest.fixture
def filled_id(settings: Settings, store: Engine) -> int:
    """A project with three images."""
    return project_with_images(settings, store, 3)


def words_of(store: Engine, project_id: int) -> list[str]:
    """Its captions."""
    with read(store) as session:
        return [row.caption or "" for row in images.training_rows(session, project_id)]


async def test_an_edit_is_looked_at_before_and_undone_in_one_step(
    http: httpx.AsyncClient, store: Engine, filled_id: int, read_html: Read
) -> None:
    url = f"/projects/{filled_id}/label/bulk"
    before = words_of(store, filled_id)
    shown = read_html(await http.get(url))
    assert shown.one("h1").text == "Bulk edit"
    form = {"operation": "add", "tags": "new tag", "scope": "all"}
    preview = read_html(await http.post(url, data=form))
    assert len(preview.all("ins")) == 3
    assert preview.one("button", name="apply").text == "Add “new tag” to all 3 images"
    assert words_of(store, filled_id) == before
    done = await http.post(url, data={**form, "apply": "true"}, headers={"HX-Request": "true"})
    assert "Changed 3 images" in done.text
    assert all("new tag" in words for words in words_of(store, filled_id))
    await http.post(f"/projects/{filled_id}/undo")
    assert words_of(store, filled_id) == before


async def test_a_broken_filter_changes_nothing(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    before = words_of(store, filled_id)
    form = {"operation": "add", "tags": "x", "filter": "(cat", "apply": "true"}
    for suffix in ("", ".json"):
        answer = await http.post(f"/projects/{filled_id}/label/bulk{suffix}", data=form)
        assert answer.status_code == 422
        assert "not closed" in answer.text
    assert words_of(store, filled_id) == before


async def test_scopes_and_fields(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    url = f"/projects/{filled_id}/label/bulk.json"
    with read(store) as session:
        ids = [row.id for row in images.training_rows(session, filled_id)]
    marked = {"operation": "repeats", "value": "4", "scope": "selected", "ids": f"{ids[0]},x,{ids[2]}", "apply": "true"}
    answer = (await http.post(url, data=marked)).json()
    assert (answer["changed"], answer["scoped"]) == (2, 2)
    with read(store) as session:
        assert [row.repeats for row in images.training_rows(session, filled_id)] == [4, 1, 4]
    found = (await http.post(url, data={"operation": "add", "tags": "y", "filter": "repeats:4"})).json()
    assert (found["changed"], found["said"]) == (2, "")
    bad = await http.post(url, data={"operation": "replace", "tags": "(", "is_regex": "true"})
    assert (bad.status_code, bad.json()["field"]) == (422, "tags")


@pytest.mark.parametrize("operation", [key for key, _ in bulk.CHOICES])
async def test_every_operation_has_its_form(http: httpx.AsyncClient, filled_id: int, operation: str) -> None:
    answer = await http.get(f"/projects/{filled_id}/label/bulk", params={"operation": operation})
    assert answer.status_code == 200
    empty = await http.post(f"/projects/{filled_id}/label/bulk", data={"operation": operation, "apply": "true"})
    assert empty.status_code in (200, 422)


async def test_many_images_are_edited_in_the_background(
    http: httpx.AsyncClient, store: Engine, filled_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    url = f"/projects/{filled_id}/label/bulk"
    await http.post(url, data={"operation": "add", "tags": "slow", "scope": "all", "apply": "true"})
    async with asyncio.timeout(60):
        while "Changed 3 images" not in (await http.get(url, headers={"HX-Request": "true"})).text:
            await asyncio.sleep(0.02)
    assert all("slow" in words for words in words_of(store, filled_id))
    with read(store) as session:
        offer = undo.offers(session, filled_id)[0]
    assert offer is not None
    assert offer.words == "3 captions"
    await http.post(f"{url}/cancel")


def test_a_job_that_is_stopped_says_so() -> None:
    jobs = BulkJobs()

    def work(progress: bulk.Progress) -> str:
        while True:
            progress(1, 2)

    assert jobs.start(1, "Add", 2, work)
    assert not jobs.start(1, "Add", 2, work)
    jobs.cancel(1)
    jobs.close()
    job = jobs.job(1)
    assert job is not None
    assert (job.is_over, job.said) == (True, "Stopped; nothing was changed.")


async def test_an_edit_that_is_stopped_half_way_says_how_far_it_came_and_is_undone(
    store: Engine, filled_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(parts, name, 1)
    before = words_of(store, filled_id)
    form = bulk.BulkForm(operation="add", tags="slow", scope="all")

    def stop_before_the_last(done: int, total: int) -> None:
        if any("slow" in words for words in words_of(store, filled_id)):
            raise Cancelled

    said = bulk._apply(store, Desk(), filled_id, form, "ann", stop_before_the_last)
    assert said == "Stopped: 1 image of 3 changed. Undo takes that back in one step."
    assert sum("slow" in words for words in words_of(store, filled_id)) == 1
    assert undo.travel(store, filled_id, "ann", "undo")
    assert words_of(store, filled_id) == before


async def test_words_that_somebody_changed_while_it_was_planned_are_worked_on_as_they_are(
    store: Engine, filled_id: int
) -> None:
    with read(store) as session:
        image_id = images.training_rows(session, filled_id)[0].id
    is_changed = False

    def meanwhile(_done: int, _total: int) -> None:
        nonlocal is_changed
        if not is_changed:
            is_changed = True
            with write(store) as session:
                captions.save(session, image_id, "quite other words", "bob")

    bulk._apply(store, Desk(), filled_id, bulk.BulkForm(operation="add", tags="slow", scope="all"), "ann", meanwhile)
    with read(store) as session:
        assert images.get(session, image_id).caption == "quite other words, slow"


async def test_what_somebody_set_after_the_changes_were_shown_is_left_and_named(
    http: httpx.AsyncClient, store: Engine, filled_id: int, read_html: Read
) -> None:
    with read(store) as session:
        rows = images.training_rows(session, filled_id)
    url, form = f"/projects/{filled_id}/label/bulk", {"operation": "repeats", "value": "4", "scope": "all"}
    bob = {"Cookie": "studio-name=bob"}
    preview = read_html(await http.post(url, data=form))
    seen = preview.one("input", name="seen").attrs["value"]
    # Another field of one image, and the very same value for another: neither is in the way.
    await http.post(f"/images/{rows[0].id}/label/fields", data={"split": "held-out"}, headers=bob)
    await http.post(f"/images/{rows[1].id}/label/fields", data={"repeats": "9"}, headers=bob)
    await http.post(f"/images/{rows[2].id}/label/fields", data={"repeats": "4"}, headers=bob)
    done = await http.post(url, data={**form, "seen": seen, "apply": "true"}, headers={"HX-Request": "true"})
    said = read_html(done).one("div", role="status").text
    assert "Changed 1 image." in said
    assert f"1 image was left alone, since its repeats were set meanwhile: {rows[1].name} (9, by bob)." in said
    with read(store) as session:
        assert [row.repeats for row in images.training_rows(session, filled_id)] == [4, 9, 4]
    # Shown again, it is decided knowingly.
    seen = read_html(await http.post(url, data=form)).one("input", name="seen").attrs["value"]
    again = await http.post(url, data={**form, "seen": seen, "apply": "true"})
    assert "left alone" not in again.text
    with read(store) as session:
        assert [row.repeats for row in images.training_rows(session, filled_id)] == [4, 4, 4]


async def test_what_was_taken_back_meanwhile_is_as_it_was_shown(
    http: httpx.AsyncClient, store: Engine, filled_id: int, read_html: Read
) -> None:
    url, form = f"/projects/{filled_id}/label/bulk", {"operation": "licence", "value": "CC0-1.0", "scope": "all"}
    seen = read_html(await http.post(url, data=form)).one("input", name="seen").attrs["value"]
    for _ in range(2):
        done = await http.post(url, data={**form, "seen": seen, "apply": "true"})
        assert "Changed 3 images" in done.text
        assert "left alone" not in done.text
        await http.post(f"/projects/{filled_id}/undo")


async def test_a_field_that_is_set_between_two_parts_is_left(
    store: Engine, filled_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(parts, name, 1)
    with read(store) as session:
        rows = images.training_rows(session, filled_id)
    form = bulk.BulkForm(operation="split", value="held-out", scope="all")

    def set_the_last(done: int, total: int) -> None:
        with read(store) as session:
            begun = images.get(session, rows[0].id).split == "held-out"
        if begun:
            with write(store) as session:
                splits.set_split(session, filled_id, [rows[2].id], "regularisation", "bob")

    said = bulk._apply(store, Desk(), filled_id, form, "ann", set_the_last)
    assert f"its split was set meanwhile: {rows[2].name} (regularisation, by bob)." in said
    with read(store) as session:
        assert [row.split for row in images.training_rows(session, filled_id)] == [
            "held-out",
            "held-out",
            "regularisation",
        ]
