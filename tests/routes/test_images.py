"""Images: files dropped one a request, the grid by pages, removal, repeats."""

from io import BytesIO
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine

from app.config import Settings
from app.routes.images import PAGE, read_file_name
from app.store import history, images, projects
from app.store.db import read, write
from app.store.images import ImageRow, NewImage
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


async def drop(http: httpx.AsyncClient, project_id: int, name: str, data: bytes) -> tuple[int, Html]:
    """Send one file as the page does."""
    headers = {"X-File-Name": quote(name, safe=""), "HX-Request": "true"}
    answer = await http.post(f"/projects/{project_id}/images", content=data, headers=headers)
    return answer.status_code, Html(answer.text)


def rows(store: Engine, project_id: int) -> list[ImageRow]:
    """Every image of a project."""
    with read(store) as session:
        return images.training_rows(session, project_id)


def fill(store: Engine, project_id: int, count: int) -> None:
    """Put rows without files into a project."""
    with write(store) as session:
        for number in range(count):
            new = NewImage(f"{number:064x}", "png", 1000, 1600, 900, f"fox-{number:04d}.png")
            images.add(session, project_id, new, f"a fox, {number}" if number % 2 else None, "you")


@pytest.mark.parametrize(("container", "name"), [("PNG", "a.png"), ("JPEG", "ä ö.jpg"), ("WEBP", "c.webp")])
async def test_a_dropped_picture_comes_in_with_its_tile(
    http: httpx.AsyncClient, store: Engine, project_id: int, container: str, name: str
) -> None:
    status, part = await drop(http, project_id, name, picture(1, 320, 200, container))
    assert status == 200
    assert part.one("li", class_="upload").attrs["data-status"] == "added"
    (row,) = rows(store, project_id)
    assert (row.name, row.width_px, row.height_px) == (name, 320, 200)
    image = part.one("img", alt=name).attrs
    assert (image["width"], image["height"], image["loading"]) == ("320", "200", "lazy")
    thumb = await http.get(image["src"])
    assert (thumb.status_code, thumb.headers["content-type"]) == (200, "image/webp")


async def test_the_same_picture_twice_is_one_row(http: httpx.AsyncClient, store: Engine, project_id: int) -> None:
    await drop(http, project_id, "a.png", picture(1))
    status, part = await drop(http, project_id, "b.png", picture(1))
    assert status == 200
    assert part.one("li", class_="upload").attrs["data-status"] == "known"
    assert [row.name for row in rows(store, project_id)] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.png", b"", "empty.png is empty"),
        ("page.jpg", b"<!doctype html><p>no", "it is a web page, not an image"),
        ("cut.png", picture(1, 300, 300)[:200], "cut.png cannot be read as an image"),
        ("notes.json", b"{}", "notes.json cannot be read as an image"),
        ("icon.gif", picture(1, container="ICO"), "icon.gif is a ICO file"),
        ("bad.txt", b"\x00\x01", "bad.txt is not a text file"),
        ("<img src=x onerror=alert(1)>.png", b"x", "<img src=x onerror=alert(1)>.png cannot be read"),
    ],
)
async def test_a_bad_file_is_named_with_its_reason_and_nothing_comes_in(
    http: httpx.AsyncClient, store: Engine, project_id: int, name: str, data: bytes, words: str
) -> None:
    status, part = await drop(http, project_id, name, data)
    assert status == 422
    assert part.one("li", class_="upload").attrs["data-status"] == "refused"
    assert words in part.one("span", class_="upload-reason").text
    assert not part.all("img")
    assert rows(store, project_id) == []


@pytest.mark.parametrize("text_comes_first", [True, False])
async def test_a_caption_file_joins_its_picture_in_either_order(
    http: httpx.AsyncClient, store: Engine, project_id: int, text_comes_first: bool
) -> None:
    files = [("fox.txt", b"ein Fuchs, blau\n"), ("Fox.PNG", picture(1))]
    ordered = files if text_comes_first else files[::-1]
    told = [
        (await drop(http, project_id, name, data))[1].one("li", class_="upload").attrs["data-status"]
        for name, data in ordered
    ]
    assert told == (["waiting", "added"] if text_comes_first else ["added", "captioned"])
    (row,) = rows(store, project_id)
    assert row.caption == "ein Fuchs, blau\n"


async def test_a_caption_file_never_replaces_words(http: httpx.AsyncClient, store: Engine, project_id: int) -> None:
    await drop(http, project_id, "fox.png", picture(1))
    await drop(http, project_id, "fox.txt", b"first")
    status, part = await drop(http, project_id, "fox.txt", b"second")
    assert status == 200
    assert "fox.png has other words already" in part.one("span", class_="upload-reason").text
    assert rows(store, project_id)[0].caption == "first"
    asked = await http.get(part.all("a")[0].attrs["href"])
    assert [each.text for each in Html(asked.text).all("p", class_="question-text")] == ["first", "second"]


async def test_the_end_of_a_drop_joins_what_its_own_images_left(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}/images"

    async def send(drop: str, files: dict[str, bytes]) -> Html:
        for name, data in files.items():
            await http.post(url, content=data, headers=htmx | {"X-File-Name": name, "X-Drop": drop})
        return Html((await http.post(f"{url}/dropped", data={"drop": drop}, headers=htmx)).text)

    await send("x", {"1.png": picture(1), "2.png": picture(2)})
    told = await send("y", {"1.txt": b"of y", "2.txt": b"two", "stray.txt": b"of none", "1.png": picture(3)})
    assert [(row.name, row.caption) for row in rows(store, project_id)] == [
        ("1.png", None),
        ("2.png", "two"),
        ("1.png", "of y"),
    ]
    assert told.one("div").attrs["data-captioned"] == "2"
    statuses = {each.attrs["data-status"] for each in told.all("li", class_="upload")}
    assert statuses == {"captioned", "waiting"}
    assert [each.text for each in told.all("p", class_="image-tile-caption")] == ["two"]
    gone = await http.post("/projects/77/images/dropped", data={"drop": "y"}, headers=htmx)
    assert gone.status_code == 404


async def test_an_image_whose_sending_failed_gets_its_words_later(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}/images"
    await drop(http, project_id, "ä 1.png", picture(1))
    headers = htmx | {"X-File-Name": quote("ä 1.txt"), "X-Drop": "y"}
    await http.post(url, content=b"of y", headers=headers)
    await http.post(f"{url}/dropped", data={"drop": "y", "unsent": f"{quote('ä 1.png')}\nother.png"}, headers=htmx)
    await drop(http, project_id, "ä 1.png", picture(2))
    assert [row.caption for row in rows(store, project_id)] == [None, "of y"]


async def test_a_file_for_a_project_that_is_gone_is_refused(http: httpx.AsyncClient, settings: Settings) -> None:
    status, part = await drop(http, 77, "a.png", picture(1))
    assert status == 404
    assert "There is no project 77" in part.one("div", **{"data-error": ""}).text
    assert not list(settings.blobs.rglob("*.png"))


async def test_a_plain_form_keeps_its_words_to_its_own_images(
    http: httpx.AsyncClient, store: Engine, project_id: int
) -> None:
    url = f"/projects/{project_id}/images"
    await http.post(url, files=[("files", ("1.png", picture(1)))])
    await http.post(url, files=[("files", ("1.txt", b"words")), ("files", ("1.png", picture(2)))])
    assert [row.caption for row in rows(store, project_id)] == [None, "words"]


async def test_a_plain_form_brings_several_files_and_names_the_bad_ones(
    http: httpx.AsyncClient, store: Engine, project_id: int
) -> None:
    url = f"/projects/{project_id}/images"
    files = [("files", ("a.png", picture(1))), ("files", ("a.txt", b"one")), ("files", ("b.png", picture(2)))]
    good = await http.post(url, files=files)
    assert (good.status_code, good.headers["location"]) == (303, url)
    mixed = await http.post(url, files=[("files", ("c.png", picture(3))), ("files", ("bad.png", b"no"))])
    assert mixed.status_code == 422
    (reason,) = [each.text for each in Html(mixed.text).all("span", class_="upload-reason") if each.text]
    assert reason.startswith("bad.png cannot be read")
    assert [(row.name, row.caption) for row in rows(store, project_id)] == [
        ("a.png", "one"),
        ("b.png", None),
        ("c.png", None),
    ]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("a%20b.png", "a b.png"),
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("C%3A%5Cpictures%5Cfox.png", "fox.png"),
        ("%00%0Afox%1B.png", "fox.png"),
        ("", "unnamed"),
        ("%FF.png", "\ufffd.png"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
def test_a_file_name_is_bare_and_printable(header: str, name: str) -> None:
    assert read_file_name(header) == name


async def test_the_grid_comes_in_pages_by_id(http: httpx.AsyncClient, store: Engine, project_id: int) -> None:
    fill(store, project_id, PAGE + 3)
    url = f"/projects/{project_id}/images"
    first = Html((await http.get(url)).text)
    shown = [each.attrs["id"] for each in first.all("li", class_="image-tile")]
    assert len(shown) == PAGE
    more = first.one("p", id="image-more").attrs["hx-get"]
    # What was shown already does not move what comes next.
    with write(store) as session:
        images.remove(session, 5, "you")
    second = Html((await http.get(more)).text)
    rest = [each.attrs["id"] for each in second.all("li", class_="image-tile")]
    assert len(rest) == 3
    assert not set(shown) & set(rest)
    assert not second.all("p", id="image-more")
    without_script = Html((await http.get(f"{url}?after={PAGE}")).text)
    assert first.one("a", href=f"{url}?after={PAGE}").text == "More images"
    assert [each.attrs["id"] for each in without_script.all("li", class_="image-tile")] == rest


async def test_a_full_last_page_offers_no_empty_one(http: httpx.AsyncClient, store: Engine, project_id: int) -> None:
    fill(store, project_id, PAGE)
    page = Html((await http.get(f"/projects/{project_id}/images")).text)
    assert len(page.all("li", class_="image-tile")) == PAGE
    assert not page.all("p", id="image-more")


async def test_the_page_escapes_what_people_wrote_and_shows_no_path(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int
) -> None:
    payload = "<img src=x onerror=alert(1)>"
    await drop(http, project_id, f"{payload}.png", picture(1))
    await drop(http, project_id, f"{payload}.txt", f"{payload}\"' &amp;".encode())
    answer = await http.get(f"/projects/{project_id}/images")
    page = Html(answer.text)
    assert page.one("p", class_="image-tile-caption").text == f"{payload}\"' &amp;"
    assert page.one("img", alt=f"{payload}.png")
    assert not page.all("img", onerror="alert(1)")
    assert str(settings.data) not in answer.text


async def test_the_summary_brings_the_step_bar_up_to_date(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    fill(store, project_id, 4)
    part = Html((await http.get(f"/projects/{project_id}/images/summary", headers=htmx)).text)
    assert part.one("p", class_="page-sub").text == "4 images, 2 without a caption"
    assert "Caption 2 images" in part.source
    steps = part.one("hx-partial")
    assert steps.attrs["hx-target"] == ".steps-list"
    assert "2/4" in steps.text


async def test_selected_images_go_and_the_history_remembers_them(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, htmx: dict[str, str]
) -> None:
    for number in range(3):
        await drop(http, project_id, f"{number}.png", picture(number))
    with write(store) as session:
        other = projects.create(session, "Other", "style", "", None)
        foreign, _ = images.add(session, other.id, NewImage("f" * 64, "png", 1, 1, 1, "f.png"), None, "you")
    url = f"/projects/{project_id}/images/remove"
    answer = await http.post(url, data={"image": ["1", "3", "1", "999", str(foreign.id)]}, headers=htmx)
    assert answer.status_code == 200
    assert answer.headers["hx-trigger"] == "images-changed"
    gone = Html(answer.text).all("div", **{"hx-swap-oob": "delete"})
    assert [each.attrs["id"] for each in gone] == ["image-1", "image-3"]
    assert [row.id for row in rows(store, project_id)] == [2]
    assert len(rows(store, other.id)) == 1
    assert len(list(settings.blobs.rglob("*.png"))) == 3
    with read(store) as session:
        newest = history.entries(session, project_id)[0]
    assert (newest.verb, '"2.png"' in (newest.before or "")) == ("remove", True)
    plain = await http.post(url, data={"image": "2"})
    assert (plain.status_code, plain.headers["location"]) == (303, f"/projects/{project_id}/images")
    assert rows(store, project_id) == []
    nothing = await http.post(url, data={})
    assert nothing.status_code == 422
    assert "No image is selected" in nothing.text


async def test_removing_one_leads_to_the_next_then_back(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    fill(store, project_id, 3)
    places = [(await http.post(f"/images/{number}/remove")).headers["location"] for number in (2, 3)]
    assert places == ["/images/3", "/images/1"]
    last = await http.post("/images/1/remove", headers=htmx)
    assert last.headers["hx-redirect"] == f"/projects/{project_id}/images"
    assert (await http.post("/images/1/remove")).status_code == 404


@pytest.mark.parametrize(
    ("text", "words"), [("0", "1 to 1000"), ("1001", "1 to 1000"), ("two", "two is no"), ("", "Nothing")]
)
async def test_repeats_out_of_range_are_told_beside_the_field(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str], text: str, words: str
) -> None:
    fill(store, project_id, 1)
    answer = await http.post("/images/1/repeats", data={"repeats": text}, headers=htmx)
    assert answer.status_code == 422
    assert words in Html(answer.text).one("p", id="repeats-error").text
    assert (await http.post("/images/1/repeats", data={"repeats": text})).status_code == 422
    assert rows(store, project_id)[0].repeats == 1


async def test_repeats_are_set_and_shown(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    fill(store, project_id, 1)
    part = await http.post("/images/1/repeats", data={"repeats": " 3 "}, headers=htmx)
    assert "Saved" in Html(part.text).one("span", class_="saved-mark").text
    assert (await http.post("/images/1/repeats", data={"repeats": "4"})).headers["location"] == "/images/1"
    assert rows(store, project_id)[0].repeats == 4
    page = Html((await http.get(f"/projects/{project_id}/images")).text)
    assert page.one("span", class_="image-tile-mark").text == "4×"


async def test_whoever_drops_changes_or_removes_an_image_stands_in_the_history(
    http: httpx.AsyncClient, store: Engine, project_id: int
) -> None:
    http.cookies.set("studio-name", "Zo%C3%AB")
    for number in range(2):
        await drop(http, project_id, f"{number}.png", picture(number))
    await drop(http, project_id, "clear.png", clear_picture(1))
    await http.post(f"/projects/{project_id}/images/alpha", data={"ground": "grey", "use": "mask"})
    await http.post("/images/1/repeats", data={"repeats": "3"})
    await http.post("/images/1/remove")
    await http.post(f"/projects/{project_id}/images/remove", data={"image": "2"})
    with read(store) as session:
        told = {(each.verb, each.by) for each in history.entries(session, project_id)}
    assert told == {(verb, "Zoë") for verb in ("add", "update", "recipe", "repeats", "remove")}


def clear_picture(seed: int) -> bytes:
    """A picture with transparent parts."""
    image = Image.new("RGBA", (64, 64), (255, 0, 255, 0))
    image.paste((seed * 40 % 256, 90, 10, 255), (16, 16, 48, 48))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


async def test_transparency_is_asked_about_once(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}/images/alpha"
    await drop(http, project_id, "solid.png", picture(1))
    assert not Html((await http.get(url)).text).all("form")
    await drop(http, project_id, "clear.png", clear_picture(1))
    page = Html((await http.get(f"/projects/{project_id}/images")).text)
    assert "1 image has transparent parts" in page.source
    assert page.one("button", id="alpha-decide")
    bad = await http.post(url, data={"ground": "colour", "colour": "red"}, headers=htmx)
    assert bad.status_code == 422
    assert "is no colour" in bad.text
    good = await http.post(url, data={"ground": "grey", "use": "mask"}, headers=htmx)
    assert "1 image has transparent parts, filled with grey. They do not count in the loss." in good.text
    await drop(http, project_id, "later.png", clear_picture(2))
    recipes = {row.name: (row.recipe.background, row.recipe.alpha) for row in rows(store, project_id)}
    assert recipes == {
        "solid.png": ("#ffffff", "flatten"),
        "clear.png": ("#808080", "mask"),
        "later.png": ("#808080", "mask"),
    }
    with read(store) as session:
        edits = [each for each in history.entries(session, project_id) if each.verb in ("recipe", "update")]
    assert {each.noun for each in edits} == {"image", "project"}
    assert len({each.batch for each in edits}) == 1


async def test_transparent_parts_that_were_set_by_hand_are_kept_and_told(
    http: httpx.AsyncClient, store: Engine, project_id: int, htmx: dict[str, str]
) -> None:
    url = f"/projects/{project_id}/images/alpha"
    await drop(http, project_id, "own.png", clear_picture(1))
    await drop(http, project_id, "other.png", clear_picture(2))
    await http.post(url, data={"ground": "grey"}, headers=htmx)
    row = rows(store, project_id)[0]
    own = {"step": "colour", "revision": row.revision, "background": "#112233", "alpha": "mask"}
    assert (await http.post(f"/images/{row.id}/polish/step", data=own)).status_code == 303
    assert "set by hand keep" in (await http.get(f"{url}?change=true")).text
    answer = await http.post(url, data={"ground": "black"}, headers=htmx)
    assert "filled with black. 1 differs: set by hand, or brought back." in answer.text
    assert [each.recipe.background for each in rows(store, project_id)] == ["#112233", "#000000"]
    assert (await http.post(url, data={"ground": "white"})).status_code == 303
    assert "2 images have transparent parts, filled with white." in (await http.get(url)).text
