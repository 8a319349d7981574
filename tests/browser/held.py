"""Answers that a test holds back, and keys pressed meanwhile, also many of them in one breath."""

import time
from collections.abc import Callable

from playwright.sync_api import Page, Route

IN_ONE_BREATH = """(keys) => {
  for (const name of keys) {
    const [key, lead] = name.split("+").reverse();
    const options = { key: key || "+", ctrlKey: lead === "Control", bubbles: true, cancelable: true, composed: true };
    (document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent("keydown", options));
  }
}"""


PROBE = "/static/favicon.svg?intercepted"


def intercept(page: Page, address: str, handler: Callable[[Route], object]) -> None:
    """Handle what a page asks for, from this call on.

    Chromium says that it intercepts before the page's process has heard of it: on an open page the next request can
    still slip through. So one is made until it is caught.
    """
    page.route(address, handler)
    if not page.url.startswith("http"):
        return
    page.route(f"**{PROBE}", lambda route: route.fulfill(body="caught"))
    probe = f"async () => (await fetch('{PROBE}', {{ cache: 'no-store' }})).text()"
    until_served(page, lambda: page.evaluate(probe) == "caught", "requests to be intercepted", 60)


class Held:
    """Answers that are held back until they are let go."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.routes: list[Route] = []
        self.is_open = False
        intercept(page, address, self.take)

    def take(self, route: Route) -> None:
        """Hold an answer back, or let it through once the others are."""
        self.routes.append(route)
        if self.is_open:
            route.continue_()

    def wait(self, count: int = 1) -> None:
        """Wait until that many have been asked for."""
        until_served(self.page, lambda: len(self.routes) >= count, f"{count} to be asked for at {self.page.url}", 60)

    def release(self) -> None:
        """Let all go, also those asked for from now on."""
        self.wait()
        self.is_open = True
        for route in list(self.routes):
            route.continue_()


def until_served(page: Page, condition: Callable[[], object], what: str, deadline_s: float) -> None:
    """Wait for a condition; meanwhile answers that are held back no more go through, in the page's turn alone."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s:.0f} s for {what}")
        page.wait_for_timeout(20)


def press(page: Page, *keys: str) -> None:
    """Press some keys, one directly after the other."""
    for key in keys:
        page.keyboard.press(key)


def press_at_once(page: Page, *keys: str) -> None:
    """Press keys that scripts listen for before any other work is done, as on a machine that is too busy to keep up."""
    page.evaluate(IN_ONE_BREATH, keys)
