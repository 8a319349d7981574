"""Keys pressed while an answer is on its way: none is lost, none falls on another image, no late answer undoes one."""

import sqlite3
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from app.config import Settings
from app.contract.suggestions import Answer, Looked
from app.store import runs, suggestions
from app.store.db import open_engine, write
from app.store.models import Image
from app.store.suggestions import Taken
from tests.browser import labeling
from tests.browser.conftest import open_context
from tests.browser.held import Held, intercept, press, press_at_once, until_served
from tests.browser.labeling import all_saved, open_screen
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio for all of these; each test has a project of its own."""
    started = Studio(tmp_path_factory.mktemp("ahead") / "studio", "--no-worker")
    yield started
    started.end()


@pytest.fixture
def context(browser: Browser, shared: Studio) -> Iterator[BrowserContext]:
    """A browser profile of its own."""
    made = open_context(browser, shared)
    yield made
    made.close()


def fill(studio: Studio, captions: list[str]) -> int:
    """Make a project of its own name with one image a caption; return its id."""
    return labeling.fill(studio, captions, name=f"Foxes {time.monotonic_ns()}")


def stored(studio: Studio, project_id: int) -> list[tuple[str, int]]:
    """The captions and repeats of a project's images, in their order."""
    words = "SELECT coalesce(text, ''), repeats FROM image LEFT JOIN caption ON image_id = image.id"
    with sqlite3.connect(f"file:{Settings(data=studio.data).store_path}?mode=ro", uri=True) as connection:
        return connection.execute(f"{words} WHERE project_id = ? ORDER BY name", [project_id]).fetchall()


def captions(studio: Studio, project_id: int) -> list[str]:
    """The captions of a project's images, in their order."""
    return [text for text, _ in stored(studio, project_id)]


def test_a_command_is_about_what_the_filter_finds(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox", "hare", "owl"])
    page = context.new_page()
    open_screen(page, project_id)
    index = Held(page, "**/label/index.json*")
    press(page, "/", *"hare", "Enter")
    press_at_once(page, "+")
    index.release()
    expect(page.locator("#fact-repeats")).to_have_text("2 ×")
    expect(page.locator("#status-place")).to_have_text("1/1")
    all_saved(page)
    assert stored(shared, project_id) == [("fox", 1), ("hare", 2), ("owl", 1)]
    # A mistake that is put right is read again, however quickly Enter follows.
    press(page, "/", "Control+a", *"fox (")
    expect(page.locator("#filter")).to_have_attribute("aria-invalid", "true")
    page.evaluate(
        """() => {
          const field = document.getElementById("filter");
          field.value = "owl";
          field.dispatchEvent(new InputEvent("input", { bubbles: true }));
          field.form.requestSubmit();
        }"""
    )
    expect(page.locator("#caption")).to_have_value("owl")
    expect(page.locator("#status-place")).to_have_text("1/1")


def test_words_are_written_on_the_image_that_was_looked_for(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["", "hare", "owl"])
    page = context.new_page()
    open_screen(page, project_id)
    press(page, "End")
    expect(page.locator("#caption")).to_have_value("owl")
    index = Held(page, "**/label/index.json*")
    press_at_once(page, "e", "Enter", *"foz", "Backspace", "x", "Escape", "j", "+")
    index.release()
    expect(page.locator("#status-place")).to_have_text("2/3")
    all_saved(page)
    until_served(page, lambda: stored(shared, project_id) == [("fox", 1), ("hare", 2), ("owl", 1)], "the captions", 60)


def test_undo_takes_no_newer_words_away(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox"])
    page = context.new_page()
    open_screen(page, project_id)
    press(page, "Enter")
    page.keyboard.insert_text(", snow")
    press(page, "Escape")
    all_saved(page)
    undo = Held(page, "**/undo")
    press_at_once(page, "Control+z", "Enter", *", night", "Escape")
    undo.release()
    expect(page.locator("#caption")).to_have_value("fox, night")
    until_served(page, lambda: captions(shared, project_id) == ["fox, night"], "the caption", 60)
    # By pointer one is at the words before the answer has come.
    undo = Held(page, "**/undo")
    press(page, "Control+z")
    undo.wait()
    # What was pressed for something else is not typed into the words.
    press_at_once(page, "x")
    page.locator("#caption").click()
    press(page, "End", *", grass")
    undo.release()
    expect(page.locator("#caption")).to_have_value("fox, grass")
    press(page, *" hill", "Escape")
    until_served(page, lambda: captions(shared, project_id) == ["fox, grass hill"], "the caption", 60)


def test_what_is_undone_is_the_key_before(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox", "hare"])
    page = context.new_page()
    rows = Held(page, "**/label/rows.json*")
    open_screen(page, project_id)
    press_at_once(page, "+", "x", "Control+z", "c")
    rows.release()
    page.wait_for_url("**/polish")
    assert stored(shared, project_id) == [("fox", 2), ("hare", 1)]


def test_a_late_row_takes_no_change_back(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox"])
    page = context.new_page()
    rows, saving = Held(page, "**/label/rows.json*"), Held(page, "**/label/fields")
    open_screen(page, project_id)
    # The row is asked for once; a second answer would come after what the first one set off, and take it back.
    press(page, "+", "+")
    rows.release()
    expect(page.locator("#fact-repeats")).to_have_text("3 ×")
    saving.release()
    all_saved(page)
    until_served(page, lambda: stored(shared, project_id) == [("fox", 3)], "the repeats", 60)


def test_the_image_that_is_shown_is_polished(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox", "hare"])
    page = context.new_page()
    open_screen(page, project_id)
    first = page.locator("#open-polish").get_attribute("href")
    expect(page.locator(".label-tile[title]")).to_have_count(2)
    rows = Held(page, "**/label/rows.json*")
    page.evaluate(
        """async () => {
          const { state } = await import("/static/label/state.js");
          state.rows.delete(state.ids[1]);
        }"""
    )
    press(page, "j")
    rows.wait()
    assert page.locator("#open-polish").get_attribute("href") != first
    rows.release()


def test_somebody_elses_words_ask_once_the_keyboard_rests(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox"])
    page = context.new_page()
    open_screen(page, project_id)
    image = page.locator(".label-tile").get_attribute("data-id")
    own = {"X-LoRA-Studio": "1", "HX-Request": "true"}
    save = f"/images/{image}/label"
    assert page.request.post(save, form={"revision": "1", "text": "fox, snow", "step": ""}, headers=own).ok
    press(page, "Enter", *", night")
    # Saved by itself while somebody writes: the answer must not take the next keys, nor be answered by them.
    expect(page.locator("#status-saving")).to_contain_text("changed by somebody else")
    press(page, *" 1 sky", "Enter", "2")
    expect(page.locator("#caption")).to_have_value("fox, night 1 sky\n2")
    expect(page.locator("#merge-dialog")).to_be_hidden()
    press(page, "Escape")
    expect(page.locator("#merge-yours")).to_have_text("fox, night 1 sky\n2")
    press(page, "1")
    all_saved(page)
    until_served(page, lambda: captions(shared, project_id) == ["fox, night 1 sky\n2"], "the caption", 60)


def test_a_panel_takes_the_focus_from_nobody(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox, snow", "hare"])
    page = context.new_page()
    open_screen(page, project_id)
    facets = Held(page, "**/label/facets.json*")
    page.locator("#facets-open").click()
    facets.wait()
    page.locator("#caption").click()
    press(page, "End", *", one")
    facets.release()
    expect(page.locator("#facets button").first).to_be_visible()
    press(page, *" two", "Escape", "Escape")
    expect(page.locator("#caption")).to_have_value("fox, snow, one two")
    # By keyboard the next key is about the panel, and stays on its place when it is drawn anew.
    facets = Held(page, "**/label/facets.json*")
    press_at_once(page, "f", "Enter")
    facets.release()
    expect(page.locator("#filter")).not_to_have_value("")
    press(page, "Enter")
    expect(page.locator("#filter")).to_have_value("")
    expect(page.locator("#status-mode")).to_have_text("Browse")


def test_suggestions_that_come_late_are_taken(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox", "hare"])
    engine = open_engine(Settings(data=shared.data).store_path)
    with write(engine) as session:
        run = runs.create(session, project_id, "tag", "Tags", f"tags-{project_id}")
        for image in session.query(Image).where(Image.project_id == project_id):
            tags = [(f"hat {image.name[2]}", 0.9), ("snow", 0.7)]
            answers = tuple(Answer(kind="tag", text=text, category="general", confidence=sure) for text, sure in tags)
            seen = Looked(sha256=image.sha256, name=image.name, answers=answers)
            suggestions.take(session, Taken(project_id, run.id, "wd"), [seen])
    engine.dispose()
    page = context.new_page()
    open_screen(page, project_id)
    late = Held(page, "**/suggestions.json")
    press_at_once(page, "a", "j", "A", "Enter")
    late.release()
    until_served(page, lambda: captions(shared, project_id) == ["fox, hat 0, snow", "hare, hat 1"], "the captions", 60)
    # What was accepted last takes no focus away from somebody who writes by now.
    accepting = Held(page, "**/accept")
    expect(page.locator(".label-ghost")).to_have_count(1)
    page.locator(".label-ghost").click()
    accepting.wait()
    page.locator("#caption").click()
    press(page, "End", *", no")
    accepting.release()
    expect(page.locator("#ghosts")).to_be_hidden()
    press(page, *"on", "Escape")
    until_served(page, lambda: captions(shared, project_id)[1] == "hare, hat 1, snow, noon", "the caption", 60)


def test_answers_of_a_pass_come_before_its_end(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox", "hare", "owl"])
    page = context.new_page()
    open_screen(page, project_id)
    press(page, "t", *"hat")
    order = Held(page, "**/label/pass.json*")
    press(page, "Enter")
    press_at_once(page, "y", "n", "k", "y", "Escape", "+")
    order.release()
    expect(page.locator("#status-mode")).to_have_text("Browse")
    all_saved(page)
    until_served(
        page, lambda: stored(shared, project_id) == [("fox, hat", 1), ("hare, hat", 1), ("owl", 2)], "the captions", 60
    )


def test_a_tag_is_written_anew_before_it_has_been_read(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox, hat, snow", "owl, grass"])
    page = context.new_page()
    reading = Held(page, "**/label/read.json")
    open_screen(page, project_id)
    press_at_once(page, "w", "l", "Enter", *"rez", "Backspace", *"d hat", "Enter")
    press_at_once(page, "End", "Enter", *"ice", "Escape", "Escape", "j", "+")
    reading.release()
    expect(page.locator("#status-place")).to_have_text("2/2")
    all_saved(page)
    until_served(
        page, lambda: stored(shared, project_id) == [("fox, red hat, snow", 1), ("owl, grass", 2)], "the captions", 60
    )


def test_tab_completes_what_comes_late(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["", "quartz river"])
    page = context.new_page()
    open_screen(page, project_id)
    offers = Held(page, "**/label/complete.json*")
    press(page, "Enter", *"quart")
    press_at_once(page, "Tab", *"red", "ArrowLeft", "Backspace", "o", "Escape")
    offers.release()
    expect(page.locator("#caption")).to_have_value("quartz river, rod")
    expect(page.locator("#status-mode")).to_have_text("Browse")
    terms = Held(page, "**/label/offers.json*")
    press(page, "/", *"is:unt")
    press_at_once(page, "Tab", *"owl")
    terms.release()
    expect(page.locator("#filter")).to_have_value("is:untagged owl")


def test_a_key_during_a_reload_costs_no_unsaved_words(context: BrowserContext, shared: Studio) -> None:
    project_id = fill(shared, ["fox", "hare"])
    page = context.new_page()
    open_screen(page, project_id)
    intercept(page, "**/images/*/label", lambda route: route.abort())
    press(page, "Enter", *", snow", "Escape")
    expect(page.locator("#status-saving")).to_contain_text("1 not saved")
    index = Held(page, "**/label/index.json*")
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    index.wait()
    press_at_once(page, "j", "+")
    page.unroute("**/images/*/label")
    index.release()
    until_served(page, lambda: stored(shared, project_id) == [("fox, snow", 1), ("hare", 2)], "the captions", 60)
