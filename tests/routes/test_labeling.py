"""The labeling engine over HTTP: revisions, undo, completion, reading, facets, filters."""

import httpx
import pytest
from sqlalchemy import Engine

from app.collect.sidecars import MAX_CAPTION_BYTES
from app.config import Settings
from app.store import images
from app.store.db import read, write
from app.store.models import Caption
from tests.drawing import project_with_images

pytestmark = pytest.mark.anyio


@pytest.fixture
def filled_id(settings: Settings, store: Engine) -> int:
    """A project with three images."""
    return project_with_images(settings, store, 3)


def ids_of(store: Engine, project_id: int) -> list[int]:
    """Its images."""
    with read(store) as session:
        return [row.id for row in images.training_rows(session, project_id)]


async def save(http: httpx.AsyncClient, image_id: int, text: str, revision: int, by: str = "ann") -> httpx.Response:
    """Save words."""
    return await http.post(f"/images/{image_id}/label", data={"text": text, "revision": revision, "by": by})


async def test_a_stale_save_is_refused_with_what_stands_there(
    http: httpx.AsyncClient, store: Engine, filled_id: int
) -> None:
    image_id = ids_of(store, filled_id)[0]
    with read(store) as session:
        revision = images.get(session, image_id).revision
    first = await save(http, image_id, "a red fox, \r\nsnow", revision)
    assert first.status_code == 200
    assert first.json()["revision"] == revision + 1
    assert first.json()["saved_at"]
    stale = await save(http, image_id, "theirs", revision, "bob")
    assert stale.status_code == 409
    told = stale.json()
    assert (told["text"], told["by"], told["revision"]) == ("a red fox, \nsnow", "ann", revision + 1)
    same = await save(http, image_id, "a red fox, \nsnow", revision, "bob")
    assert (same.status_code, same.json()["revision"]) == (200, revision + 1)
    assert (await save(http, 9999, "x", 0)).status_code == 404
    long = await save(http, image_id, "x" * (MAX_CAPTION_BYTES + 1), revision + 1)
    assert (long.status_code, "too long" in long.json()["message"]) == (422, True)


async def test_who_saves_is_the_browsers_name(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    image_id = ids_of(store, filled_id)[0]
    await http.post(f"/images/{image_id}/label", data={"text": "x"}, headers={"Cookie": "studio-name=J%C3%BCrgen"})
    with read(store) as session:
        assert session.get_one(Caption, image_id).by == "Jürgen"


async def test_fields_are_set_and_undone(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    image_id = ids_of(store, filled_id)[1]
    form = {"split": "held-out", "repeats": "3", "reviewed": "on"}
    answer = await http.post(f"/images/{image_id}/label/fields", data=form)
    assert answer.status_code == 200
    with read(store) as session:
        row = images.get(session, image_id)
        assert (row.split, row.repeats, row.reviewed_by, row.revision) == (
            "held-out",
            3,
            "you",
            answer.json()["revision"],
        )
    stale = await http.post(f"/images/{image_id}/label/fields", data={"repeats": "5", "revision": "0"})
    assert stale.status_code == 409
    assert (await http.post(f"/images/{image_id}/label/fields", data={"repeats": "0"})).status_code == 422
    await http.post(f"/images/{image_id}/label/fields", data={"removed": "on"})
    assert image_id not in ids_of(store, filled_id)
    for _ in range(2):
        back = await http.post(f"/projects/{filled_id}/undo")
        assert back.json()["images"] == [image_id]
    with read(store) as session:
        row = images.get(session, image_id)
        assert (row.split, row.repeats, row.reviewed_by) == ("train", 1, None)


async def test_a_field_that_was_set_meanwhile_is_refused_by_name_and_the_others_go_through(
    http: httpx.AsyncClient, store: Engine, filled_id: int
) -> None:
    first, second = ids_of(store, filled_id)[:2]
    bob = {"Cookie": "studio-name=bob"}
    await http.post(f"/images/{first}/label/fields", data={"repeats": "5"}, headers=bob)
    mine = {"repeats": "2", "was_repeats": "1", "revision": "0", "step": "ab" * 16}
    told = await http.post(f"/images/{first}/label/fields", data=mine)
    assert told.status_code == 409
    with read(store) as session:
        row, revision = images.get(session, first), images.get(session, second).revision
    assert told.json() == {
        "revision": row.revision,
        "text": row.caption,
        "by": "bob",
        "message": f"bob set the repeats of {row.name} to 5 in the meantime, so yours was not written.",
        "hint": "Look at what is there now, and change it again if yours is right.",
        "fields": {"split": "train", "repeats": 5, "reviewed_by": None},
    }
    assert row.repeats == 5
    other = {**mine, "revision": str(revision)}
    assert (await http.post(f"/images/{second}/label/fields", data=other)).status_code == 200
    # Asked again with the newest revision it stays refused, as long as it was made on another value.
    again = await http.post(f"/images/{first}/label/fields", data={**mine, "revision": str(row.revision)})
    assert (again.status_code, again.json()["fields"]["repeats"]) == (409, 5)
    # Another field is not in the way; an old revision is, since other words may have come with it.
    split = {"split": "held-out", "was_split": "train"}
    old = await http.post(f"/images/{first}/label/fields", data={**split, "revision": "0"})
    assert (old.status_code, "fields" in old.json()) == (409, False)
    assert (await http.post(f"/images/{first}/label/fields", data=split)).status_code == 200
    with read(store) as session:
        rows = [images.get(session, each) for each in (first, second)]
    assert [(each.repeats, each.split) for each in rows] == [(5, "held-out"), (2, "train")]


async def test_keys_pressed_fast_and_answers_that_got_lost_are_no_clash(
    http: httpx.AsyncClient, store: Engine, filled_id: int
) -> None:
    image_id = ids_of(store, filled_id)[0]
    url = f"/images/{image_id}/label/fields"
    # The first is sent twice, as after an answer that never came; each names what the one before it left.
    for was, wanted in (("1", "2"), ("1", "2"), ("2", "4")):
        assert (await http.post(url, data={"was_repeats": was, "repeats": wanted})).status_code == 200
    for was in ("off", "on"):
        form = {"reviewed": "on", "was_reviewed": was}
        answer = await http.post(url, data=form, headers={"Cookie": "studio-name=ann"})
        assert answer.status_code == 200
    # Who says of a reviewed image that it is reviewed, takes nobody's mark away.
    form = {"reviewed": "on", "was_reviewed": "off"}
    assert (await http.post(url, data=form, headers={"Cookie": "studio-name=bob"})).status_code == 200
    with read(store) as session:
        row = images.get(session, image_id)
    assert (row.repeats, row.reviewed_by) == (4, "ann")
    off = await http.post(url, data={"reviewed": "off", "was_reviewed": "off"})
    assert off.status_code == 409
    assert "ann set the review mark" in off.json()["message"]
    assert (await http.post(url, data={"reviewed": "off", "was_reviewed": "on"})).status_code == 200


async def test_saves_of_one_step_are_undone_together(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    first, second = ids_of(store, filled_id)[:2]
    with read(store) as session:
        before = [images.get(session, each).caption for each in (first, second)]
    step = "0123456789abcdef" * 2
    for image_id in (first, second):
        await http.post(f"/images/{image_id}/label", data={"text": f"words {image_id}", "step": step})
        await http.post(f"/images/{image_id}/label/fields", data={"repeats": "7", "step": step})
    back = (await http.post(f"/projects/{filled_id}/undo")).json()
    assert back["images"] == [first, second]
    with read(store) as session:
        rows = [images.get(session, each) for each in (first, second)]
    assert [(row.caption, row.repeats) for row in rows] == [(each, 1) for each in before]
    wrong = await http.post(f"/images/{first}/label", data={"text": "x", "step": "no step"})
    assert wrong.status_code == 422


async def test_undo_and_redo_say_what_they_do(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    image_id = ids_of(store, filled_id)[0]
    with read(store) as session:
        row = images.get(session, image_id)
    await save(http, image_id, "mine", row.revision, "you")
    told = (await http.get(f"/projects/{filled_id}/history.json")).json()
    assert told == {"undo": f"caption of {row.name}", "redo": None}
    back = (await http.post(f"/projects/{filled_id}/undo")).json()
    assert back["said"] == f"Undone: caption of {row.name}"
    assert (back["images"], back["can_redo"]) == ([image_id], True)
    again = (await http.post(f"/projects/{filled_id}/redo")).json()
    assert again["said"] == f"Done again: caption of {row.name}"
    nothing = (await http.post(f"/projects/{filled_id}/redo")).json()
    assert (nothing["said"], nothing["images"]) == ("There is nothing to redo.", [])
    assert (await http.post("/projects/99/undo")).status_code == 404


async def test_completion_knows_the_dataset_and_the_users_lists(
    http: httpx.AsyncClient, store: Engine, settings: Settings, filled_id: int
) -> None:
    (settings.data / "vocabularies").mkdir()
    (settings.data / "vocabularies" / "mine.csv").write_text('red_fur,0,900,"crimson_fur"\nreddish,0,5,\n', "utf-8")
    await save(http, ids_of(store, filled_id)[0], "red mane, x", 99999, "ann")
    with write(store) as session:
        session.get_one(Caption, ids_of(store, filled_id)[0]).text = "red mane, x"
        images.set_repeats(session, ids_of(store, filled_id)[0], 2)
    answer = (await http.get(f"/projects/{filled_id}/label/complete.json", params={"q": "red", "seq": 7})).json()
    assert answer["seq"] == 7
    assert [item["tag"] for item in answer["items"]][:3] == ["red mane", "red fur", "reddish"]
    assert answer["items"][0]["count_here"] == 1
    alias = (await http.get(f"/projects/{filled_id}/label/complete.json", params={"q": "crims"})).json()["items"]
    assert (alias[0]["tag"], alias[0]["alias_of"]) == ("crimson fur", "red fur")


async def test_a_caption_is_read_as_it_trains(http: httpx.AsyncClient, filled_id: int) -> None:
    url = f"/projects/{filled_id}/label/read.json"
    lines = (await http.post(url, data={"text": "cat, a\\, b ||| x\n" + "red " * 100})).json()["lines"]
    assert [each["text"] for each in lines[0]["segments"] if each["kind"] != "gap"] == ["cat", "a\\, b", "|||", "x"]
    assert "".join(each["text"] for each in lines[0]["segments"]) == "cat, a\\, b ||| x"
    assert lines[0]["trainings"][0].endswith("cat, a, b, x")
    assert lines[0]["breaks"] == []
    assert lines[1]["tokens"] >= 100
    assert len(lines[1]["breaks"]) == 1


async def test_facets_and_saved_filters(http: httpx.AsyncClient, store: Engine, filled_id: int) -> None:
    image_id = ids_of(store, filled_id)[0]
    with read(store) as session:
        revision = images.get(session, image_id).revision
    await save(http, image_id, "blue hat, cat", revision)
    told = (await http.get(f"/projects/{filled_id}/label/facets.json", params={"filter": "hat"})).json()
    assert {"tag": "blue hat", "count": 1} in told["tags"]
    assert any(each["term"] == "is:unreviewed" and each["count"] == 1 for each in told["facets"])
    broken = await http.get(f"/projects/{filled_id}/label/facets.json", params={"filter": "(hat"})
    assert (broken.status_code, broken.json()["column"]) == (422, 0)
    url = f"/projects/{filled_id}/label/filters"
    assert (await http.post(url, data={"name": "Hats", "text": "hat OR cap"})).status_code == 200
    assert (await http.post(url, data={"name": "Bad", "text": "hat OR"})).status_code == 422
    assert (await http.get(f"{url}.json")).json() == [{"name": "Hats", "text": "hat OR cap"}]
    await http.post(f"{url}/remove", data={"name": "Hats"})
    assert (await http.get(f"{url}.json")).json() == []
