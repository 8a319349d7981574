"""Every form and every address against broken, hostile and foreign values: words, never a mistake of ours."""

import asyncio
from collections.abc import Awaitable, Iterator
from io import BytesIO
from urllib.parse import quote, quote_from_bytes

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import Engine, MetaData, select

from app.collect.imports import take_file
from app.config import Settings
from app.store import images, projects, relations
from app.store.db import read, write
from tests.drawing import picture, project_with_images

pytestmark = pytest.mark.anyio

BIG = "9" * 20
WORST = (b"9" * 5000, b"\xff\xed\xa0\x80\x00", b"<script>[({|\"'")
MORE = (
    b"",
    b"0",
    b"-1",
    BIG.encode(),
    str(2**63 - 1).encode(),
    b"nan",
    b"1e400",
    "٣".encode(),
    b"~no.such.person/x",
    b"../../etc/passwd",
)
ODD_PARTS = ("-1", BIG, "1%00", "%FF", "..%2f")
# By the name of a form's or address's field: something that its route accepts, so that each other field is reached.
PLAUSIBLE = {
    "answer": "same",
    "colour": "#336699",
    "ground": "colour",
    "use": "flatten",
    "background": "#ffffff",
    "alpha": "flatten",
    "degrees": "1",
    "scope": "all",
    "part": "crop",
    "everyone": "on",
    "set": "author",
    "all_shown": "on",
    "layout": "kohya",
    "pictures": "png",
    "kind": "tag",
    "threshold": "0.5",
    "operation": "replace",
    "how": "add",
    "choice": "0",
    "name": "Fine",
    "purpose": "style",
    "text": "red",
    "tags": "red",
    "value": "blue",
    "step": "straighten",
    "folder": "/no/such",
    "path": "/no/such",
    "preset": "quick",
}
SKIPPED = ("/projects/demo", "/runs/{run_id}/events")


def grey() -> bytes:
    """A mask of which a half counts."""
    mask, buffer = Image.new("L", (96, 96), 0), BytesIO()
    mask.paste(255, (0, 0, 48, 96))
    mask.save(buffer, "PNG")
    return buffer.getvalue()


class Place:
    """A studio with two projects: `own` is attacked, `other` must never be touched."""

    def __init__(self, settings: Settings, store: Engine) -> None:
        self.store = store
        self.own = project_with_images(settings, store)
        with write(store) as session:
            self.other = projects.create(session, "Other", "style", "", None).id
        for seed in (0, 1, 50):
            take_file(settings, store, self.other, f"other-{seed}.png", picture(seed))
            take_file(settings, store, self.other, f"other-{seed}.txt", f"the other's words {seed}".encode())
        with read(store) as session:
            own, other = (images.training_rows(session, each) for each in (self.own, self.other))
        self.image, self.sha256 = own[0].id, own[0].sha256
        self.others_images = [row.id for row in other]
        self.others_hashes = [row.sha256 for row in other]

    def others(self) -> dict[str, list[object]]:
        """All that the store holds of the other project, by table."""
        tables = MetaData()
        tables.reflect(self.store)
        kept: dict[str, list[object]] = {}
        with self.store.connect() as connection:
            for table in tables.sorted_tables:
                if "project_id" in table.c:
                    where = table.c.project_id == self.other
                elif "image_id" in table.c:
                    where = table.c.image_id.in_(self.others_images)
                else:
                    continue
                kept[table.name] = [tuple(row) for row in connection.execute(select(table).where(where))]
        return kept


@pytest.fixture
def place(settings: Settings, store: Engine) -> Place:
    return Place(settings, store)


class Route:
    """A route as the studio's own description names it."""

    def __init__(self, path: str, method: str, told: dict[str, object], schemas: dict[str, dict[str, object]]) -> None:
        self.path, self.method = path, method
        parameters: list[dict[str, str]] = told.get("parameters", [])  # type: ignore[assignment]  # JSON
        self.parts = [each["name"] for each in parameters if each["in"] == "path"]
        self.query = [each["name"] for each in parameters if each["in"] == "query"]
        self.fields: list[str] = []
        self.kind = ""
        body: dict[str, dict[str, dict[str, str]]] = told.get("requestBody", {}).get("content", {})  # type: ignore[attr-defined]  # JSON
        for kind, content in body.items():
            schema = schemas.get(content["schema"].get("$ref", "").rsplit("/", 1)[-1], {})
            self.kind, self.fields = kind, list(schema.get("properties", {}))  # type: ignore[call-overload]  # JSON

    def address(self, values: dict[str, str]) -> str:
        """The route's address with its parts filled in."""
        address = self.path
        for part in self.parts:
            address = address.replace(f"{{{part}}}", values.get(part, "1"))
        return address

    def asked(self, address: str, field: str, value: bytes, ground: dict[str, str]) -> tuple[str, bytes, str]:
        """Address, body and type of a request in which one field has a value and the others are plausible."""
        sent = {name: ground.get(name, PLAUSIBLE.get(name, "1")).encode() for name in (*self.query, *self.fields)}
        sent |= {field: value} if field else {}
        query = "&".join(f"{name}={quote_from_bytes(sent[name], safe='')}" for name in self.query)
        address += f"?{query}" if query else ""
        if not self.fields:
            return address, b"", ""
        if self.kind.startswith("multipart"):
            parts = b"".join(
                b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
                % (name.encode(), b'; filename="a.png"' if name in ("mask", "file") else b"", sent[name])
                for name in self.fields
            )
            return address, parts + b"--cut--\r\n", "multipart/form-data; boundary=cut"
        body = "&".join(f"{quote(name)}={quote_from_bytes(sent[name], safe='')}" for name in self.fields)
        return address, body.encode(), "application/x-www-form-urlencoded"


def routes(app: FastAPI) -> Iterator[Route]:
    """Every route but those that stream or that begin something long; those that take away come last."""
    told = app.openapi()
    schemas = told["components"]["schemas"]
    order = sorted(told["paths"].items(), key=lambda each: (each[0].endswith("/remove"), each[0]))
    for path, methods in order:
        for method, what in methods.items():
            if path not in SKIPPED and not (path.startswith("/api/") and method != "get"):
                yield Route(path, method, what, schemas)


async def refused_or_answered(http: httpx.AsyncClient, route: Route, request: tuple[str, bytes, str]) -> None:
    """Ask, and see that the answer is no mistake of ours."""
    address, body, kind = request
    try:
        answer = await http.request(route.method, address, content=body, headers={"content-type": kind} if kind else {})
    except httpx.InvalidURL:
        return
    told = (route.method, address[:200], body[:300], answer.text[-300:])
    assert answer.status_code < 500, told
    assert answer.status_code < 400 or answer.text, told


async def test_wrong_parts_of_addresses(http: httpx.AsyncClient, app: FastAPI, place: Place) -> None:
    for route in routes(app):
        for odd in ODD_PARTS if route.parts else ():
            await refused_or_answered(
                http, route, route.asked(route.address(dict.fromkeys(route.parts, odd)), "", b"", {})
            )


@pytest.mark.parametrize("values", [WORST, pytest.param(MORE, marks=pytest.mark.bench)], ids=["worst", "more"])
async def test_broken_values_in_every_field(
    http: httpx.AsyncClient, app: FastAPI, place: Place, values: tuple[bytes, ...]
) -> None:
    before = place.others()
    own = {"project_id": str(place.own), "image_id": str(place.image), "sha256": place.sha256}
    for route in routes(app):
        for field in (*route.query, *route.fields):
            for value in values:
                ground = {"image": str(place.image), "revision": str(await revision(place))}
                await refused_or_answered(http, route, route.asked(route.address(own), field, value, ground))
    assert place.others() == before


OF_IMAGES = ("image", "ids", "image_id", "keeper", "other", "after")
OF_HASHES = ("left", "right", "sha256")


async def test_what_is_another_projects_is_never_touched(
    http: httpx.AsyncClient, app: FastAPI, place: Place, htmx: dict[str, str]
) -> None:
    before = place.others()
    own = {"project_id": str(place.own), "image_id": str(place.image)}
    theirs = dict.fromkeys(OF_IMAGES, str(place.others_images[0])) | dict.fromkeys(OF_HASHES, place.others_hashes[2])
    for route in routes(app):
        # Taking over another project's images reads that project, and is a test of its own.
        if route.method == "get" or "/runs" in route.path or route.path.endswith("/images/copy"):
            continue
        ground = theirs | {"everyone": "", "all_shown": "", "revision": str(await revision(place))}
        for field, value in (("", b""), ("split", b"held-out"), ("part", b"turns"), ("operation", b"remove")):
            await refused_or_answered(http, route, route.asked(route.address(own), field, value, ground))
    assert place.others() == before


async def test_a_pair_of_two_projects_is_no_pair(http: httpx.AsyncClient, place: Place) -> None:
    before = place.others()
    url = f"/projects/{place.own}/duplicates"
    said = {"left": place.sha256, "right": place.others_hashes[2], "answer": "left"}
    kept = {"keeper": str(place.image), "other": str(place.others_images[2])}
    for part, form in (("decide", said), ("merge", kept), ("remove", kept)):
        answer = await http.post(f"{url}/{part}", data=form)
        assert (answer.status_code, "no longer in the project" in answer.text) == (404, True), part
    assert place.others() == before


async def statuses(*requests: Awaitable[httpx.Response]) -> list[int]:
    """What requests that are sent at once are answered with, in order of their numbers."""
    return sorted(answer.status_code for answer in await asyncio.gather(*requests))


async def test_of_two_at_once_one_wins_and_the_other_is_told(http: httpx.AsyncClient, place: Place) -> None:
    image, project = f"/images/{place.image}", f"/projects/{place.own}"
    turn = {"step": "rotate", "revision": str(await revision(place))}
    assert await statuses(*(http.post(f"{image}/polish/step", data=turn) for _ in range(2))) == [303, 409]
    box = {"left": "1", "top": "1", "width": "30", "height": "30", "revision": str(await revision(place))}
    assert await statuses(*(http.post(f"{image}/polish/crop", data=box) for _ in range(2))) == [303, 409]
    mask = {"mask": ("m.png", grey(), "image/png")}
    drawn = {"revision": str(await revision(place))}
    assert await statuses(*(http.post(f"{image}/mask", data=drawn, files=mask) for _ in range(2))) == [303, 409]
    exports = await statuses(*(http.post(f"{project}/export", data={"layout": "plain"}) for _ in range(2)))
    assert exports in ([303, 409], [303, 303])
    removed = await statuses(*(http.post(f"{image}/remove") for _ in range(2)))
    assert removed == [303, 404]


async def test_imports_and_decisions_at_once(http: httpx.AsyncClient, place: Place) -> None:
    project = f"/projects/{place.own}"
    taken = await statuses(*(http.post(f"{project}/images/copy", data={"other": str(place.other)}) for _ in range(2)))
    assert set(taken) <= {303, 409}
    with read(place.store) as session:
        left, right = [row.sha256 for row in images.training_rows(session, place.own)][:2]
    said = {"left": left, "right": right}
    answers = ("same", "alternate", "left", "unrelated")
    decided = (http.post(f"{project}/duplicates/decide", data={**said, "answer": each}) for each in answers)
    assert set(await statuses(*decided)) == {303}
    assert set(await statuses(*(http.post(f"{project}/duplicates/undo") for _ in range(3)))) == {303}
    with read(place.store) as session:
        assert relations.decisions(session, place.own) == []


async def revision(place: Place) -> int:
    """The revision that the attacked image stands at, so that a form with it is no stale one."""
    with read(place.store) as session:
        rows = images.training_rows(session, place.own)
    return next((row.revision for row in rows if row.id == place.image), 0)
