"""What a newcomer looks for on a small screen: the button that starts training, the keys of the grid, holding out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio that trains nothing."""
    started = Studio(tmp_path / "studio", "--no-worker")
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
