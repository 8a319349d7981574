"""Old copies that no page asks for are deleted, and nothing else: every address of an image still finds its own."""

import os
import time
from pathlib import Path
from typing import get_args

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import Engine, select, update

from app.collect.drawing import Layer
from app.collect.imports import take_file
from app.collect.tidying import KEPT_S, sweep
from app.config import Settings
from app.contract.recipe import Crop, Recipe
from app.main import create_app
from app.routes.media import Stage
from app.store import images, projects
from app.store.db import write
from app.store.models import Image, SubjectRow
from tests.drawing import picture

pytestmark = pytest.mark.anyio

BOX = Crop(left=10, top=10, width=60, height=40)
CROPPED = Recipe(straighten_deg=3.0, crop=BOX, quarter_turns=1, background="#336699", alpha="mask")


def grown_old(folder: Path) -> set[str]:
    """Make every copy older than those that are kept in any case, and return their names."""
    before = time.time() - KEPT_S - 60
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (before, before))
    return {path.name for path in files}


def there(settings: Settings) -> set[str]:
    return {path.name for path in settings.thumbs.rglob("*") if path.is_file()}


@pytest.fixture
def sha256(settings: Settings, engine: Engine) -> str:
    """An image with a recipe, a mask and a suggested mask, both of which are pictures of the project too."""
    with write(engine) as session:
        project_id = projects.create(session, "Cats", "style", "", None).id
    for number, name in enumerate(("cat.png", "mask.png", "subject.png")):
        take_file(settings, engine, project_id, name, picture(number, 400, 300))
    with write(engine) as session:
        cat, mask, subject = session.scalars(select(Image).order_by(Image.id))
        session.add(
            SubjectRow(
                image_id=cat.id,
                model="m",
                mask_sha256=subject.sha256,
                box=BOX.model_dump_json(),
                share=0.5,
                is_dismissed=False,
                at_us=1,
            )
        )
        cat.recipe = CROPPED.model_copy(update={"mask": mask.sha256}).to_json()
        digest = cat.sha256
        images.remove(session, mask.id, "you")
    return digest


async def drawn(app: FastAPI, image_id: int) -> None:
    """Ask for everything that a page may show of an image."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost:7870") as http:
        asked = [f"/media/images/{image_id}/{stage}.webp" for stage in get_args(Stage)]
        asked += [f"/media/images/{image_id}/{layer}.png" for layer in get_args(Layer)]
        for address in asked:
            answer = await http.get(address)
            assert answer.status_code == 200 or address.endswith("alpha.png"), address


async def test_what_pages_ask_for_stays_and_what_they_asked_for_goes(
    settings: Settings, engine: Engine, sha256: str
) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await drawn(app, 1)
        assert sum(name.startswith(sha256) for name in there(settings)) == 11
        before = grown_old(settings.thumbs)
        # Those of the image that was removed: its original is here, should it come back.
        assert sweep(settings, engine) == 2
        assert {name for name in before if name.startswith(sha256)} < there(settings) < before
        with write(engine) as session:
            session.execute(update(Image).where(Image.id == 1).values(recipe="{}"))
        sweep(settings, engine)
        left = {name for name in there(settings) if name.startswith(sha256)}
        assert left == {f"{sha256}.webp", f"{sha256}-1600.webp"}
    assert len(list(settings.blobs.rglob("*.png"))) == 3


async def test_young_copies_and_the_last_of_a_lost_original_stay(
    settings: Settings, engine: Engine, sha256: str
) -> None:
    old = settings.thumbs / sha256[:2] / f"{sha256}-1600-0123456789abcdef.webp"
    old.write_bytes(b"a look")
    assert sweep(settings, engine) == 0
    grown_old(settings.thumbs)
    original = settings.blob(sha256, "png")
    kept = original.read_bytes()
    original.unlink()
    sweep(settings, engine)
    assert old.exists()
    original.write_bytes(kept[:-1])
    sweep(settings, engine)
    assert old.exists()
    original.write_bytes(kept)
    assert sweep(settings, engine, lambda: True) == 0
    assert sweep(settings, engine) == 1
    assert not old.exists()


async def test_strange_files_are_left_alone(settings: Settings, engine: Engine, sha256: str) -> None:
    strange = settings.thumbs / sha256[:2] / "notes.txt"
    half = settings.thumbs / sha256[:2] / f".{sha256}-1600.webp.12-34.tmp"
    unknown = settings.thumbs / "ab" / f"{'ab' * 32}.webp"
    for path in (strange, half, unknown, settings.thumbs / "loose.webp"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"?")
    grown_old(settings.thumbs)
    sweep(settings, engine)
    assert strange.exists()
    assert (settings.thumbs / "loose.webp").exists()
    assert not half.exists()
    assert not unknown.exists()
