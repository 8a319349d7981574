"""The bar of rooms: every page of a step marks the one it belongs to, deep pages too."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.store import images
from app.store.db import read
from tests.drawing import picture, project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

Reader = Callable[[httpx.Response], Html]

PAGES = [
    ("/projects/{project}/images", "Images", "page"),
    ("/projects/{project}/images/folder", "Images", "true"),
    ("/projects/{project}/images/urls", "Images", "true"),
    ("/images/{image}/polish", "Images", "true"),
    ("/images/{image}/frames", "Images", "true"),
    ("/images/{image}/polish/copy", "Images", "true"),
    ("/projects/{project}/bars", "Images", "true"),
    ("/images/{image}/mask", "Images", "true"),
    ("/projects/{project}/subjects", "Subjects", "page"),
    ("/projects/{project}/held-out", "Held-out", "page"),
    ("/projects/{project}/label", "Label", "page"),
    ("/projects/{project}/label/bulk", "Label", "true"),
    ("/images/{image}/caption", "Label", "true"),
    ("/projects/{project}/disagreements?tag=a", "Suggestions", "true"),
    ("/projects/{project}/versions", "History", "page"),
]


@pytest.fixture
def ready_id(settings: Settings, store: Engine) -> int:
    """A project with four captioned images."""
    return project_with_images(settings, store)


def current(page: Html) -> list[tuple[str, str]]:
    """The rooms that are marked, each with how."""
    rooms = page.all("a", class_="room")
    return [(each.text, each.attrs["aria-current"]) for each in rooms if "aria-current" in each.attrs]


async def test_the_room_of_a_page_is_marked(
    http: httpx.AsyncClient, store: Engine, ready_id: int, read_html: Reader
) -> None:
    with read(store) as session:
        image_id = images.page(session, ready_id, limit=1)[0].id
    for address, room, how in PAGES:
        answer = await http.get(address.format(project=ready_id, image=image_id))
        assert answer.status_code == 200, address
        assert current(read_html(answer)) == [(room, how)], address


async def test_a_report_belongs_to_the_imports(http: httpx.AsyncClient, project_id: int, read_html: Reader) -> None:
    sent = await http.post(
        f"/projects/{project_id}/images", content=picture(1), headers={"X-File-Name": "new.png", "X-Drop": "one"}
    )
    assert sent.is_success
    listed = read_html(await http.get(f"/projects/{project_id}/imports"))
    report = read_html(await http.get(listed.all("a", class_="import-name")[0].attrs["href"]))
    assert current(report) == [("Imports", "true")]


async def test_an_empty_room_leads_to_the_images(http: httpx.AsyncClient, project_id: int, read_html: Reader) -> None:
    for room in ("imports", "duplicates", "buckets", "held-out", "provenance", "export"):
        page = read_html(await http.get(f"/projects/{project_id}/{room}"))
        (way,) = [each for each in page.all("a", class_="primary") if each.text == "Add images"]
        assert way.attrs["href"] == f"/projects/{project_id}/images", room


async def test_the_overview_leads_to_export_once_there_are_images(
    http: httpx.AsyncClient, ready_id: int, project_id: int, read_html: Reader
) -> None:
    for each_id, is_there in ((ready_id, True), (project_id, False)):
        page = read_html(await http.get(f"/projects/{each_id}"))
        assert any(a.attrs.get("href") == f"/projects/{each_id}/export" for a in page.all("a")) is is_there


async def test_an_empty_answer_offers_nothing_that_cannot_be_done(
    http: httpx.AsyncClient, ready_id: int, project_id: int, read_html: Reader
) -> None:
    for show, can_set in (("missing", True), ("no-ai", False)):
        page = read_html(await http.get(f"/projects/{ready_id}/provenance?show={show}"))
        assert ("disabled" not in page.one("button", id="set-all").attrs) is can_set
    tags = read_html(await http.get(f"/projects/{project_id}/tags"))
    (way,) = [each for each in tags.all("a") if each.text == "ask a model for suggestions"]
    assert way.attrs["href"] == f"/projects/{project_id}/suggestions"
