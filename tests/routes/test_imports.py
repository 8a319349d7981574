"""Reports of imports: filtered, tried again, gone on with, and questions answered there."""

from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import Engine, update

from app.store import history, images, imports, versions
from app.store.db import read, write
from app.store.imports import NewItem
from app.store.models import Blob, Caption
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture with two captions, one with one, two that are bad, and a caption of nobody."""
    made = tmp_path / "set"
    made.mkdir()
    (made / "two.png").write_bytes(picture(1))
    (made / "two.png.txt").write_text("the nearer words")
    (made / "two.txt").write_bytes("caf\u00e9".encode("cp1252"))
    (made / "one.png").write_bytes(picture(2, container="JPEG"))
    (made / "one.txt").write_text("one")
    (made / "bad.png").write_bytes(b"")
    (made / "worse.png").write_bytes(b"<html>")
    (made / "lonely.txt").write_text("whose?")
    return made


async def imported(http: httpx.AsyncClient, project_id: int, folder: Path) -> Html:
    """Import a folder and return its report."""
    sent = {"path": str(folder), "looked": str(folder), "step": "import"}
    await http.post(f"/projects/{project_id}/images/folder", data=sent)
    await over(http, project_id)
    listed = Html((await http.get(f"/projects/{project_id}/imports")).text)
    return Html((await http.get(listed.all("a", class_="import-name")[0].attrs["href"])).text)


async def over(http: httpx.AsyncClient, project_id: int) -> None:
    """Wait for the project's import to end."""
    with anyio.fail_after(60):
        while True:
            answer = await http.get(f"/projects/{project_id}/images/import")
            if answer.headers.get("hx-trigger") == "images-imported":
                return
            await anyio.sleep(0.02)


async def test_old_originals_are_measured_from_the_list_of_imports(
    http: httpx.AsyncClient, store: Engine, project_id: int, folder: Path
) -> None:
    await imported(http, project_id, folder)
    assert "not measured yet" not in (await http.get(f"/projects/{project_id}/imports")).text
    with write(store) as session:
        session.execute(update(Blob).values(facts=None))
    assert "2 images are not measured yet" in (await http.get(f"/projects/{project_id}/imports")).text
    begun = await http.post(f"/projects/{project_id}/imports/measure")
    assert begun.status_code == 303
    await over(http, project_id)
    assert "It was measured anew" in (await http.get(begun.headers["location"])).text
    assert "not measured yet" not in (await http.get(f"/projects/{project_id}/imports")).text


async def test_a_report_counts_and_filters(http: httpx.AsyncClient, project_id: int, folder: Path) -> None:
    report = await imported(http, project_id, folder)
    chips = {" ".join(chip.text.split()[:-1]): chip.text.split()[-1] for chip in report.all("a", class_="chip")}
    assert {"All": "5", "Refused": "3", "Questions": "1", "Added": "1"}.items() <= chips.items()
    refused = Html((await http.get("/imports/1?outcome=refused&code=F09")).text)
    assert [each.text for each in refused.all("p", class_="report-name")] == ["lonely.txt"]
    added = Html((await http.get("/imports/1?outcome=added")).text)
    assert [each.text for each in added.all("p", class_="report-name")] == ["one.png"]
    assert "It is a JPEG file whatever its name says" in added.source
    assert (await http.get("/imports/99")).status_code == 404


async def test_a_filter_stays_while_the_import_goes_on(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    with write(store) as session:
        row = imports.create(session, project_id, "{}", "you")
        items = [NewItem("a.png", "added"), NewItem("b.png", "refused", "F01", "It is empty.", "Copy it again.")]
        imports.add_items(session, row.id, items)
    page = Html((await http.get("/imports/1?outcome=refused&code=F01")).text)
    polled = page.one("div", id="report").attrs["hx-get"]
    part = Html((await http.get(polled, headers=htmx)).text)
    assert [each.text for each in part.all("p", class_="report-name")] == ["b.png"]
    assert part.one("div", id="report").attrs["hx-get"] == polled


async def test_a_question_is_answered_and_nothing_is_lost(
    http: httpx.AsyncClient, store: Engine, project_id: int, folder: Path, htmx: dict[str, str]
) -> None:
    await imported(http, project_id, folder)
    page = Html((await http.get("/imports/1?outcome=question")).text)
    assert [each.text for each in page.all("p", class_="question-text")] == ["the nearer words", "caf\u00e9"]
    assert "Western (Windows-1252)" in page.source
    url = page.one("form", class_="question").attrs["action"]
    with read(store) as session:
        (row,) = [each for each in images.training_rows(session, project_id) if each.name == "two.png"]
    assert row.caption == "the nearer words"
    assert (await http.post(url, data={"choice": "9"}, headers=htmx)).status_code == 422
    answer = await http.post(url, data={"choice": "1"}, headers=htmx)
    assert "No file is like that" in answer.text
    with read(store) as session:
        caption = session.get(Caption, row.id)
        origin, newest = history.entries(session, project_id, 2)
        after = images.get(session, row.id)
    assert caption is not None
    assert (caption.text, caption.raw, caption.came_from) == ("caf\u00e9", "caf\u00e9".encode("cp1252"), "two.txt")
    assert (newest.noun, newest.before, newest.after) == ("caption", '"the nearer words"', '"caf\u00e9"')
    assert (origin.verb, origin.batch) == ("bytes", newest.batch)
    assert after.revision == row.revision + 1
    assert (await http.post(url, data={"choice": "0"})).status_code == 409


async def test_refused_files_are_tried_again(
    http: httpx.AsyncClient, store: Engine, project_id: int, folder: Path, htmx: dict[str, str]
) -> None:
    report = await imported(http, project_id, folder)
    assert report.one("button", id="retry-all").text == "Try all 3 again"
    (folder / "bad.png").write_bytes(picture(7))
    again = await http.post("/imports/1/retry", headers=htmx)
    assert "3 files are tried again" in again.text
    await over(http, project_id)
    with read(store) as session:
        assert "bad.png" in {row.name for row in images.training_rows(session, project_id)}
    left = Html((await http.get("/imports/1?outcome=refused")).text)
    assert sorted(each.text for each in left.all("p", class_="report-name")) == ["lonely.txt", "worse.png"]
    (folder / "worse.png").write_bytes(picture(8))
    (item,) = [each.attrs["value"] for each in left.all("input", name="item") if each.attrs["value"]][:1]
    assert (await http.post("/imports/1/retry", data={"item": item})).status_code == 303
    await over(http, project_id)
    with read(store) as session:
        assert imports.get(session, 1).status == "done"
        assert "worse.png" in {row.name for row in images.training_rows(session, project_id)}


async def test_importing_again_adds_only_what_is_new(
    http: httpx.AsyncClient, store: Engine, project_id: int, folder: Path
) -> None:
    await imported(http, project_id, folder)
    (folder / "new.png").write_bytes(picture(9))
    (folder / "one.txt").write_text("another word for one")
    report = await imported(http, project_id, folder)
    names = [
        (each.text, mark.text) for each, mark in zip(report.all("p", class_="report-name"), marks(report), strict=True)
    ]
    assert sorted(names) == [
        ("bad.png", "Refused"),
        ("lonely.txt", "Refused"),
        ("new.png", "Added"),
        ("one.png", "Question"),
        ("two.png", "Question"),
        ("worse.png", "Refused"),
    ]
    with read(store) as session:
        captions = {row.name: row.caption for row in images.training_rows(session, project_id)}
    assert captions == {"two.png": "the nearer words", "one.png": "one", "new.png": None}


def marks(report: Html) -> list["object"]:
    """The outcome of each row."""
    return [each for each in report.all("span", class_="badge")]


async def test_a_cancelled_import_goes_on_from_its_report(
    http: httpx.AsyncClient, store: Engine, project_id: int, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(150):
        (many / f"{number:03d}.png").write_bytes(picture(number, 64 + number, 64))
    sent = {"path": str(many), "looked": str(many), "step": "import"}
    await http.post(f"/projects/{project_id}/images/folder", data=sent)
    assert (await http.post("/imports/1/cancel")).headers["location"] == "/imports/1"
    await over(http, project_id)
    page = Html((await http.get("/imports/1")).text)
    assert page.one("button", id="go-on").text == "Go on with the rest"
    await http.post("/imports/1/go-on")
    await over(http, project_id)
    with read(store) as session:
        assert len(images.training_rows(session, project_id)) == 150
    assert "done" in (await http.get("/imports/1/report")).text
    # A page that was left open still offers it.
    assert (await http.post("/imports/1/go-on")).status_code == 409
    assert "done" in (await http.get("/imports/1/report")).text


async def test_files_of_one_drop_share_a_report(http: httpx.AsyncClient, project_id: int, htmx: dict[str, str]) -> None:
    for name, data in (("a.png", picture(1)), ("bad.png", b"no"), ("a.txt", b"words")):
        headers = htmx | {"X-File-Name": name, "X-Drop": "one drop"}
        await http.post(f"/projects/{project_id}/images", content=data, headers=headers)
    page = Html((await http.get("/imports/1")).text)
    assert "files dropped on the page" in page.one("h1").text
    assert [each.text for each in page.all("p", class_="report-name")] == ["a.png", "bad.png"]
    assert not page.all("button", id="retry-all")


@pytest.mark.parametrize(("which", "texts"), [("standing", ["near 0", "near 1"]), ("other", ["far 0", "far 1"])])
async def test_all_questions_are_answered_as_one_step_that_is_undone(
    http: httpx.AsyncClient,
    store: Engine,
    project_id: int,
    tmp_path: Path,
    htmx: dict[str, str],
    which: str,
    texts: list[str],
) -> None:
    made = tmp_path / "set"
    made.mkdir()
    for number in range(2):
        (made / f"{number}.png").write_bytes(picture(number))
        (made / f"{number}.png.txt").write_bytes(f"near {number}\r\n".encode())
        (made / f"{number}.txt").write_bytes(f"far {number}\r\n".encode("utf-16"))
    page = await imported(http, project_id, made)
    assert page.one("form", class_="question-all").attrs["action"] == "/imports/1/answers"

    def captions() -> list[tuple[str, bytes | None]]:
        with read(store) as session:
            rows = [session.get_one(Caption, row.id) for row in images.training_rows(session, project_id)]
            return [(row.text.strip(), row.raw) for row in rows]

    before = captions()
    steps = await steps_of(store, project_id)
    answer = await http.post("/imports/1/answers", data={"which": which}, headers=htmx)
    assert "2 questions answered" in answer.text
    assert not Html(answer.text).all("form", class_="question-all")
    assert [text for text, _ in captions()] == texts
    assert all(raw for _, raw in captions())
    assert await steps_of(store, project_id) == steps + (which == "other")
    if which == "other":
        assert (await http.post(f"/projects/{project_id}/undo")).json()["said"] == "Undone: 2 captions"
    assert captions() == before
    again = await http.post("/imports/1/answers", data={"which": which}, headers=htmx)
    assert "0 questions answered: no caption changed" in again.text


async def steps_of(store: Engine, project_id: int) -> int:
    """How many steps the history of a project has."""
    with read(store) as session:
        return len(versions.past_steps(session, project_id))
