"""Tags changed one by one, by keyboard and by dragging; the caption's text stays the one truth."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.labeling import all_saved, fill, kept, open_screen
from tests.studio import Studio, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SLOW = """
const real = window.fetch;
window.fetch = async (...asked) => {
  await new Promise((resolve) => setTimeout(resolve, 200));
  return real(...asked);
};
"""
CHANGE = """async ([work, line, place, to]) => {
  const chips = await import("/static/label/chips.js");
  const kinds = { "|||": "keep", ";;;": "group" };
  const cut = (text) => text.match(/\\|\\|\\||;;;|[\\s,]+|[^\\s,|;](?:[^,|;]*[^\\s,|;])?/g);
  const segments = cut(line).map((text) => ({ text, kind: kinds[text] ?? (/^[\\s,]+$/.test(text) ? "gap" : "tag") }));
  const places = [...segments.keys()].filter((at) => chips.isChip(segments[at]));
  return chips.textOf(chips[work](segments, places[place], work === "move" ? places[to] : to));
}"""


def texts(page: Page) -> list[str]:
    """The chips as they stand."""
    return [each.removesuffix("×") for each in page.locator(".label-chip").all_text_contents()]


def press(page: Page, *keys: str) -> None:
    """Press some keys."""
    for key in keys:
        page.keyboard.press(key)


def test_every_change_of_a_chip_is_one_of_the_text(context: BrowserContext, idle_studio: Studio) -> None:
    page = context.new_page()
    open_screen(page, fill(idle_studio, ["fox"]))
    for work, line, place, to, wanted in (
        ("remove", "a, b , c", 0, None, "b , c"),
        ("remove", "a, b , c", 1, None, "a , c"),
        ("remove", "a,b,c", 2, None, "a,b"),
        ("remove", "a", 0, None, ""),
        ("remove", "a;;;b, c", 0, None, "b, c"),
        ("remove", "a;;;b, c", 1, None, "a, c"),
        ("remove", "a ||| b, c", 0, None, "b, c"),
        ("move", "a,b ||| c,  d", 0, 3, "b,c ||| d,  a"),
        ("move", "a, b, c", 2, 0, "c, a, b"),
        ("rewrite", "a,  b", 1, " x y ", "a,  x y"),
        ("rewrite", "a,  b", 1, " ", "a"),
        ("pin", "a, b, c", 0, None, "a ||| b, c"),
        ("pin", "a ||| b, c", 1, None, "a, b ||| c"),
        ("pin", "a ||| b, c", 0, None, "a, b, c"),
        ("pin", "a;;;b, c", 0, None, "a;;;b ||| c"),
        ("pin", "a, b", 1, None, "a, b |||"),
        ("pin", "a, b |||", 1, None, "a, b"),
        ("pin", "a,b ||| c ||| d", 2, None, "a,b,c ||| ||| d"),
    ):
        assert page.evaluate(CHANGE, [work, line, place, to]) == wanted, (work, line, place)


def test_tags_are_changed_by_keyboard_and_undone(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox, red hat,  grass, \\(sun\\), night", "hare, grass"])
    page = context.new_page()
    open_screen(page, project_id)
    press(page, "w")
    expect(page.locator(".label-chip").first).to_be_focused()
    expect(page.locator("#status-mode")).to_have_text("Tags")
    press(page, "Delete", "Alt+ArrowRight", "Alt+ArrowDown", "Alt+ArrowLeft")
    expect(page.locator("#caption")).to_have_value("grass,  red hat, \\(sun\\), night")
    press(page, "p", "End", "Enter")
    page.keyboard.type("late evening, moon")
    press(page, "Enter")
    wanted = "grass,  red hat ||| \\(sun\\), late evening, moon"
    expect(page.locator("#caption")).to_have_value(wanted)
    expect(page.locator("#reading")).to_contain_text("moon")
    expect(page.locator(".label-chip")).to_have_count(5)
    assert texts(page)[3:] == ["late evening", "moon"]
    # What is written anew and left by Escape stays as it was; the next image comes while the focus stays on its tags.
    press(page, "F2")
    page.keyboard.type("never")
    press(page, "Escape", "PageDown", "x", "Escape")
    expect(page.locator("#status-mode")).to_have_text("Browse")
    all_saved(page)
    until(lambda: kept(idle_studio) == {"000.png": wanted, "001.png": "grass"}, "the captions", 30)
    press(page, "Control+z")
    until(lambda: kept(idle_studio)["001.png"] == "hare, grass", "the undone tag", 30)
    expect(page.locator("#caption")).to_have_value("hare, grass")


def test_what_is_kept_in_front_stays_there_in_every_training_text(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["rdfx, red hat, grass, sky, night, owl, tree, rain"])
    page = context.new_page()
    open_screen(page, project_id)
    press(page, "w", "ArrowRight", "p")
    expect(page.locator("#caption")).to_have_value("rdfx, red hat ||| grass, sky, night, owl, tree, rain")
    expect(page.locator(".label-chip.kept")).to_have_count(2)
    expect(page.locator("#trainings li").first).to_contain_text("rdfx, red hat, ")
    shown = page.locator("#trainings li").all_text_contents()
    assert all(text.startswith("rdfx, red hat, ") and "|" not in text for text in shown)


def test_a_slow_studio_loses_no_key_and_puts_none_on_another_image(
    context: BrowserContext, idle_studio: Studio
) -> None:
    count = 12
    project_id = fill(idle_studio, [f"fox {place}, grass, sky" for place in range(count)])
    page = context.new_page()
    page.add_init_script(SLOW)
    open_screen(page, project_id)
    press(page, "w")
    for _ in range(count):
        press(page, "End", "x", "Home", "Enter", *"red-fox", "Enter", "Alt+ArrowRight", "PageDown")
    press(page, "Escape")
    expect(page.locator("#status-mode")).to_have_text("Browse", timeout=60_000)
    all_saved(page)
    wanted = {f"{place:03}.png": "grass, red-fox" for place in range(count)}
    until(lambda: len(kept(idle_studio)) == count, "the captions", 30)
    assert kept(idle_studio) == wanted


@pytest.mark.parametrize("pace", ["", SLOW], ids=["quick", "slow"])
def test_on_a_caption_without_tags_no_key_is_about_the_image(
    context: BrowserContext, idle_studio: Studio, pace: str
) -> None:
    project_id = fill(idle_studio, ["", "hare"])
    page = context.new_page()
    page.add_init_script(pace)
    open_screen(page, project_id)
    press(page, "w", "x", "Delete", "p")
    expect(page.locator("#status-place")).to_contain_text("1/2")
    expect(page.locator("#status-mode")).to_have_text("Tags")
    press(page, "Enter")
    page.keyboard.type("fox")
    press(page, "Escape")
    all_saved(page)
    until(lambda: kept(idle_studio) == {"000.png": "fox", "001.png": "hare"}, "the captions", 30)


def test_sentences_are_no_chips_and_chips_can_be_dragged(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["A red fox sits in the tall grass.\nfox, grass, sky"])
    page = context.new_page()
    open_screen(page, project_id)
    expect(page.locator(".label-sentence")).to_have_text("A red fox sits in the tall grass.")
    expect(page.locator(".label-chip")).to_have_count(3)
    page.locator(".label-chip", has_text="sky").drag_to(page.locator(".label-chip", has_text="fox"))
    expect(page.locator("#caption")).to_have_value("A red fox sits in the tall grass.\nsky, fox, grass")
    page.locator(".label-chip", has_text="grass").locator(".label-chip-x").click()
    expect(page.locator("#caption")).to_have_value("A red fox sits in the tall grass.\nsky, fox")
    all_saved(page)
    until(lambda: kept(idle_studio)["000.png"].endswith("\nsky, fox"), "the caption", 30)
