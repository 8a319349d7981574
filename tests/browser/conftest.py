"""A real browser on a real studio."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.studio import Studio

PATIENCE_MS = 20_000
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
    made = browser.new_context(base_url=idle_studio.address, viewport={"width": 1280, "height": 720})
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    """A page on the studio; anything the browser complains of fails the test."""
    context = browser.new_context(base_url=studio.address, viewport={"width": 1280, "height": 720})
    context.set_default_timeout(PATIENCE_MS)
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
