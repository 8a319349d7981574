"""The form of a new project under a slow server: what a person typed is never swapped away."""

import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_a_late_answer_takes_no_word_away(page: Page) -> None:
    held: list[Route] = []
    page.route("**/projects/trigger*", lambda route: held.append(route))
    page.goto("/projects/new")
    page.get_by_label("Name", exact=True).fill("Red fox")
    page.get_by_label("Trigger word").fill("rdfx")
    while not held:
        page.wait_for_timeout(20)
    with page.expect_response("**/projects/trigger*"):
        held[0].continue_()
    page.unroute_all(behavior="ignoreErrors")
    page.get_by_role("radio", name="Style").check()
    expect(page.get_by_role("button", name="Use")).to_have_count(0)
    expect(page.get_by_label("Trigger word")).to_have_value("rdfx")


def test_the_suggestion_is_taken_with_one_press(page: Page) -> None:
    page.goto("/projects/new")
    page.get_by_label("Name", exact=True).fill("Red fox")
    page.get_by_label("Trigger word").focus()
    button = page.get_by_role("button", name="Use")
    expect(button).to_be_visible()
    word = button.inner_text().removeprefix("Use “").removesuffix("”")
    button.click()
    expect(page.get_by_label("Trigger word")).to_have_value(word)
    expect(button).to_have_count(0)
