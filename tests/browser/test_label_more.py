"""The labeling screen by keyboard: one tag through many images, what a mask leaves out, the filter completed."""

import pytest
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import update

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.recipe import Recipe
from app.contract.suggestions import Answer, Looked
from app.store import runs, suggestions
from app.store.db import open_engine, write
from app.store.models import Image
from app.store.suggestions import Taken
from tests.browser.labeling import all_saved, fill, kept, open_screen
from tests.drawing import picture
from tests.studio import Studio, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_one_tag_goes_through_the_doubtful_images_first(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, [f"fox {place}" for place in range(4)])
    engine = open_engine(Settings(data=idle_studio.data).store_path)
    with write(engine) as session:
        run = runs.create(session, project_id, "tag", "Tags", "0001-tags")
        for image, sure in ((1, 0.99), (3, 0.4)):
            sha256 = session.get_one(Image, image).sha256
            answers = (Answer(kind="tag", text="hat", category="general", confidence=sure),)
            suggestions.take(
                session, Taken(project_id, run.id, "wd"), [Looked(sha256=sha256, name="x", answers=answers)]
            )
    engine.dispose()
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("t")
    page.keyboard.type("hat")
    # In one breath with the first answer, as fast typing on a busy machine comes: the order is still on its way, yet
    # no key is lost, and none is a command of browsing.
    page.evaluate(
        """() => {
          document.getElementById("pass-form").requestSubmit();
          const options = { key: "y", bubbles: true, cancelable: true };
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
        }"""
    )
    for key in "ny":
        page.keyboard.press(key)
    expect(page.locator("#pass")).to_contain_text("4 of 4")
    expect(page.locator("#pass")).to_contain_text("no model has said anything of it")
    page.keyboard.press("k")
    expect(page.locator("#pass")).to_contain_text("3 of 4")
    page.keyboard.press("Escape")
    expect(page.locator("#status-mode")).to_have_text("Browse")
    all_saved(page)
    wanted = {"000.png": "fox 0", "001.png": "fox 1, hat", "002.png": "fox 2, hat", "003.png": "fox 3"}
    until(lambda: kept(idle_studio) == wanted, "the captions", 30)


def test_what_masked_loss_ignores_is_shown(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox", "hare"])
    settings = Settings(data=idle_studio.data)
    path = blob_path(settings, "a" * 64, "png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(3, 48, 48))
    engine = open_engine(settings.store_path)
    with write(engine) as session:
        session.execute(update(Image).where(Image.id == 2).values(recipe=Recipe(mask="a" * 64).to_json()))
    engine.dispose()
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("o")
    expect(page.locator("#picture-mask")).to_have_text("no mask: all of it trains")
    expect(page.locator("#shade")).to_be_hidden()
    page.keyboard.press("j")
    expect(page.locator("#shade")).to_be_visible()
    expect(page.locator("#picture-mask")).to_have_text("red does not train")
    page.keyboard.press("o")
    expect(page.locator("#shade")).to_be_hidden()


def test_the_filter_is_completed_by_keyboard(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["red fox, grass", "", "owl"])
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("/")
    page.keyboard.type("is:unt")
    expect(page.locator("#filter-offers")).to_contain_text("is:untagged")
    page.keyboard.press("Tab")
    expect(page.locator("#filter")).to_have_value("is:untagged ")
    expect(page.locator("#filter-note")).to_have_text("1 of 3")
    page.keyboard.type("OR tag:re")
    expect(page.locator("#filter-offers")).to_contain_text("red fox")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#filter")).to_have_value('is:untagged OR tag:"red fox" ')
    page.keyboard.press("Enter")
    expect(page.locator("#status-place")).to_contain_text("/2")
    expect(page.locator("#filter-offers")).to_be_hidden()
    expect(page.locator("#grid")).to_be_focused()


def test_a_filter_that_finds_nothing_while_it_is_typed_loses_nobodys_place(
    context: BrowserContext, idle_studio: Studio
) -> None:
    project_id = fill(idle_studio, ["fox", "hare", "owl", "fox, snow"])
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("j")
    page.keyboard.press("j")
    place = page.locator("#status-place")
    page.keyboard.press("/")
    page.keyboard.type("zz")
    expect(place).to_have_text("no image")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(place).to_have_text("3/4")
    # Where a filter has led and was left with Enter, one stays when it is taken away again.
    page.keyboard.type("snow")
    expect(place).to_have_text("1/1")
    page.keyboard.press("Enter")
    expect(page.locator("#grid")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.press("Delete")
    expect(place).to_have_text("4/4")
