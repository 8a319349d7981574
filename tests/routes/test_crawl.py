"""A crawl of every page: ids are unique, controls have labels, every link and region leads somewhere."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from tests.drawing import project_with_images
from tests.routes.conftest import Element, Html
from tests.routes.stories import finished_story, sweep_story, train_story

pytestmark = pytest.mark.anyio

FOLLOWED = {"a": "href", "img": "src", "link": "href", "script": "src"}
NO_LABEL = {"hidden", "submit", "button"}
MOST = 400


def addresses(page: Html) -> Iterator[str]:
    """Everything the page leads to or asks for with GET."""
    for element in page.elements:
        for name in (FOLLOWED.get(element.tag, ""), "hx-get", "data-url", "data-zoom", "data-picture"):
            if address := element.attrs.get(name):
                yield address
        if element.tag == "form" and element.attrs.get("method", "get") == "get":
            yield element.attrs.get("action", "")


def is_ours(address: str) -> bool:
    """Whether an address stays in the studio and may be asked for; a stream never ends, so it is left out."""
    return address.startswith("/") and not re.search(r"/events\b", address)


def unlabelled(page: Html) -> list[Element]:
    """Controls that a screen reader could not name: no label for them, none around them, no aria-label."""
    labelled = {label.attrs["for"] for label in page.all("label") if "for" in label.attrs}
    around = "".join(re.findall(r"<label\b[^>]*>(?:(?!</label>).)*</label>", page.source, re.DOTALL))
    controls = [*page.all("input"), *page.all("select"), *page.all("textarea")]
    return [
        control
        for control in controls
        if control.attrs.get("type") not in NO_LABEL
        and control.attrs.get("id") not in labelled
        and "aria-label" not in control.attrs
        and not _stands_in(around, control)
    ]


def _stands_in(labels: str, control: Element) -> bool:
    """Whether one of the labels holds this control."""
    marks = [f'{name}="{value}"' for name, value in control.attrs.items() if name in ("id", "name", "type") and value]
    return any(all(mark in tag for mark in marks) for tag in re.findall(rf"<{control.tag}\b[^>]*>", labels))


def check(url: str, page: Html) -> None:
    """What holds for every page."""
    ids = [element.attrs["id"] for element in page.elements if "id" in element.attrs]
    assert sorted(set(ids)) == sorted(ids), f"{url}: the same id twice"
    assert len(page.all("h1")) == 1, f"{url}: {len(page.all('h1'))} first headings"
    assert [control.attrs for control in unlabelled(page)] == [], url
    for label in page.all("label"):
        if "for" in label.attrs:
            assert label.attrs["for"] in ids, f"{url}: a label for nothing: {label.attrs['for']}"
    for image in page.all("img"):
        assert "alt" in image.attrs, f"{url}: {image.attrs}"
    for attrs, inside in re.findall(r"<button\b([^>]*)>(.*?)</button>", page.source, re.DOTALL):
        has_word = re.sub(r"<[^>]*>", "", inside).strip() or re.search(r'alt="[^"]+"', inside)
        assert has_word or "aria-label" in attrs or "hidden" in attrs, f"{url}: a button without a word: {attrs}"
    assert not any(name == "style" or name.startswith("on") for each in page.elements for name in each.attrs), url


async def test_every_page(http: httpx.AsyncClient, settings: Settings, store: Engine) -> None:
    project_id = project_with_images(settings, store, 3)
    story = finished_story(settings, store, project_id)
    sweep_story(story)
    train_story(settings, store, project_id)
    seen: set[str] = set()
    waiting = ["/", "/projects/new", f"/projects/{project_id}", f"/runs/{story.run.id}"]
    pages = 0
    while waiting and len(seen) < MOST:
        url = waiting.pop(0)
        if url in seen:
            continue
        seen.add(url)
        answer = await http.get(url)
        if answer.status_code == 303:
            waiting.append(answer.headers["location"])
            continue
        assert answer.status_code == 200, f"{url}: {answer.status_code}"
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        page = Html(answer.text)
        if "<html" in answer.text:
            pages += 1
            check(url, page)
        waiting += [_plain(address) for address in addresses(page) if is_ours(address)]
    assert pages >= 12
    assert not waiting


def _plain(address: str) -> str:
    parts = urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")
