"""The ways in: look into a path, copy in the background, cancel, archives, addresses, another project."""

import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import history, images, imports, projects
from app.store.db import read, write
from app.store.models import Caption
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, one of them bad, two captions, one other file."""
    made = tmp_path / "pictures of a fox"
    (made / "inner").mkdir(parents=True)
    for number in range(3):
        (made / f"fox-{number}.png").write_bytes(picture(number))
    (made / "inner" / "broken.jpg").write_bytes(b"<html>no")
    (made / "fox-0.txt").write_text("a fox on grass")
    (made / "fox-1.txt").write_text("a fox on sand")
    (made / "notes.md").write_text("x")
    return made


async def finished(http: httpx.AsyncClient, project_id: int) -> httpx.Response:
    """Ask as the page does until the import is over."""
    with anyio.fail_after(60):
        while True:
            answer = await http.get(f"/projects/{project_id}/images/import")
            if answer.headers.get("hx-trigger") == "images-imported":
                return answer
            await anyio.sleep(0.02)


async def test_looking_says_what_would_come_and_copies_nothing(
    http: httpx.AsyncClient, settings: Settings, project_id: int, folder: Path, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}/images/folder"
    answer = await http.post(url, data={"path": f' "{folder}" ', "step": "look"}, headers=htmx)
    part = Html(answer.text)
    assert answer.status_code == 200
    assert "4 images, 2 with a caption" in part.source
    assert "1 other file is passed over" in part.one("div", id="left-out").text
    assert "The originals stay where they are" in part.source
    assert part.one("button", value="import").text == "Import 4 images"
    assert part.one("input", id="path").attrs["value"] == str(folder)
    assert not list(settings.blobs.rglob("*.*"))


@pytest.mark.parametrize("is_plain", [True, False])
async def test_an_import_reads_the_folder_and_reports_what_it_refused(
    http: httpx.AsyncClient, store: Engine, project_id: int, folder: Path, htmx: dict[str, str], is_plain: bool
) -> None:
    sent = {"path": str(folder), "looked": str(folder), "step": "import"}
    url = f"/projects/{project_id}/images"
    answer = await http.post(f"{url}/folder", data=sent, headers={} if is_plain else htmx)
    assert answer.headers["location" if is_plain else "hx-redirect"] == url
    report = Html((await finished(http, project_id)).text)
    assert "Import finished: 3 added, 1 refused" in report.source
    assert "broken.jpg cannot be read as an image: it is a web page" in report.one("span", class_="upload-reason").text
    with read(store) as session:
        found = [(row.name, row.caption) for row in images.training_rows(session, project_id)]
    assert found == [("fox-0.png", "a fox on grass"), ("fox-1.png", "a fox on sand"), ("fox-2.png", None)]
    assert (folder / "fox-0.png").read_bytes() == picture(0)
    assert "1 refused" in (await http.get(url)).text


async def test_a_path_that_was_not_looked_into_is_looked_into_first(
    http: httpx.AsyncClient, store: Engine, project_id: int, folder: Path
) -> None:
    sent = {"path": str(folder), "looked": str(folder / "inner"), "step": "import"}
    answer = await http.post(f"/projects/{project_id}/images/folder", data=sent)
    assert answer.status_code == 200
    assert "4 images" in answer.text
    with read(store) as session:
        assert images.training_rows(session, project_id) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (lambda folder: "", "There is no path"),
        (lambda folder: "pictures", "pictures is not a full path"),
        (lambda folder: str(folder / "none"), "does not exist"),
        (lambda folder: str(folder / "notes.md"), "is a file"),
    ],
)
async def test_a_path_that_is_no_folder_is_told_beside_the_field(
    http: httpx.AsyncClient,
    project_id: int,
    folder: Path,
    htmx: dict[str, str],
    path: Callable[[Path], str],
    words: str,
) -> None:
    for headers in ({}, htmx):
        sent = {"path": path(folder), "step": "look"}
        answer = await http.post(f"/projects/{project_id}/images/folder", data=sent, headers=headers)
        assert answer.status_code == 422
        assert words in Html(answer.text).one("p", id="path-error").text


async def test_a_folder_without_pictures_offers_no_import(
    http: httpx.AsyncClient, project_id: int, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    sent = {"path": str(tmp_path / "empty"), "looked": str(tmp_path / "empty"), "step": "import"}
    answer = await http.post(f"/projects/{project_id}/images/folder", data=sent)
    assert "There is no image in it" in answer.text
    assert not Html(answer.text).all("button", value="import")


async def test_a_cancelled_import_keeps_what_came_in(
    http: httpx.AsyncClient, store: Engine, project_id: int, tmp_path: Path, htmx: dict[str, str]
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number:03d}.png").write_bytes(picture(number, 64 + number, 64))
    sent = {"path": str(many), "looked": str(many), "step": "import"}
    await http.post(f"/projects/{project_id}/images/folder", data=sent)
    second = await http.post(f"/projects/{project_id}/images/folder", data=sent, headers=htmx)
    assert second.status_code == 409
    assert "under way" in second.text
    part = await http.post(f"/projects/{project_id}/images/import/cancel", headers=htmx)
    assert 'id="import"' in part.text
    report = (await finished(http, project_id)).text
    assert "Import cancelled" in report
    with read(store) as session:
        assert len(images.training_rows(session, project_id)) < 300
    plain = await http.post(f"/projects/{project_id}/images/import/cancel")
    assert plain.headers["location"] == f"/projects/{project_id}/images"


async def test_a_project_without_an_import_shows_none(http: httpx.AsyncClient, project_id: int) -> None:
    part = Html((await http.get(f"/projects/{project_id}/images/import")).text)
    assert "hidden" in part.one("div", id="import").attrs
    page = Html((await http.get(f"/projects/{project_id}/images/folder")).text)
    assert page.one("h1").text == "Import by path"


async def test_an_archive_comes_in_through_the_browser(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, htmx: dict[str, str], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("5_fox/a.png", picture(1))
        made.writestr("5_fox/a.txt", "a fox")
        made.writestr("5_fox/bad.png", b"no")
    headers = htmx | {"X-File-Name": "my%20set.zip"}
    body = (tmp_path / "a.zip").read_bytes()
    answer = await http.post(f"/projects/{project_id}/images/archive", content=body, headers=headers)
    assert Html(answer.text).one("li", class_="upload").attrs["data-status"] == "archive"
    report = await finished(http, project_id)
    assert "1 added, 1 refused" in report.text
    with read(store) as session:
        assert [(row.name, row.caption, row.repeats) for row in images.training_rows(session, project_id)] == [
            ("a.png", "a fox", 5)
        ]
    page = Html((await http.get("/imports/1")).text)
    assert "my set.zip" in page.one("h1").text
    assert not list((settings.data / "imports" / "staging").iterdir())


async def test_an_archive_is_refused_before_it_is_read_while_an_import_is_under_way(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, htmx: dict[str, str]
) -> None:
    read_so_far = []

    async def body() -> AsyncIterator[bytes]:
        for number in range(3):
            read_so_far.append(number)
            yield b"x"

    with write(store) as session:
        imports.create(session, project_id, "{}", "you")
    headers = htmx | {"X-File-Name": "a.zip"}
    answer = await http.post(f"/projects/{project_id}/images/archive", content=body(), headers=headers)
    assert (answer.status_code, read_so_far) == (409, [])
    assert "under way" in answer.text
    assert not (settings.data / "imports" / "staging").exists()
    missing = await http.post("/projects/99/images/archive", content=body(), headers=headers)
    assert (missing.status_code, read_so_far) == (404, [])


async def test_what_an_archive_is_read_as_is_told_before_and_after(
    http: httpx.AsyncClient, project_id: int, htmx: dict[str, str], tmp_path: Path
) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("5_fox/a.png", picture(1))
        made.writestr("5_fox/a.txt", "a fox")
        made.writestr("film.mp4", "x")
        made.writestr("cache.npz", "x")
    url = f"/projects/{project_id}/images/folder"
    part = Html((await http.post(url, data={"path": str(archive), "step": "look"}, headers=htmx)).text)
    assert "1 image, 1 with a caption, 1 left out" in part.source
    assert "kohya folder 5_fox: 5 repeats, class fox" in part.source
    left = part.one("div", id="left-out").text
    assert "film.mp4 is a video file" in left
    assert "1 other file is passed over" in left
    await http.post(url, data={"path": str(archive), "looked": str(archive), "step": "import"})
    await finished(http, project_id)
    report = (await http.get("/imports/1")).text
    assert "kohya folder 5_fox: 5 repeats, class fox" in report
    assert "1 other file is passed over" in report
    assert "film.mp4 is a video file" in report


async def test_addresses_are_not_tried_again_once_fetching_is_off(
    http: httpx.AsyncClient, project_id: int, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}/images/urls"
    await http.post(f"{url}/switch", data={"is_on": "true"})
    begun = await http.post(url, data={"urls": "https://me:secret@127.0.0.1/a.png"})
    await finished(http, project_id)
    report = begun.headers["location"]
    await http.post(f"{url}/switch", data={"is_on": "false"})
    plain, part = [await http.post(f"{report}/retry", headers=headers) for headers in ({}, htmx)]
    assert (plain.status_code, part.status_code) == (409, 200)
    for answer in (plain, part):
        assert "Fetching from addresses is off" in answer.text
        assert Html(answer.text).one("a", id="to-switch").attrs["href"] == url
        assert "secret" not in answer.text


async def test_addresses_are_off_until_switched_on(http: httpx.AsyncClient, project_id: int) -> None:
    url = f"/projects/{project_id}/images/urls"
    sent = {"urls": "https://127.0.0.1/a.png\n# a note\n\nhttp://example.org/b.png"}
    assert "Fetching from the web is off" in (await http.get(url)).text
    refused = await http.post(url, data=sent)
    assert refused.status_code == 422
    assert "Switch it on first" in refused.text
    await http.post(f"{url}/switch", data={"is_on": "true"})
    assert (await http.post(url, data={"urls": "\n#"})).status_code == 422
    started = await http.post(url, data=sent)
    assert started.status_code == 303
    await finished(http, project_id)
    page = (await http.get(started.headers["location"])).text
    assert "127.0.0.1 is not on the open internet." in page
    assert "http://example.org/b.png does not begin with https://." in page
    await http.post(f"{url}/switch", data={"is_on": "false"})
    assert "Fetching from the web is off" in (await http.get(url)).text


async def test_another_projects_images_come_with_all_that_is_theirs(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int
) -> None:
    with write(store) as session:
        other = projects.create(session, "Other", "style", "", None).id
    take_file(settings, store, other, "a.png", picture(1))
    take_file(settings, store, other, "a.txt", "caf\u00e9".encode("cp1252"))
    with write(store) as session:
        images.set_repeats(session, 1, 7)
    url = f"/projects/{project_id}/images/copy"
    assert "Other" in (await http.get(url)).text
    assert (await http.post(url, data={"other": str(project_id)})).status_code == 422
    started = await http.post(url, data={"other": str(other)})
    await finished(http, project_id)
    with read(store) as session:
        (row,) = images.training_rows(session, project_id)
        caption = session.get(Caption, row.id)
    assert (row.name, row.caption, row.repeats) == ("a.png", "caf\u00e9", 7)
    assert caption is not None
    assert (caption.raw, caption.encoding) == ("caf\u00e9".encode("cp1252"), "cp1252")
    await http.post(url, data={"other": str(other)})
    await finished(http, project_id)
    assert "Already here" in (await http.get(started.headers["location"].replace("1", "2"))).text


async def test_whoever_brings_images_stands_in_the_history(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, folder: Path, tmp_path: Path
) -> None:
    with write(store) as session:
        other = projects.create(session, "Other", "style", "", None).id
    take_file(settings, store, other, "other.png", picture(7))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("zipped.png", picture(8))
    url = f"/projects/{project_id}/images"
    http.cookies.set("studio-name", "Zo%C3%AB")
    await http.post(f"{url}/folder", data={"path": str(folder), "looked": str(folder), "step": "import"})
    await finished(http, project_id)
    body = (tmp_path / "a.zip").read_bytes()
    await http.post(f"{url}/archive", content=body, headers={"X-File-Name": "a.zip"})
    await finished(http, project_id)
    await http.post(f"{url}/urls/switch", data={"is_on": "true"})
    await http.post(f"{url}/urls", data={"urls": "https://127.0.0.1/a.png"})
    await finished(http, project_id)
    await http.post(f"{url}/copy", data={"other": str(other)})
    await finished(http, project_id)
    with read(store) as session:
        assert [row.by for row in imports.listed(session, project_id)] == ["Zoë"] * 4
        added = [each for each in history.entries(session, project_id) if each.verb == "add"]
        assert (len(added), {each.by for each in history.entries(session, project_id)}) == (5, {"Zoë"})
