"""A real browser on a real studio."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.studio import Studio

PATIENCE_MS = 60_000
SLOWDOWN = int(os.environ.get("BROWSER_SLOWDOWN", "1"))
"""How many times slower than the machine the pages compute, to look for races: BROWSER_SLOWDOWN=6."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Debian's Chromium; nothing is downloaded. Playwright holds an event loop, so it must not outlive its module."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield opened
        opened.close()


def open_context(browser: Browser, studio: Studio) -> BrowserContext:
    """Open a browser profile of its own on a studio."""
    made = browser.new_context(base_url=studio.address, viewport={"width": 1280, "height": 720})
    made.set_default_timeout(PATIENCE_MS)
    if SLOWDOWN > 1:
        made.on("page", slow_down)
    return made


def slow_down(page: Page) -> None:
    """Make the scripts of a page run as on a slower machine."""
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio with its worker."""
    started = Studio(tmp_path / "studio")
    yield started
    started.end()


@pytest.fixture
def idle_studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio without a worker."""
    started = Studio(tmp_path / "idle", "--no-worker")
    yield started
    started.end()


@pytest.fixture
def context(browser: Browser, idle_studio: Studio) -> Iterator[BrowserContext]:
    """A browser profile of its own on the idle studio."""
    made = open_context(browser, idle_studio)
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    """A page on the studio; anything the browser complains of fails the test."""
    context = open_context(browser, studio)
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A refused file is answered with 422, which Chromium reports as if the page had failed.
        if message.type in ("error", "warning") and "status of 422" not in message.text:
            complaints.append(f"{message.type}: {message.text}")

    opened = context.new_page()
    opened.on("console", note)
    opened.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    yield opened
    context.close()
    assert complaints == []
