"""A page that is left open: it catches up with its run, and says once, in the right place, that the server is away."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.held import intercept
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LONG_MS = 180_000
REFRESH = """() => new Promise((resolve) => {
  document.addEventListener("htmx:error", (event) => {
    if (event.target.id === "run-progress") resolve(document.querySelectorAll(".toast").length);
  });
  htmx.trigger(document.body, "run-progress", {});
})"""
"""Let a region draw itself again, and say how many toasts stand once that has failed."""


@pytest.fixture
def patient(context: BrowserContext) -> Page:
    """A page that may complain: its server is taken away."""
    return context.new_page()


def start_demo(page: Page, steps: int, every: int) -> None:
    """Start a training of a demo project and come to its page."""
    page.goto("/")
    page.get_by_role("button", name="Open the demo").first.click()
    page.get_by_role("link", name="Train", exact=False).first.click()
    page.get_by_role("textbox", name="Steps", exact=True).fill(str(steps))
    page.get_by_role("textbox", name="Save every").fill(str(every))
    page.get_by_role("textbox", name="Sample every").fill(str(every))
    page.get_by_role("textbox", name="Sample prompts").fill("a red fox")
    expect(page.locator("#plan")).to_contain_text(f"one every {every} steps")
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))


def test_a_review_opened_early_catches_up(page: Page) -> None:
    start_demo(page, steps=60, every=15)
    page.goto(page.url.replace("/runs/1", "/projects/1/review?run=1"))
    steps = page.locator("#step")
    expect(steps.locator("option[value='15']")).to_be_attached(timeout=LONG_MS)
    expect(page.locator("#strengths")).to_be_visible()
    expect(page.locator("#review-best")).to_contain_text("Find the best checkpoint", timeout=LONG_MS)
    steps.select_option("15")
    expect(steps.locator("option")).to_have_count(4, timeout=LONG_MS)
    expect(steps).to_have_value("15")
    expect(page.locator("#review-status")).to_contain_text("Completed", timeout=LONG_MS)


def test_the_mark_alone_says_that_the_stream_is_lost(patient: Page, idle_studio: Studio) -> None:
    start_demo(patient, steps=60, every=15)
    mark = patient.locator("[data-stream-state]")
    expect(mark).to_have_text("Live")
    idle_studio.kill()
    expect(mark).to_contain_text("Connection lost")
    toasts = patient.evaluate(REFRESH)
    assert toasts == 0
    # What a person asks for is answered all the same.
    patient.get_by_role("button", name="Stop").click()
    patient.locator("#confirm [value=yes]").click()
    expect(patient.locator(".toast")).to_have_text(re.compile("Nothing was changed"))


def test_a_list_says_that_it_is_not_fresh_until_it_is(patient: Page) -> None:
    patient.goto("/runs")
    intercept(patient, "**/runs/list", lambda route: route.abort())
    expect(patient.locator(".toast")).to_contain_text("does not answer")
    patient.unroute("**/runs/list")
    expect(patient.locator(".toast")).to_have_count(0)
