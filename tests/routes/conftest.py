"""The whole studio on a data folder of its own, asked as a browser asks, and a reader for its HTML."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from app.config import Settings
from app.main import create_app
from app.store import projects
from app.store.db import write

VOID = {"input", "img", "link", "meta", "br", "hr"}


@dataclass
class Element:
    """One element: its name, attributes, and the text inside it."""

    tag: str
    attrs: dict[str, str]
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text, with spaces as a reader sees them."""
        return " ".join("".join(self.parts).split())


class Html(HTMLParser):
    """A page or a partial as elements, in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(made)
        if tag not in VOID:
            self._open.append(made)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element of this name."""
        place = next((at for at in reversed(range(len(self._open))) if self._open[at].tag == tag), None)
        if place is not None:
            del self._open[place:]

    def handle_data(self, data: str) -> None:
        """Add text to everything it stands in."""
        for element in self._open:
            element.parts.append(data)

    def all(self, tag: str, **attrs: str) -> list[Element]:
        """Every element with this name and these attributes; `class_` asks for one class among others."""
        wanted = dict(attrs)
        has_class = wanted.pop("class_", None)
        return [
            each
            for each in self.elements
            if each.tag == tag
            and all(each.attrs.get(name) == value for name, value in wanted.items())
            and (has_class is None or has_class in each.attrs.get("class", "").split())
        ]

    def one(self, tag: str, **attrs: str) -> Element:
        """The only element with this name and these attributes."""
        found = self.all(tag, **attrs)
        assert len(found) == 1, f"{len(found)} × <{tag} {attrs}> in\n{self.source[:3000]}"
        return found[0]


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The studio, started on an empty data folder."""
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def store(app: FastAPI) -> Engine:
    """The store of the started studio."""
    engine: Engine = app.state.engine
    return engine


@pytest.fixture
async def http(app: FastAPI, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client under the studio's own address, which may change things; redirects are not followed."""
    base = f"http://localhost:{settings.port}"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=base, headers={"X-LoRA-Studio": "1"}) as client:
        yield client


@pytest.fixture
def htmx() -> dict[str, str]:
    """The headers of a region that asks for its partial."""
    return {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def project_id(store: Engine) -> int:
    """An empty project with a trigger word and no base."""
    with write(store) as session:
        return projects.create(session, "Red fox", "character", "rdfx", None).id


@pytest.fixture
def read_html() -> Callable[[httpx.Response], Html]:
    """Reads the HTML of an answer."""
    return lambda answer: Html(answer.text)
