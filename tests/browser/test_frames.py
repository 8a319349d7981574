"""Frames and their report in a real browser: a video refused, frames extracted, files tried again by keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.collect.imports import import_paths, take_file
from app.config import Settings
from app.store import projects
from app.store.db import migrate, open_engine, write
from tests.collect.animations import noisy_film
from tests.drawing import picture
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio with an animation among stills, and a report of three files that were refused."""
    settings = Settings(data=tmp_path / "studio", starts_worker=False)
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    with write(engine) as session:
        project_id = projects.create(session, "Walks", "style", "wlk", None).id
    take_file(settings, engine, project_id, "still.png", picture(1))
    take_file(settings, engine, project_id, "walk.webp", noisy_film("WEBP", 3))
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in "abc":
        (bad / f"{name}.png").write_bytes(b"")
    import_paths(settings, engine, project_id, [bad], on_outcome=lambda *_: None)
    engine.dispose()
    started = Studio(settings.data, "--no-worker")
    yield started
    started.end()


def test_a_video_is_refused_and_frames_are_extracted_by_keyboard(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/images")
    video = b"\0\0\0\x18ftypmp42" + bytes(20_000)
    page.set_input_files("#pick-files input", {"name": "clip.mp4", "mimeType": "video/mp4", "buffer": video})
    told = page.locator(".upload.failed")
    expect(told).to_contain_text("clip.mp4 is a video file, which is not taken in.")
    expect(told).to_contain_text("Save the frames you want as PNG")

    offer = page.get_by_role("link", name="Extract frames…")
    page.locator("#image-1 a[data-roving-item]").focus()
    page.keyboard.press("Space")
    expect(page.locator("#selected-count")).to_have_text("1 selected")
    expect(offer).to_be_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(offer).to_have_attribute("href", "/projects/1/frames?image=2")
    page.keyboard.press("e")
    expect(page.locator("#every")).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("2")
    expect(page.locator("#frames-outlook")).to_have_text("2 of 3 frames: 1, 3.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Import of frames of walk.webp")).to_be_visible()
    expect(page.locator(".report-name")).to_have_text(["walk-frame-001.png", "walk-frame-003.png"])


def test_trying_again_keeps_the_place_of_the_keyboard(page: Page, studio: Studio) -> None:
    (studio.data.parent / "bad" / "b.png").write_bytes(picture(7))
    page.goto("/imports/1?outcome=refused")
    expect(page.locator(".report-row")).to_have_count(3)
    page.locator(".report-row").nth(1).get_by_role("button", name="Try again").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".report-row")).to_have_count(2)
    # The row is gone once the try is over: the next one has the keyboard.
    expect(page.locator(".report-row").nth(1).get_by_role("button", name="Try again")).to_be_focused()
