"""Pages that draw themselves again while they are used by keyboard: focus and reading position stay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.contract.events import Resumed
from app.store import imports
from app.store.db import read, write
from app.store.imports import NewItem
from tests.browser.held import press
from tests.browser.running import go_on, running
from tests.drawing import picture
from tests.routes.stories import Story, sweep_story
from tests.studio import Studio, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LOG_LINE = """() => {
  const words = document.querySelector("#log code").firstChild;
  const range = document.createRange();
  const at = words.data.indexOf("line 200 ");
  range.setStart(words, at);
  range.setEnd(words, at + 4);
  return range.getBoundingClientRect().top - document.getElementById("log").getBoundingClientRect().top;
}"""
SAMPLE = "document.getElementById('sample-60-0-42-100').getBoundingClientRect().left"


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


def test_what_goes_away_under_the_focus_leaves_it_in_its_region(page: Page, story: Story) -> None:
    go_on(story, 40)
    page.goto("/runs/1")
    expect(page.locator("[data-stream-state]")).to_have_text("Live")
    page.locator("#sample-40-1-42-100").focus()
    story.log.append(Resumed(from_step=20))
    expect(page.locator("#sample-40-1-42-100")).to_have_count(0)
    expect(page.locator("#samples-title")).to_be_focused()
    page.locator("#stop").focus()
    press(page, "Enter")
    expect(page.locator("#confirm")).to_be_visible()
    page.locator("#confirm [value=yes]").focus()
    press(page, "Enter")
    expect(page.locator("#run-progress h1")).to_contain_text("Stopping")
    expect(page.locator("#run-progress h1")).to_be_focused()
    press(page, "Tab")
    story.end("stopped")
    expect(page.locator("#run-progress h1")).to_contain_text("Stopped")
    expect(page.locator("body")).not_to_be_focused()


def test_what_is_read_stays_in_sight(page: Page, story: Story) -> None:
    log = story.folder.log
    log.write_text("".join(f"line {number} of what it printed\n" for number in range(250)))
    for step in range(40, 161, 20):
        go_on(story, step)
    page.goto("/runs/1")
    expect(page.locator("[data-stream-state]")).to_have_text("Live")
    page.locator("#log-more summary").click()
    page.locator("#log").focus()
    page.evaluate("document.getElementById('log').scrollTop = -600")
    page.evaluate("document.getElementById('samples-scroll').scrollLeft = 250")
    line, sample = page.evaluate(LOG_LINE), page.evaluate(SAMPLE)
    with log.open("a") as file:
        file.write("".join(f"then {number}\n" for number in range(20)))
    go_on(story, 180)
    expect(page.locator("#sample-180-0-42-100")).to_be_attached()
    expect(page.locator("#log")).to_contain_text("then 19")
    expect(page.locator("#log")).to_be_focused()
    assert page.evaluate(LOG_LINE) == pytest.approx(line, abs=3)
    assert page.evaluate(SAMPLE) == pytest.approx(sample, abs=3)


def test_a_new_run_on_top_of_the_list_moves_no_focus(page: Page, story: Story) -> None:
    go_on(story, 40)
    page.goto("/projects/1/runs")
    page.locator("#run-1 a").focus()
    sweep_story(story)
    expect(page.locator("#run-2")).to_be_visible()
    expect(page.locator("#run-1 a")).to_be_focused()


def test_an_import_that_ends_leaves_the_focus_in_its_report(page: Page, story: Story) -> None:
    with write(story.store) as session:
        made = imports.create(session, 1, "{}", "you").id
        imports.add_items(session, made, [NewItem("a.png", "refused", "broken", "It is broken.")])
    page.goto(f"/imports/{made}")
    chip = page.get_by_role("navigation", name="Outcome").get_by_role("link", name="Refused")
    chip.focus()
    with write(story.store) as session:
        imports.add_items(session, made, [NewItem("b.png", "refused", "broken", "It is broken.")])
    expect(page.locator(".report-row")).to_have_count(2)
    expect(chip).to_be_focused()
    page.locator("#cancel").focus()
    with write(story.store) as session:
        imports.set_status(session, made, "done")
    expect(page.locator("#cancel")).to_have_count(0)
    expect(page.locator(".import-title")).to_be_focused()


def test_the_news_of_an_import_under_way_leave_the_focus_alone(page: Page, story: Story, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "one.png").write_bytes(picture(7))
    sent = {"path": str(folder), "looked": str(folder), "step": "import"}
    assert page.request.post("/projects/1/images/folder", form=sent, headers={"X-LoRA-Studio": "1"}).ok

    def newest() -> tuple[int, str]:
        with read(story.store) as session:
            found = imports.listed(session, 1)[0]
            return found.id, found.status

    until(lambda: newest()[1] == "done", "the import to end", 60)
    # As if it were still going on.
    with write(story.store) as session:
        imports.set_status(session, newest()[0], "running")
    page.goto("/projects/1/images")
    link = page.locator("#import-report")
    link.focus()
    link.evaluate("link => { link.isTheSame = true; }")
    for _ in range(2):
        with page.expect_response("**/images/import"):
            pass
    expect(link).to_be_focused()
    assert link.evaluate("link => link.isTheSame")
    with write(story.store) as session:
        imports.set_status(session, newest()[0], "done")
    expect(link).to_have_text("See what became of each file")
    expect(link).to_be_focused()
