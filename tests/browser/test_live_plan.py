"""The training form while people type: errors come and go beside their fields, and nothing that was typed is lost."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.held import Held, press
from tests.browser.running import running
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio with a project that can be trained."""
    with running(tmp_path / "studio") as (started, _):
        yield started


def test_an_error_of_the_plan_is_tied_to_its_field_until_it_is_mended(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/train")
    steps = page.get_by_role("textbox", name="Steps", exact=True)
    rate = page.get_by_role("textbox", name="Learning rate", exact=True)
    steps.fill("many")
    expect(steps).to_have_attribute("aria-invalid", "true")
    expect(steps).to_have_accessible_description(re.compile("'many' is not a whole number"))
    expect(page.locator("#optimization-steps-notes")).to_be_visible()
    expect(rate).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#plan")).to_contain_text("To be mended first: Steps")
    # What is typed while an answer is on its way stays, and the cursor with it.
    plans = Held(page, "**/train/plan")
    steps.fill("6")
    plans.wait()
    press(page, "0", "Tab", "Tab")
    rate.fill("0.00")
    plans.release()
    expect(steps).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#optimization-steps-notes")).to_be_empty()
    expect(rate).to_have_attribute("aria-invalid", "true")
    expect(rate).to_be_focused()
    press(page, "1")
    expect(page.locator("#plan")).to_contain_text("60 steps are")
    expect(page.locator("#training [aria-invalid=true]")).to_have_count(0)
    expect(rate).to_have_value("0.001")
    assert steps.input_value() == "60"


def test_an_error_in_a_closed_group_opens_it(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/train")
    group = page.locator("#group-optimization")
    group.locator("summary").click()
    plans = Held(page, "**/train/plan")
    page.get_by_role("textbox", name="Warmup").fill("-1")
    group.locator("summary").click()
    plans.release()
    expect(page.get_by_role("textbox", name="Warmup")).to_have_accessible_description(re.compile("-1 is not possible"))
    expect(group).to_have_attribute("open", "")


def test_what_is_typed_while_a_preset_is_on_its_way_stays(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/train")
    forms, plans = Held(page, "**/train/form?*"), Held(page, "**/train/plan")
    page.get_by_role("radio", name="Thorough").check()
    forms.wait()
    page.get_by_role("textbox", name="Steps", exact=True).fill("77")
    page.get_by_role("textbox", name="Name", exact=True).fill("Mine")
    page.get_by_role("textbox", name="Batch").focus()
    forms.release()
    expect(page.get_by_role("textbox", name="Rank", exact=True)).to_have_value("32")
    expect(page.get_by_role("textbox", name="Steps", exact=True)).to_have_value("77")
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("Mine")
    expect(page.get_by_role("textbox", name="Batch")).to_be_focused()
    # The plan is that of the form as it stands.
    plans.release()
    expect(page.locator("#plan")).to_contain_text("77 steps are")
