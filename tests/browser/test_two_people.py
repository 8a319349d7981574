"""Two people on one field of one image: the later one hears of it; one's own quick keys are never in the way."""

import sqlite3

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from app.config import Settings
from tests.browser.held import Held, press_at_once, until_served
from tests.browser.labeling import all_saved, fill, open_screen
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def stored(studio: Studio) -> list[tuple[int, str, str | None]]:
    """Repeats, split and reviewer of every image."""
    with sqlite3.connect(f"file:{Settings(data=studio.data).store_path}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT repeats, split, reviewed_by FROM image ORDER BY id").fetchall()


def test_the_field_that_somebody_set_meanwhile_stays_and_is_said(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox", "hare"])
    page = context.new_page()
    open_screen(page, project_id)
    expect(page.locator(".label-tile[title]")).to_have_count(2)
    own = {"X-LoRA-Studio": "1", "Cookie": "studio-name=bob"}
    with httpx.Client(base_url=idle_studio.address, headers=own, timeout=30) as bob:
        assert bob.post("/images/1/label/fields", data={"repeats": "5"}).status_code == 200
        assert bob.post("/images/2/label", data={"text": "hare, snow"}).status_code == 200
    press_at_once(page, "+", "+", "v")
    expect(page.locator("#toasts")).to_contain_text("bob set the repeats of 000.png to 5 in the meantime")
    expect(page.locator("#fact-repeats")).to_have_text("5 ×")
    all_saved(page)
    # What was set beside it holds.
    assert stored(idle_studio)[0][:2] == (5, "held-out")
    press_at_once(page, "v")
    until_served(page, lambda: stored(idle_studio)[0][1] == "train", "the split", 60)
    # Now it is changed knowingly, three times in one breath; the first is still on its way at the third.
    saving = Held(page, "**/label/fields")
    press_at_once(page, "+", "+", "+", "y")
    saving.release()
    until_served(page, lambda: stored(idle_studio)[0] == (8, "train", "you"), "the repeats", 60)
    # Other words of the image are nothing that a field meets.
    press_at_once(page, "+", "y")
    until_served(page, lambda: stored(idle_studio)[1] == (2, "train", "you"), "the second image", 60)
    all_saved(page)
    with httpx.Client(base_url=idle_studio.address, timeout=30) as client:
        assert "hare, snow" in client.get(f"/projects/{project_id}/label/rows.json?ids=2").text
