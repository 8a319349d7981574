"""Folders that a browser sends come in as the same folder by path, and leave no copy behind."""

from pathlib import Path
from urllib.parse import quote

import anyio
import httpx
import pytest
from sqlalchemy import Engine

from app.collect.imports import import_paths
from app.config import Settings
from app.store import images, imports, projects
from app.store.db import read, write
from app.store.imports import Wanted
from tests.collect.fixtures import encoded, noise
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


def dataset(root: Path) -> Path:
    """Folders of several tools in one: repeats, regularisation, a list, words for a whole folder, what is no image."""
    files = {
        "img/3_fox/a.png": picture(1),
        "img/3_fox/a.txt": b"a fox",
        "img/3_fox/sub/b.png": picture(2),
        "reg/1_animal/r.png": picture(3),
        "reg/1_animal/r.txt": b"an animal",
        "plain/default.txt": b"words for all",
        "plain/c.png": picture(4),
        "plain/d.psd": b"8BPS" + bytes(9_000),
        "listed/metadata.jsonl": b'{"file_name": "e.png", "text": "from a list"}\n',
        "listed/e.png": picture(5),
        "one/f.png": picture(6),
        "one/f-masklabel.png": encoded(noise(7).convert("L")),
        "broken.png": b"no picture",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


async def send(http: httpx.AsyncClient, project_id: int, drop: str, root: Path) -> int:
    """Send the files of a folder as the page does, and return how many."""
    found = [path for path in sorted(root.rglob("*")) if path.is_file()]
    for path in found:
        name = path.relative_to(root.parent).as_posix()
        headers = {"X-Drop": drop, "X-File-Name": quote(name, safe=""), "HX-Request": "true"}
        answer = await http.post(f"/projects/{project_id}/uploads/file", content=path.read_bytes(), headers=headers)
        assert answer.status_code == 204, answer.text
    return len(found)


async def over(http: httpx.AsyncClient, project_id: int) -> str:
    """Wait for the end of the import."""
    with anyio.fail_after(60):
        while True:
            part = await http.get(f"/projects/{project_id}/images/import")
            if "Import under way" not in part.text:
                return part.text
            await anyio.sleep(0.02)


async def gone(path: Path) -> None:
    """Wait until something is deleted, which is done once the import is over."""
    with anyio.fail_after(60):
        while path.exists():
            await anyio.sleep(0.02)


def state(store: Engine, project_id: int) -> list[tuple[object, ...]]:
    """All that an import brought: images with all that a dataset says of them, and the rows of the report."""
    with read(store) as session:
        rows = images.training_rows(session, project_id)
        (report,) = imports.listed(session, project_id)
        told = imports.items(session, report.id, Wanted())
        brought = [(row.name, row.caption, row.repeats, row.split, row.recipe.mask) for row in rows]
        return [*brought, *((item.name, item.outcome, item.code, item.message) for item in told)]


async def test_a_sent_folder_is_the_same_folder_by_path(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, tmp_path: Path, htmx: dict[str, str]
) -> None:
    root = dataset(tmp_path / "set")
    with write(store) as session:
        other = projects.create(session, "By path", "style", "", None).id
    import_paths(settings, store, other, [root], on_outcome=lambda *_: None)
    count = await send(http, project_id, "one", root)
    asked = {"drop": "one", "files": str(count)}
    part = await http.post(f"/projects/{project_id}/uploads/import", data=asked, headers=htmx)
    assert 'id="import"' in part.text
    await over(http, project_id)
    assert state(store, project_id) == state(store, other)
    repeats = {name: number for name, _, number, *_ in state(store, project_id)[:6]}
    assert repeats["a.png"] == 3
    page = Html((await http.get("/imports/2")).text)
    assert page.one("h1").text == "Import of set"
    assert not page.all("button", id="retry-all")
    kept = settings.data / "imports"
    await gone(kept / "2" / "sent")
    assert not [path for path in kept.rglob("*") if path.is_file() and path.name != ".lock"]


async def test_only_a_whole_folder_is_imported(http: httpx.AsyncClient, project_id: int, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (root / "a.png").write_bytes(picture(1))
    url = f"/projects/{project_id}/uploads/import"
    count = await send(http, project_id, "one", root)
    short = await http.post(url, data={"drop": "one", "files": str(count + 1)})
    assert short.status_code == 422
    assert "1 of 2 files are here" in short.text
    assert (await http.post(url, data={"drop": "another", "files": "0"})).status_code == 422
    begun = await http.post(url, data={"drop": "one", "files": str(count)})
    assert (begun.status_code, begun.headers["location"]) == (303, "/imports/1")
    await over(http, project_id)
    assert (await http.post(url, data={"drop": "one", "files": str(count)})).status_code == 422


async def test_what_was_sent_is_deleted_when_the_sending_is_cancelled(
    http: httpx.AsyncClient, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    await send(http, project_id, "one", dataset(tmp_path / "set"))
    assert list((settings.data / "imports" / "sent").iterdir())
    answer = await http.post(f"/projects/{project_id}/uploads/discard", data={"drop": "one"})
    assert answer.status_code == 204
    assert not list((settings.data / "imports" / "sent").iterdir())


async def test_a_cancelled_import_is_gone_on_with(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for number in range(150):
        (root / f"{number}.png").write_bytes(picture(number, 64 + number, 64))
    count = await send(http, project_id, "one", root)
    await http.post(f"/projects/{project_id}/uploads/import", data={"drop": "one", "files": str(count)})
    await http.post("/imports/1/cancel")
    await over(http, project_id)
    assert list((settings.data / "imports" / "1" / "sent").iterdir())
    await http.post("/imports/1/go-on")
    await over(http, project_id)
    with read(store) as session:
        assert len(images.training_rows(session, project_id)) == 150
    await gone(settings.data / "imports" / "1" / "sent")


@pytest.mark.parametrize("name", ["../../x.png", "x.png", "X/.ssh/id", "%00", ""])
async def test_a_file_without_a_place_is_refused(
    http: httpx.AsyncClient, settings: Settings, project_id: int, name: str, htmx: dict[str, str]
) -> None:
    headers = htmx | {"X-Drop": "../../one", "X-File-Name": quote(name, safe="%")}
    before = sorted(settings.data.parent.rglob("*"))
    answer = await http.post(f"/projects/{project_id}/uploads/file", content=b"x", headers=headers)
    assert answer.status_code == 422
    assert "is left out" in Html(answer.text).one("div", **{"data-error": ""}).text
    made = set(settings.data.parent.rglob("*")) - set(before)
    # The store opens and closes files of its own.
    assert not [path for path in made if path.is_file() and not path.name.startswith(settings.store_path.name)]


async def test_another_site_sends_nothing(http: httpx.AsyncClient, settings: Settings, project_id: int) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "X-File-Name": "X/a.png"}
    for part in ("file", "import", "discard"):
        answer = await http.post(f"/projects/{project_id}/uploads/{part}", headers=foreign)
        assert answer.status_code == 403, part
    assert not (settings.data / "imports").exists() or not list((settings.data / "imports").iterdir())
    gone = await http.post("/projects/77/uploads/file", content=b"x", headers={"X-File-Name": "X/a.png"})
    assert gone.status_code == 404
