"""The import of a folder: look, copy in the background, cancel, report."""

from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.store import images
from app.store.db import read
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
    with anyio.fail_after(20):
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
    assert "4 images, 2 captions, 1 other file" in part.source
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
    assert "broken.jpg" in report.one("span", class_="upload-name").text
    assert "it is a web page" in report.one("span", class_="upload-reason").text
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
    assert "There is no PNG, JPEG or WebP image" in answer.text
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
    assert page.one("h1").text == "Import a folder"
