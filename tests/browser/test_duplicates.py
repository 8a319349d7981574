"""Alike images decided in a real browser, by keyboard and by pointer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ImageOps
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.store import images, projects, relations
from app.store.db import migrate, open_engine, read, write
from tests.browser.held import Held, press_at_once
from tests.collect.test_duplicates import scene
from tests.export.parts import encoded
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio with three pairs of alike images and one image alone."""
    settings = Settings(data=tmp_path / "studio", starts_worker=False)
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    _fill(settings, engine)
    engine.dispose()
    started = Studio(settings.data, "--no-worker")
    yield started
    started.end()


def _fill(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Scenes", "style", "scn", None).id
    for seed in (1, 2, 4):
        image = scene(seed, 300)
        small = image.resize((150, 150))
        copy = ImageOps.mirror(small) if seed == 4 else small
        for name, each, words in ((f"{seed}.png", image, "a scene"), (f"{seed}-small.png", copy, "a scene, small")):
            take_file(settings, engine, project_id, name, encoded(each))
            take_file(settings, engine, project_id, f"{name[:-4]}.txt", words.encode())
    take_file(settings, engine, project_id, "alone.png", encoded(scene(3, 300)))


def test_pairs_by_keyboard(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/duplicates")
    expect(page.locator("#pair")).to_contain_text("0 of 3 pairs")
    expect(page.locator("#twin-left")).to_contain_text("larger")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#pair")).to_contain_text("1 of 3 pairs")
    expect(page.locator("#last")).to_contain_text("is better than")
    expect(page.locator("#last mark")).to_have_text("small")
    page.keyboard.press("m")
    expect(page.locator("#last")).to_contain_text("has the words of both now")
    page.keyboard.press("r")
    expect(page.locator("#last")).to_contain_text("was removed")
    expect(page.locator("#pair")).to_contain_text("0 of 2 pairs")
    page.keyboard.press("a")
    expect(page.locator("#pair")).to_contain_text("1 of 2 pairs")
    page.keyboard.press("k")
    expect(page.locator("#pair")).to_contain_text("The rest was skipped")
    page.keyboard.press("u")
    expect(page.locator("#pair")).to_contain_text("0 of 2 pairs")
    for key in ("s", "n"):
        page.keyboard.press(key)
        expect(page.locator("#last")).to_contain_text("same" if key == "s" else "not related")
    expect(page.get_by_role("heading", name="Every pair is decided")).to_be_visible()


def test_keys_pressed_ahead_are_about_what_stands_by_then(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/duplicates")
    deciding = Held(page, "**/duplicates/decide")
    press_at_once(page, "ArrowLeft", "m", "r", "s")
    deciding.release()
    expect(page.locator("#pair")).to_contain_text("1 of 2 pairs")
    expect(page.locator("#last")).to_contain_text("same")
    engine = open_engine(studio.data / "store.db")
    with read(engine) as session:
        left = len(images.page(session, 1))
    engine.dispose()
    assert left == 6


def test_looking_closely_and_deciding_with_the_pointer(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/duplicates")
    page.locator("#twin-left-image").click(position={"x": 60, "y": 60})
    zooms = page.locator(".twin-stage img")
    assert {zooms.nth(place).evaluate("each => each.style.transform") for place in (0, 1)} == {"scale(3)"}
    page.keyboard.press("z")
    assert zooms.first.evaluate("each => each.style.transform") == ""
    page.get_by_role("button", name="Enlarge").first.click()
    expect(page.locator("#lightbox")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Right is better").click()
    expect(page.locator("#pair")).to_contain_text("1 of 3 pairs")
    engine = open_engine(studio.data / "store.db")
    with read(engine) as session:
        (made,) = relations.decisions(session, 1)
        assert made.kinship == "better"
        better = relations.candidate(session, 1, made.better_sha256 or "")
        assert better is not None
        assert "small" in better.name
    engine.dispose()
