"""Bulk edits and forms beside the labeling screen, by keyboard."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.labeling import fill, kept, open_screen
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_a_bulk_edit_by_keyboard(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox, grass", "hare, grass", "owl"])
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("/")
    page.keyboard.type("grass")
    expect(page.locator("#filter-note")).to_have_text("2 of 3")
    page.keyboard.press("Enter")
    page.keyboard.press("b")
    expect(page.locator("#operation")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.type("night")
    page.keyboard.press("Enter")
    expect(page.locator("#bulk-apply")).to_be_focused()
    expect(page.locator("#bulk-apply")).to_have_text("Add “night” to 2 filtered")
    page.keyboard.press("Enter")
    expect(page.locator("#bulk-panel [role=status]").first).to_contain_text("Changed 2 images")
    assert kept(idle_studio) == {"000.png": "fox, grass, night", "001.png": "hare, grass, night", "002.png": "owl"}
    page.locator("#bulk-panel").get_by_role("button", name="Undo").press("Enter")
    page.wait_for_url("**/versions")
    assert kept(idle_studio) == {"000.png": "fox, grass", "001.png": "hare, grass", "002.png": "owl"}


def test_a_refused_form_leads_to_what_is_wrong_in_it(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox"])
    page = context.new_page()
    page.goto(f"/projects/{project_id}/suggestions")
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)
    page.locator("#ask-start").press("Enter")
    expect(page.locator("#endpoint_model")).to_be_focused()
    expect(page.locator("#endpoint_model")).to_be_in_viewport()
