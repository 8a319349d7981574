"""The guard: who gets in, from where, and what every answer carries."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.routing import Mount
from starlette.types import ASGIApp

from app import error_pages, login
from app.config import Settings
from app.main import create_app
from app.security import OWN_HEADER, POLICY, RESPONSE_HEADERS, Guard, cookie_name, cookie_value

pytestmark = pytest.mark.anyio

PORT = 7870
TOKEN = "a token that is long enough"
PAGE_HEADERS = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:7870",
    "localhost",
    "localhost:80",
    "localhost:78700",
    "localhost.:7870",
    "localhost:7870.evil.example",
    "localhost:7870@evil.example",
    "evil.example@localhost:7870",
    "127.1:7870",
    "127.0.0.1.nip.io:7870",
    "0.0.0.0:7870",
    "192.168.1.5:7870",
    "[::]:7870",
    "localhost:",
    "localhost:07870x",
    "localhost :7870",
    "",
)
OWN_HOSTS = ("localhost:7870", "LOCALHOST:7870", "127.0.0.1:7870", "[::1]:7870")


class Changes:
    """Counts what got through to a route that changes something."""

    def __init__(self) -> None:
        self.count = 0

    async def change(self) -> dict[str, int]:
        """Change something."""
        self.count += 1
        return {"count": self.count}


async def show() -> PlainTextResponse:
    """Show something."""
    return PlainTextResponse("shown")


async def fail() -> None:
    """Make a mistake."""
    raise RuntimeError("a secret of the inside")


class Small:
    """A small app behind the guard, and what changed in it."""

    def __init__(self, settings: Settings, static: Path) -> None:
        self.changes = Changes()
        self.inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.inner.state.settings = settings
        error_pages.install(self.inner)
        self.inner.add_api_route("/show", show, methods=["GET", "HEAD"])
        self.inner.add_api_route("/api/show", show)
        self.inner.add_api_route("/fail", fail)
        self.inner.add_api_route("/change", self.changes.change, methods=["POST", "PUT", "PATCH", "DELETE"])
        self.inner.include_router(login.router)
        self.inner.mount("/static", StaticFiles(directory=static))
        self.guarded: ASGIApp = Guard(self.inner, settings)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A folder with one static file."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.css").write_text("body {}")
    return tmp_path / "static"


@pytest.fixture
def small(settings: Settings, static: Path) -> Small:
    """The small app as one person runs it: no token."""
    return Small(replace(settings, port=PORT), static)


@pytest.fixture
def shared(settings: Settings, static: Path) -> Small:
    """The small app as a team runs it: with a token."""
    return Small(replace(settings, port=PORT, token=TOKEN), static)


def client(app: ASGIApp, raises: bool = True) -> httpx.AsyncClient:
    """A client that talks to an app without a network."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
    return httpx.AsyncClient(transport=transport, base_url=f"http://localhost:{PORT}")


def addresses(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path of an app's route table, a static file and an address that leads nowhere."""
    for route in iter_route_contexts(app.routes):
        path = (route.path or "").replace(":path", "").replace("{", "").replace("}", "")
        if isinstance(route.original_route, Mount):
            yield "GET", f"{path}/a.css"
        yield from ((method, path) for method in sorted(route.methods or ()))
    yield "GET", "/nowhere"
    yield "POST", "/nowhere"


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_foreign_host_is_refused_on_every_route(small: Small, host: str) -> None:
    async with client(small.guarded) as http:
        for method, path in addresses(small.inner):
            answer = await http.request(method, path, headers={"host": host, OWN_HEADER: "1"})
            assert answer.status_code == 400, (method, path)
    assert small.changes.count == 0


async def test_two_hosts_are_refused(small: Small) -> None:
    async with client(small.guarded) as http:
        twice = [("host", "localhost:7870"), ("host", "evil.example")]
        assert (await http.get("/show", headers=twice)).status_code == 400


@pytest.mark.parametrize("host", OWN_HOSTS)
async def test_own_hosts_are_answered(small: Small, host: str) -> None:
    async with client(small.guarded) as http:
        assert (await http.get("/show", headers={"host": host})).text == "shown"


async def test_port_80_needs_no_port_in_the_host(settings: Settings, static: Path) -> None:
    async with client(Small(replace(settings, port=80), static).guarded) as http:
        assert (await http.get("/show", headers={"host": "localhost"})).status_code == 200
        assert (await http.get("/show", headers={"host": "localhost:7870"})).status_code == 400


CHANGE_CASES = [
    ({"sec-fetch-site": "same-origin"}, 200),
    ({"sec-fetch-site": "same-origin", "origin": "http://localhost:7870"}, 200),
    ({"sec-fetch-site": "same-origin", "origin": "null"}, 403),
    ({"sec-fetch-site": "cross-site"}, 403),
    ({"sec-fetch-site": "same-site", "origin": "http://localhost:3000"}, 403),
    ({"sec-fetch-site": "none"}, 403),
    ({"sec-fetch-site": "cross-site", "origin": "http://localhost:7870"}, 403),
    ({"sec-fetch-site": "cross-site", OWN_HEADER: "1"}, 403),
    ({"sec-fetch-site": "cross-site", **{"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}}, 403),
    ({"origin": "http://localhost:7870"}, 200),
    ({"origin": "http://127.0.0.1:7870"}, 403),
    ({"origin": "http://localhost:3000"}, 403),
    ({"origin": "https://localhost:7870"}, 403),
    ({"origin": "http://localhost"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "null", OWN_HEADER: "1"}, 403),
    ({"origin": ""}, 403),
    ({}, 403),
    ({OWN_HEADER: "1"}, 200),
    ({"authorization": "Bearer x"}, 200),
    ({"authorization": "Basic x"}, 403),
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("headers", "status"), CHANGE_CASES)
async def test_only_our_own_pages_and_scripts_change_anything(
    small: Small, method: str, headers: dict[str, str], status: int
) -> None:
    async with client(small.guarded) as http:
        answer = await http.request(method, "/change", headers=headers)
    assert answer.status_code == status
    assert small.changes.count == (1 if status == 200 else 0)


READ_CASES = [
    ({}, 200),
    ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 200),
    (PAGE_HEADERS, 200),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
    ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
    ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
    ({"sec-fetch-site": "something-new"}, 403),
]


@pytest.mark.parametrize("path", ["/show", "/api/show", "/static/a.css", "/nowhere"])
@pytest.mark.parametrize(("headers", "status"), READ_CASES)
async def test_other_sites_may_link_but_not_read(small: Small, path: str, headers: dict[str, str], status: int) -> None:
    async with client(small.guarded) as http:
        answer = await http.get(path, headers=headers)
    assert answer.status_code == (404 if (path, status) == ("/nowhere", 200) else status)


async def test_preflight_of_another_site_gets_no_permission(small: Small) -> None:
    asks = {"origin": "http://evil.example", "access-control-request-method": "DELETE", "sec-fetch-site": "cross-site"}
    async with client(small.guarded) as http:
        answer = await http.options("/change", headers=asks)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def has_our_headers(answer: httpx.Response) -> bool:
    """Whether an answer carries the whole set, once."""
    fixed = all(answer.headers.get_list(name) == [value] for name, value in RESPONSE_HEADERS.items())
    return fixed and answer.headers.get_list("content-security-policy") == [POLICY]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/show", 200),
        ("HEAD", "/show", 200),
        ("GET", "/static/a.css", 200),
        ("GET", "/static/../a", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/change", 405),
        ("POST", "/change", 403),
        ("GET", "/fail", 500),
        ("GET", "/api/show", 200),
    ],
)
async def test_every_answer_carries_our_headers(small: Small, method: str, path: str, status: int) -> None:
    async with client(small.guarded, raises=False) as http:
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert has_our_headers(answer)
        refused = await http.request(method, path, headers={"host": "evil.example"})
        assert has_our_headers(refused)


async def test_without_the_token_nothing_is_shown(shared: Small) -> None:
    async with client(shared.guarded) as http:
        for method, path in addresses(shared.inner):
            if path in ("/login", "/static/a.css"):
                continue
            for extra in ({}, {"authorization": "Bearer wrong"}, {"cookie": f"lora-studio-{PORT}=wrong"}):
                answer = await http.request(method, path, headers={OWN_HEADER: "1", **extra})
                assert answer.status_code == 401, (method, path)
                assert TOKEN not in answer.text
                assert has_our_headers(answer)
    assert shared.changes.count == 0


async def test_refusal_takes_the_form_that_is_asked_for(shared: Small) -> None:
    async with client(shared.guarded) as http:
        data = await http.get("/api/show")
        assert data.json()["error"]["message"].startswith("This LoRA Studio asks for its token.")
        html = await http.get("/show?a=1&b=2", headers={"accept": "text/html", **PAGE_HEADERS})
        assert html.status_code == 401
        assert 'name="next" value="/show?a=1&amp;b=2"' in html.text
        part = await http.get("/show", headers={"accept": "text/html", "hx-request": "true"})
        assert part.headers["hx-redirect"] == "/login"


async def test_bearer_token_opens(shared: Small) -> None:
    async with client(shared.guarded) as http:
        headers = {"authorization": f"Bearer {TOKEN}"}
        assert (await http.get("/show", headers=headers)).text == "shown"
        assert (await http.post("/change", headers=headers)).status_code == 200
        cross = await http.post("/change", headers={**headers, "sec-fetch-site": "cross-site"})
        assert cross.status_code == 403


async def test_login_gives_a_cookie_that_opens(shared: Small) -> None:
    own = {"sec-fetch-site": "same-origin"}
    async with client(shared.guarded) as http:
        assert (await http.get("/login", headers=PAGE_HEADERS)).status_code == 200
        assert (await http.get("/static/a.css")).status_code == 200
        wrong = await http.post("/login", data={"token": "wrong", "next": "/show"}, headers=own)
        assert wrong.status_code == 401
        assert "This is not the token" in wrong.text
        assert "set-cookie" not in wrong.headers
        right = await http.post("/login", data={"token": f" {TOKEN}\n", "next": "/show?a=1"}, headers=own)
        assert (right.status_code, right.headers["location"]) == (303, "/show?a=1")
        cookie = right.headers["set-cookie"]
        assert cookie.startswith(f"lora-studio-{PORT}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert (await http.get("/show")).text == "shown"
        assert (await http.post("/change", headers=own)).status_code == 200
        assert (await http.post("/change", headers={"sec-fetch-site": "same-site"})).status_code == 403


async def test_login_from_another_site_is_refused(shared: Small) -> None:
    async with client(shared.guarded) as http:
        answer = await http.post("/login", data={"token": TOKEN}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "\\evil", "javascript:x", "/a\nb", ""]
)
async def test_login_leads_nowhere_else(shared: Small, wanted: str) -> None:
    async with client(shared.guarded) as http:
        data = {"token": TOKEN, "next": wanted}
        answer = await http.post("/login", data=data, headers={"sec-fetch-site": "same-origin"})
    assert answer.headers["location"] == "/"


async def test_login_refuses_a_body_that_is_no_token(shared: Small) -> None:
    async with client(shared.guarded) as http:
        answer = await http.post("/login", data={"token": "x" * 10_000}, headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 413


async def test_with_a_token_addresses_are_hosts_but_foreign_names_are_not(shared: Small) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with client(shared.guarded) as http:
        for host, status in (
            ("192.168.1.5:7870", 200),
            ("[fe80::1]:7870", 200),
            ("192.168.1.5:80", 400),
            ("evil.example:7870", 400),
            ("127.1:7870", 400),
        ):
            assert (await http.get("/show", headers={**bearer, "host": host})).status_code == status, host


def test_cookie_is_bound_to_port_and_token(settings: Settings) -> None:
    assert cookie_name(settings) == "lora-studio-7870"
    assert cookie_value("a" * 20) != cookie_value("b" * 20)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """The whole studio, started."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


async def test_whole_studio_is_guarded_on_every_route(settings: Settings) -> None:
    async with running(replace(settings, token=TOKEN)) as app, client(app) as http:
        paths = list(addresses(app))
        assert {("GET", "/healthz"), ("POST", "/login"), ("GET", "/static/a.css")} <= set(paths)
        for method, path in paths:
            foreign = await http.request(method, path, headers={"host": "evil.example:7870", OWN_HEADER: "1"})
            assert foreign.status_code == 400, (method, path)
            assert has_our_headers(foreign)
            cross = await http.request(method, path, headers={"sec-fetch-site": "cross-site"})
            assert cross.status_code == 403, (method, path)
            if path != "/login" and not path.startswith("/static"):
                stranger = await http.request(method, path, headers={OWN_HEADER: "1"})
                assert stranger.status_code == 401, (method, path)


@pytest.mark.parametrize("path", ["/api/projects", "/projects", "/projects/1/images"])
async def test_a_body_that_is_too_large_is_told_in_our_words(settings: Settings, path: str) -> None:
    async with running(replace(settings, port=PORT)) as app, client(app) as http:
        headers = {OWN_HEADER: "1", "content-length": str(10**10), "content-type": "application/json"}
        answer = await http.post(path, content=b"{}", headers=headers)
    assert answer.status_code == 413
    assert "larger than LoRA Studio takes" in answer.text
    assert "Send less at once." in answer.text
    assert has_our_headers(answer)
    assert path != "/api/projects" or answer.json()["error"]["hint"]
