"""The grid of samples by keyboard alone: one stop of the Tab key, and nothing is lost while it draws itself again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from app.contract.events import Resumed
from tests.browser.held import press
from tests.browser.running import go_on, running
from tests.routes.stories import Story
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Studio, Story]]:
    """A studio and its running training."""
    with running(tmp_path / "studio") as made:
        yield made


@pytest.fixture
def studio(told: tuple[Studio, Story]) -> Studio:
    """The studio alone, for the page."""
    return told[0]


@pytest.fixture
def story(told: tuple[Studio, Story]) -> Story:
    """The training."""
    return told[1]


def cell(page: Page, step: int, prompt: int) -> Locator:
    """The place of a sample."""
    return page.locator(f"#cell-1-{step}-{prompt}-42-100")


def test_the_grid_is_one_tab_stop(page: Page, story: Story) -> None:
    go_on(story, 40)
    page.goto("/projects/1/review?run=1")
    assert page.locator("#samples-1 [tabindex='0']").count() == 1
    page.locator("#cells-large").focus()
    press(page, "Tab")
    expect(cell(page, 0, 0)).to_be_focused()
    press(page, "Tab")
    expect(page.locator("#step")).to_be_focused()
    press(page, "Shift+Tab", "ArrowRight", "ArrowDown")
    expect(cell(page, 20, 1)).to_be_focused()
    press(page, "Tab", "Shift+Tab")
    expect(cell(page, 20, 1)).to_be_focused()
    assert page.locator("#samples-1 [tabindex='0']").count() == 1
    for keys, step, prompt in (("End", 40, 1), ("Home", 0, 1), ("Control+Home", 0, 0), ("Control+End", 40, 1)):
        press(page, keys)
        expect(cell(page, step, prompt)).to_be_focused()
    # A row ends where the next one begins; above the samples stand the downloads of their checkpoints.
    press(page, "ArrowUp", "ArrowRight", "ArrowLeft")
    expect(cell(page, 40, 0)).to_be_focused()
    press(page, "ArrowUp")
    expect(page.get_by_role("link", name="Download the LoRA of step 40")).to_be_focused()
    press(page, "ArrowDown", "k")
    expect(cell(page, 40, 0)).to_have_attribute("data-verdict", "keep")
    expect(cell(page, 40, 0)).to_be_focused()
    assert page.locator("#samples-1 [tabindex='0']").count() == 1
    press(page, "Enter", "ArrowLeft", "Escape")
    expect(cell(page, 20, 0)).to_be_focused()
    assert page.locator("#samples-1 [tabindex='0']").get_attribute("id") == "cell-1-20-0-42-100"


def test_arrows_go_by_columns_where_the_baseline_stays_in_sight(page: Page, story: Story) -> None:
    for step in range(40, 201, 20):
        go_on(story, step)
    page.goto("/projects/1/review?run=1")
    page.locator("#cells-large").click()
    cell(page, 0, 0).focus()
    press(page, "End")
    for step in range(180, -1, -20):
        press(page, "ArrowLeft")
        expect(cell(page, step, 0)).to_be_focused()


def test_the_focus_survives_what_the_run_draws(page: Page, story: Story) -> None:
    page.goto("/projects/1/review?run=1")
    expect(page.locator("[data-stream-state]")).to_have_text("Live")
    page.locator("#cells-large").click()
    cell(page, 20, 1).focus()
    go_on(story, 40)
    expect(cell(page, 40, 1)).to_have_attribute("data-label", "step 40")
    expect(cell(page, 20, 1)).to_be_focused()
    expect(page.locator("#scroll-1.large")).to_be_visible()
    assert page.locator("#samples-1 [tabindex='0']").get_attribute("id") == "cell-1-20-1-42-100"
    press(page, "ArrowRight", "x")
    expect(cell(page, 40, 1)).to_have_attribute("data-verdict", "reject")
    # The run goes on from an earlier checkpoint: what was drawn behind it is gone, and its neighbour has the focus.
    story.log.append(Resumed(from_step=20))
    expect(cell(page, 40, 1)).to_have_count(0)
    expect(cell(page, 20, 1)).to_be_focused()
    # A checkpoint whose samples are still to come: its places cannot be walked to, and are there once they are drawn.
    story.train(21, 40)
    story.save(40)
    expect(cell(page, 40, 1).locator(".skeleton")).to_be_visible()
    press(page, "ArrowRight")
    expect(cell(page, 20, 1)).to_be_focused()
    story.draw(40)
    expect(cell(page, 40, 1)).to_have_attribute("data-verdict", "reject")
    press(page, "ArrowRight")
    expect(cell(page, 40, 1)).to_be_focused()
