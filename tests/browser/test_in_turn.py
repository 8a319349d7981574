"""Keys of pages that ask for one answer after the other, or lead to another page: none falls on what stood before."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.config import Settings
from app.contract.recipe import Crop, Recipe
from app.store import images
from app.store.db import open_engine, read
from tests.browser.held import Held, press, press_at_once, until_served
from tests.browser.test_polish import new_project
from tests.drawing import picture
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio that trains nothing."""
    started = Studio(tmp_path / "studio", "--no-worker")
    yield started
    started.end()


def recipe(studio: Studio, image_id: int) -> Recipe:
    """How an image is polished."""
    engine = open_engine(Settings(data=studio.data).store_path)
    with read(engine) as session:
        found = images.get(session, image_id).recipe
    engine.dispose()
    return found


def test_steps_come_in_turn_and_no_later_key_falls_on_the_page_that_is_left(page: Page, studio: Studio) -> None:
    new_project(page, *((f"{n}.png", picture(n, 80, 40)) for n in range(3)))
    page.goto("/images/1/polish")
    press(page, "r")
    expect(page.locator(".polish-bar")).to_contain_text("→ 40 × 80")
    # One step waits for the other, the way to the next image for both, and what follows is not about this image.
    steps, next_page = Held(page, "**/polish/step"), Held(page, "**/images/2/polish")
    press_at_once(page, "m", "r", "j", "f")
    steps.release()
    next_page.wait()
    press(page, "r")
    next_page.release()
    page.wait_for_url("**/images/2/polish")
    # Turned, mirrored and turned again is mirrored.
    assert recipe(studio, 1) == Recipe(mirrored=True)
    assert recipe(studio, 2) == Recipe()
    # By pointer: a step is on its way, the next one is not sent yet, and the page is left.
    steps = Held(page, "**/polish/step")
    page.locator("#mirror").click()
    page.locator("#straighten-more").click()
    page.locator(".editor-step.next").click()
    steps.release()
    page.wait_for_url("**/images/3/polish")
    assert recipe(studio, 2).straighten_deg == 0.5


def test_a_crop_is_applied_as_it_was_snapped(page: Page, studio: Studio) -> None:
    new_project(page, ("a.png", picture(1, 800, 500)))
    page.goto("/images/1/polish/crop")
    press(page, *["Shift+-"] * 3)
    loose = Crop(**{name: int(page.locator(f"[name={name}]").input_value()) for name in Crop.model_fields})
    fit = Held(page, "**/fit?*")
    press_at_once(page, "s", "Enter")
    fit.release()
    page.wait_for_url("**/images/1/polish")
    assert recipe(studio, 1).crop not in (None, loose)


def test_a_mask_on_its_way_is_not_overwritten(page: Page, studio: Studio) -> None:
    new_project(page, ("a.png", picture(1, 64, 64)))
    page.goto("/images/1/mask")
    page.locator("#mask-canvas").focus()
    press(page, "Space", "Enter")
    page.wait_for_url("**/images/1/polish")
    address = "/media/images/1/mask.png"
    before = Image.open(BytesIO(page.request.get(address).body())).convert("L")
    mask = Held(page, f"**{address}*")
    page.goto("/images/1/mask")
    mask.wait()
    press_at_once(page, "i", "Enter")
    mask.release()
    page.wait_for_url("**/images/1/polish")
    after = Image.open(BytesIO(page.request.get(address).body())).convert("L")
    assert after.tobytes() == bytes(255 - each for each in before.tobytes())
    # What cannot be read is not taken for an empty one.
    page.route(f"**{address}*", lambda route: route.fulfill(status=204))
    page.goto("/images/1/mask")
    press(page, "Enter")
    expect(page.locator(".toast")).to_contain_text("could not be read")


SAY_TOASTS = """new MutationObserver(() => {
  for (const each of document.querySelectorAll(".toast")) console.info(each.textContent);
}).observe(document, { subtree: true, childList: true })"""
"""A page that waits for the next one answers no question, but it still tells."""


def test_a_form_is_sent_once(page: Page, studio: Studio) -> None:
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.add_init_script(SAY_TOASTS)
    page.goto("/projects/new")
    page.get_by_label("Name", exact=True).fill("Red fox")
    page.get_by_role("radio", name="Character").check()
    page.get_by_label("Trigger word").fill("rdfx")
    sent = Held(page, "**/projects")
    press(page, "Enter", "Enter")
    sent.wait()
    until_served(page, lambda: press(page, "Enter") or told, "the page to say that it waits", 60)
    assert "has not answered yet" in told[0]
    assert len(sent.routes) == 1
    sent.release()
    expect(page.get_by_role("heading", name="Images", level=1)).to_be_visible()


def test_a_key_that_waits_does_not_fall_on_what_the_focus_goes_on_to(page: Page, studio: Studio) -> None:
    new_project(page, ("a.png", picture(1, 80, 40)))
    page.goto("/images/1/polish")
    page.locator("#mirror").focus()
    steps = Held(page, "**/polish/step")
    press(page, "Enter", "Enter", "Tab")
    expect(page.locator("#flip")).to_be_focused()
    steps.release()
    press(page, "r")
    expect(page.locator(".polish-bar")).to_contain_text("→ 40 × 80")
    # Mirrored and then turned; with a flip between the two it would be mirrored as well.
    assert recipe(studio, 1) == Recipe(quarter_turns=1, flipped=True)
    expect(page.locator(".toast")).to_contain_text("the key you pressed before did nothing")


def test_what_waits_for_another_page_is_dropped_by_whoever_stays(page: Page, studio: Studio) -> None:
    new_project(page, ("a.png", picture(1, 64, 64)))
    page.goto("/images/1/mask")
    page.locator("#mask-canvas").focus()
    press(page, "Space")
    page.on("dialog", lambda dialog: dialog.dismiss())
    press_at_once(page, "Escape", "Enter")
    expect(page.locator(".toast")).to_contain_text("You have stayed: the key you pressed before did nothing")
    press(page, "Enter")
    page.wait_for_url("**/images/1/polish")
