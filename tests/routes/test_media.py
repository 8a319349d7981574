"""Pictures for the screen: fixed types, only what the store knows, originals as downloads alone."""

import hashlib
from io import BytesIO

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine

from app.collect.blobs import blob_path, thumb_path
from app.collect.imports import take_file
from app.config import Settings
from app.contract.events import EventLog, SampleDrawn
from app.contract.recipe import Crop, Recipe
from app.contract.rundir import RunDir, publish
from app.polish.addresses import picture_url, stage_url, thumb_url
from app.store import recipes, runs
from app.store.db import write
from tests.drawing import picture

pytestmark = pytest.mark.anyio

ORIGINAL = picture(3, 2400, 1200, "JPEG")
SHA256 = hashlib.sha256(ORIGINAL).hexdigest()


@pytest.fixture
def taken(settings: Settings, store: Engine, project_id: int) -> str:
    """A large picture in a project; its hash."""
    assert take_file(settings, store, project_id, "big.jpg", ORIGINAL).status == "added"
    return SHA256


@pytest.mark.parametrize(("folder", "side_px"), [("thumbs", 320), ("pictures", 1600)])
async def test_screen_copies_are_small_webp_and_kept_for_good(
    http: httpx.AsyncClient, taken: str, folder: str, side_px: int
) -> None:
    answer = await http.get(f"/media/{folder}/{taken}.webp")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("WEBP", (side_px, side_px // 2))


async def test_an_original_leaves_byte_for_byte_as_a_harmless_download(http: httpx.AsyncClient, taken: str) -> None:
    answer = await http.get(f"/media/originals/{taken}")
    assert answer.content == ORIGINAL
    assert answer.headers["content-disposition"] == f'attachment; filename="{taken[:16]}.jpg"'
    policies = answer.headers.get_list("content-security-policy")
    assert any("sandbox" in policy and "default-src 'none'" in policy for policy in policies)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["f" * 64, "..", "%2e%2e%2fstore.db", "' or 1=1", "store.db"])
async def test_what_the_store_does_not_know_is_not_there(http: httpx.AsyncClient, taken: str, name: str) -> None:
    for url in (f"/media/thumbs/{name}.webp", f"/media/pictures/{name}.webp", f"/media/originals/{name}"):
        answer = await http.get(url)
        assert answer.status_code == 404
        assert answer.headers.get("cache-control") in (None, "no-store")


async def test_a_deleted_thumbnail_is_made_anew(http: httpx.AsyncClient, settings: Settings, taken: str) -> None:
    thumb_path(settings, taken).unlink()
    answer = await http.get(f"/media/thumbs/{taken}.webp")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")


async def test_a_lost_original_is_told_in_words(
    http: httpx.AsyncClient, settings: Settings, taken: str, htmx: dict[str, str]
) -> None:
    blob_path(settings, taken, "jpg").unlink()
    for copy in settings.thumbs.rglob("*-1600.webp"):
        copy.unlink()
    for url in (f"/media/pictures/{taken}.webp", f"/media/originals/{taken}"):
        answer = await http.get(url, headers=htmx)
        assert answer.status_code == 404
        assert "Add the image again" in answer.text
        assert str(settings.data) not in answer.text


async def test_a_sample_is_answered_only_when_an_event_tells_of_it(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int
) -> None:
    with write(store) as session:
        run = runs.create(session, project_id, "train", "Balanced", "0001-balanced")
    folder = RunDir(settings.runs / "0001-balanced")
    drawn, untold = folder.sample(250, 0, 42, 1.0), folder.sample(500, 0, 42, 1.0)
    for path in (drawn, untold):
        publish(path, picture(1))
    publish(folder.spec, b"{}")
    relative = drawn.relative_to(folder.path).as_posix()
    EventLog(folder.events, 1).append(SampleDrawn(step=250, prompt_index=0, prompt="x", seed=42, path=relative))
    good = await http.get(f"/runs/{run.id}/{relative}")
    assert (good.status_code, good.headers["content-type"]) == (200, "image/png")
    assert good.content == picture(1)
    assert "immutable" not in good.headers["cache-control"]
    assert "immutable" in (await http.get(f"/runs/{run.id}/{relative}?v=1")).headers["cache-control"]
    for name in (untold.relative_to(folder.samples).as_posix(), "../spec.json", "%2e%2e/spec.json", "none.png"):
        assert (await http.get(f"/runs/{run.id}/samples/{name}")).status_code == 404
    assert (await http.get(f"/runs/99/{relative}")).status_code == 404


async def test_a_polished_image_is_shown_as_it_trains(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int
) -> None:
    image_id = take_file(settings, store, project_id, "big.jpg", ORIGINAL).image_id
    assert image_id is not None
    plain = await http.get(f"/media/images/{image_id}/thumb.webp?v=0")
    assert plain.content == (await http.get(f"/media/thumbs/{SHA256}.webp")).content
    with write(store) as session:
        recipe = Recipe(quarter_turns=1, crop=Crop(left=0, top=0, width=1200, height=1200))
        row = recipes.set_recipe(session, image_id, recipe, 0, "you")
    sizes = {}
    for url in (thumb_url(row), picture_url(row), stage_url(row, "uncropped"), stage_url(row, "turned")):
        answer = await http.get(url)
        assert "immutable" in answer.headers["cache-control"]
        with Image.open(BytesIO(answer.content)) as image:
            sizes[url.rpartition("/")[2].partition(".")[0]] = image.size
    assert sizes == {"thumb": (320, 320), "picture": (1200, 1200), "uncropped": (800, 1600), "turned": (800, 1600)}
    # An address of another look is answered, but not for good.
    stale = await http.get(f"/media/images/{image_id}/thumb.webp?v=0")
    assert "immutable" not in stale.headers["cache-control"]
    assert (await http.get("/media/images/99/thumb.webp")).status_code == 404
    assert (await http.get(f"/media/images/{image_id}/store.webp")).status_code == 422


async def test_no_picture_is_decoded_in_the_servers_own_process(
    http: httpx.AsyncClient, settings: Settings, store: Engine, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = BytesIO()
    Image.new("L", (240, 120), 128).save(mask, "PNG")
    digest = hashlib.sha256(mask.getvalue()).hexdigest()
    publish(blob_path(settings, digest, "png"), mask.getvalue())
    with write(store) as session:
        recipes.set_recipe(session, 1, Recipe(quarter_turns=1, mask=digest), 0, "you")
    thumb_path(settings, taken).unlink()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the server decoded a picture")

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refuse)
        answers = {
            url: await http.get(url)
            for url in (
                "/media/images/1/mask.png",
                "/media/images/1/shade.png",
                "/media/images/1/picture.webp",
                f"/media/thumbs/{taken}.webp",
            )
        }
        again = await http.get("/media/images/1/mask.png")
    assert {url: answer.status_code for url, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert again.content == answers["/media/images/1/mask.png"].content
    with Image.open(BytesIO(again.content)) as drawn:
        assert (drawn.mode, drawn.size, drawn.getpixel((0, 0))) == ("L", (120, 240), 128)
    blob_path(settings, digest, "png").write_bytes(b"damaged")
    with write(store) as session:
        recipes.set_recipe(session, 1, Recipe(quarter_turns=2, mask=digest), 1, "you")
    assert (await http.get("/media/images/1/mask.png")).status_code == 404
