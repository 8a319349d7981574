"""What a newcomer looks for on a small screen: the button that starts training, the keys of the grid, holding out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.collect import pebblo
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that trains nothing, for all of these; the style demo is its first project."""
    started = Studio(tmp_path_factory.mktemp("newcomer") / "studio", "--no-worker")
    yield started
    started.end()


def test_start_is_in_sight_and_the_grid_tells_its_keys_and_holds_out(page: Page) -> None:
    own = {"X-LoRA-Studio": "1"}
    assert page.request.post("/projects/demo", form={"key": "style"}, headers=own, max_redirects=0).status == 303
    page.goto("/projects/1/train")
    start = page.get_by_role("button", name="Start training")
    expect(start).to_be_in_viewport(ratio=1)
    prompts = page.get_by_label("Sample prompts")
    prompts.evaluate("area => area.scrollIntoView()")
    expect(start).to_be_in_viewport(ratio=1)
    prompts.focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if start.evaluate("button => button === document.activeElement"):
            break
    expect(start).to_be_focused()

    page.goto("/projects/1/images")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys of this page")
    for words in ("Select the image, or not", "Open the image", "Select none", "Remove the selected images"):
        expect(keys.get_by_text(words)).to_be_visible()
    page.keyboard.press("Escape")

    page.locator("#image-grid [data-roving-item]").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("h")
    page.wait_for_url("**/projects/1/held-out")
    expect(page.get_by_role("list", name="Held-out images").get_by_role("listitem")).to_have_count(2)


def test_a_narrow_window_cuts_nothing_off(page: Page) -> None:
    own = {"X-LoRA-Studio": "1"}
    assert page.request.post("/projects/demo", form={"key": "style"}, headers=own, max_redirects=0).status == 303
    page.set_viewport_size({"width": 390, "height": 844})
    rooms = (
        "images",
        "buckets",
        "label",
        "tags",
        "suggestions",
        "versions",
        "held-out",
        "provenance",
        "export",
        "train",
        "review",
    )
    for address in (
        "/",
        "/projects/new",
        "/runs",
        "/bases",
        "/docs",
        "/projects/1",
        *(f"/projects/1/{each}" for each in rooms),
    ):
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, f"{address} is {width} px wider than the window"
    for window in ((390, 844), (800, 900)):
        page.set_viewport_size({"width": window[0], "height": window[1]})
        page.goto("/projects/1/label")
        caption = page.get_by_label("Caption", exact=False).and_(page.locator("textarea"))
        expect(caption).not_to_have_value("")
        caption.scroll_into_view_if_needed()
        expect(caption).to_be_in_viewport(ratio=1)
        # Nothing lies over it: a click reaches it.
        caption.click()
        expect(caption).to_be_focused()
        page.goto("/images/1/caption")
        page.get_by_role("textbox", name="Caption", exact=False).first.click()


def test_with_the_last_caption_training_is_offered(page: Page) -> None:
    own = {"X-LoRA-Studio": "1"}
    assert page.request.post("/projects/demo", form={"key": "style"}, headers=own, max_redirects=0).status == 303
    page.goto("/projects/1/label")
    caption, step = page.locator("#caption"), page.locator(".step[aria-current]")
    onward = page.get_by_role("link", name="Set up training")
    expect(caption).not_to_have_value("")
    expect(onward).to_be_visible()
    caption.fill("")
    caption.press("Escape")
    expect(step).to_contain_text("(needs attention)")
    expect(onward).to_be_hidden()
    caption.fill("automobile, red")
    caption.press("Escape")
    expect(step).to_contain_text("(done)")
    onward.click()
    page.wait_for_url("**/projects/1/train")


def test_another_preset_takes_back_what_was_typed(page: Page) -> None:
    own = {"X-LoRA-Studio": "1"}
    assert page.request.post("/projects/demo", form={"key": "style"}, headers=own, max_redirects=0).status == 303
    page.goto("/projects/1/train")
    rate = page.get_by_label("Learning rate", exact=True)
    chosen = rate.input_value()
    page.get_by_label("Name", exact=True).fill("Second try")
    rate.fill("-3")
    expect(page.locator("#plan")).to_contain_text("To be mended first: Learning rate.")
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    # Both presets have the same rate, so the answer's field is that of the page as it came.
    page.get_by_role("radio", name="Quick look").check()
    expect(rate).to_have_value(chosen)
    expect(page.get_by_role("radio", name="Quick look")).to_be_checked()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Second try")
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()
    expect(page.locator("#optimization-learning_rate-notes")).to_be_empty()


def test_images_that_come_by_path_can_be_chosen_at_once(page: Page, tmp_path: Path) -> None:
    own = {"X-LoRA-Studio": "1"}
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data, _ in pebblo.drawings()[:3]:
        (folder / name).write_bytes(data)
    sent: dict[str, str | float | bool] = {"name": "By path", "purpose": "character"}
    made = page.request.post("/projects", form=sent, headers=own, max_redirects=0)
    assert made.status == 303
    page.goto(made.headers["location"] + "/folder")
    page.get_by_label("Folder or zip archive").fill(str(folder))
    page.get_by_role("button", name="Look inside").click()
    page.get_by_role("button", name="Import 3 images").click()
    expect(page.locator("#image-grid .image-tile")).to_have_count(3)
    page.get_by_label("Select all shown").check()
    expect(page.get_by_text("3 selected")).to_be_visible()
