"""The mask editor and the crop box in a browser: what others do meanwhile, undo and redo, and whose key it is."""

import re
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import open_context
from tests.browser.test_polish import pull, value
from tests.drawing import picture
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

OWN = {"X-LoRA-Studio": "1"}
NONE = "all of the image is learned"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio for all of these; each test has an image of its own."""
    started = Studio(tmp_path_factory.mktemp("masks") / "studio", "--no-worker")
    yield started
    started.end()


@pytest.fixture
def page(browser: Browser, shared: Studio) -> Iterator[Page]:
    """A page; refusals, which Chromium complains of, are what these tests ask for."""
    context = open_context(browser, shared)
    opened, complaints = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


@pytest.fixture
def image(page: Page, request: pytest.FixtureRequest) -> str:
    """The address of an image of 400 × 400 in a project of its own."""
    form = {"name": request.node.name, "purpose": "style", "trigger_word": "rdct"}
    made = page.request.post("/projects", form=form, headers=OWN, max_redirects=0)
    project = "/".join(made.headers["location"].split("/")[:3])
    sent = {"X-File-Name": "a.png", "HX-Request": "true", **OWN}
    assert page.request.post(f"{project}/images", data=picture(1, 400, 400), headers=sent).ok
    (address,) = set(re.findall(r"/images/[0-9]+(?=[/\"])", page.request.get(f"{project}/images").text()))
    return str(address)


def draw(page: Page, image: str) -> None:
    """Open the editor and draw a stroke in the lower half."""
    page.goto(f"{image}/mask")
    expect(page.locator("#mask-state")).to_contain_text(NONE)
    pull(page, page.locator("#mask-canvas"), (0.4, 0.8), (0.6, 0.8))
    expect(page.locator("#mask-state")).not_to_contain_text(NONE)


def saved_mask(page: Page, image: str) -> Image.Image:
    """The mask that the image has, as it is turned."""
    return Image.open(BytesIO(page.request.get(f"/media{image}/mask.png").body()))


def put_mask(page: Page, image: str) -> None:
    """Save a mask that leaves the upper half out, as another tab does."""
    mask, buffer = Image.new("L", (400, 400), 255), BytesIO()
    mask.paste(0, (0, 0, 400, 200))
    mask.save(buffer, "PNG")
    file = {"name": "m.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    sent = {"revision": "0", "seen": "{}", "mask": file}
    assert page.request.post(f"{image}/mask", multipart=sent, headers=OWN, max_redirects=0).status == 303


def test_a_mask_is_saved_whatever_words_were_written_meanwhile(page: Page, image: str) -> None:
    draw(page, image)
    words = {"text": "a fox"}
    assert page.request.post(f"{image}/caption", form=words, headers=OWN).ok
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{image}/polish")
    assert saved_mask(page, image).getpixel((200, 320)) == 0


def test_another_mask_meanwhile_is_looked_at_and_saved_over(page: Page, image: str) -> None:
    draw(page, image)
    state, over = page.locator("#mask-state"), page.get_by_role("button", name="Save mine over it")
    mine = state.text_content() or ""
    put_mask(page, image)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("a.png was changed in the meantime: its mask.")
    expect(state).to_have_text(mine)
    page.keyboard.press("t")
    expect(state).to_contain_text("50 %")
    page.get_by_role("button", name="Back to mine").click()
    expect(state).to_have_text(mine)
    # A plain save is refused again; what is there now is not overwritten unasked.
    expect(page.locator("#mask-canvas")).to_be_focused()
    over.evaluate("(button) => (button.dataset.old = 1)")
    page.keyboard.press("Enter")
    expect(page.locator("#mask-over:not([data-old])")).to_be_visible()
    assert saved_mask(page, image).getpixel((200, 20)) == 0
    # A plain save while theirs is looked at means mine, and is refused again.
    page.keyboard.press("t")
    expect(state).to_contain_text("50 %")
    over.evaluate("(button) => (button.dataset.old = 1)")
    page.keyboard.press("Enter")
    expect(page.locator("#mask-over:not([data-old])")).to_be_visible()
    expect(state).to_have_text(mine)
    # Saved is mine, also while theirs is looked at.
    page.keyboard.press("t")
    expect(state).to_contain_text("50 %")
    page.keyboard.press("o")
    page.wait_for_url(f"**{image}/polish")
    assert [saved_mask(page, image).getpixel(place) for place in ((200, 20), (200, 320))] == [255, 0]


def test_steps_are_taken_back_and_done_again(page: Page, image: str) -> None:
    draw(page, image)
    state = page.locator("#mask-state")
    drawn = state.text_content() or ""
    page.keyboard.press("i")
    expect(state).not_to_have_text(drawn)
    inverted = state.text_content() or ""
    for keys, words in (
        ("Control+z", drawn),
        ("Control+Shift+Z", inverted),
        ("Control+z", drawn),
        ("Control+z", NONE),
        ("Control+y", drawn),
        ("r", inverted),
        ("u", drawn),
    ):
        page.keyboard.press(keys)
        if words == NONE:
            expect(state).to_contain_text(words)
        else:
            expect(state).to_have_text(words)
    # A new step leaves nothing to be done again.
    page.keyboard.press("Delete")
    expect(state).to_contain_text(NONE)
    expect(page.get_by_role("button", name="Redo")).to_be_disabled()


def test_after_a_pointers_click_keys_are_the_pages(page: Page, image: str) -> None:
    draw(page, image)
    state, invert = page.locator("#mask-state"), page.get_by_role("button", name="Invert")
    drawn = state.text_content() or ""
    # Who came by keyboard stays on the button, and presses it again.
    invert.focus()
    page.keyboard.press("Enter")
    expect(state).not_to_have_text(drawn)
    expect(invert).to_be_focused()
    page.keyboard.press("Enter")
    expect(state).to_have_text(drawn)
    invert.click()
    expect(state).not_to_have_text(drawn)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{image}/polish")
    assert saved_mask(page, image).getpixel((200, 20)) == 0
    page.goto(f"{image}/mask")
    expect(state).to_contain_text("not learned")
    page.get_by_role("button", name="Learn", exact=True).focus()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**{image}/polish")


def test_a_tool_shows_the_ranges_that_it_uses(page: Page, image: str) -> None:
    page.goto(f"{image}/mask")
    size, soft, tolerance = (page.locator(f"#{name}") for name in ("size", "soft", "tolerance"))
    for name, of_brush in (("Brush", True), ("Fill", False), ("By colour", False), ("Brush", True)):
        page.get_by_role("button", name=name, exact=True).click()
        for each in (size, soft):
            expect(each).to_be_visible(visible=of_brush)
        expect(tolerance).to_be_visible(visible=not of_brush)
    page.keyboard.press("]")
    expect(size).to_have_value("70")
    page.keyboard.press("g")
    page.keyboard.press("]")
    page.keyboard.press("b")
    expect(size).to_have_value("70")
    # Once a slider is let go, letters choose tools again.
    box = size.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.press("g")
    expect(tolerance).to_be_visible()


def test_after_snap_is_clicked_enter_applies_the_crop(page: Page, image: str) -> None:
    page.goto(f"{image}/polish/crop")
    pull(page, page.locator("#crop-stage > image"), (0.2, 0.2), (0.8, 0.55))
    snap = page.get_by_role("button", name="Snap to the bucket")
    # The square picture as a whole loses nothing either.
    expect(page.locator("#crop-fit")).not_to_contain_text("nothing")
    snap.click()
    expect(page.locator("#crop-fit")).to_contain_text("nothing")
    size = f"{value(page, 'Width')} × {value(page, 'Height')}"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{image}/polish")
    expect(page.locator(".polish-bar")).to_contain_text(f"→ {size}")
    page.goto(f"{image}/polish/crop")
    snap.focus()
    page.keyboard.press("Enter")
    expect(snap).to_be_focused()


def test_a_box_that_somebody_cropped_before_is_taken_or_left(page: Page, image: str) -> None:
    page.goto(f"{image}/polish/crop")
    crop = {"revision": "0", "seen": "{}", "left": "0", "top": "0", "width": "100", "height": "80"}
    assert page.request.post(f"{image}/polish/crop", form=crop, headers=OWN, max_redirects=0).status == 303
    for key in ("Width", "Height"):
        page.get_by_label(key, exact=True).fill("50")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert")).to_contain_text("It trains at 100 × 80 now.")
    assert (value(page, "Width"), value(page, "Height")) == (50, 50)
    page.get_by_role("button", name="Take my box").click()
    page.wait_for_url(f"**{image}/polish")
    expect(page.locator(".polish-bar")).to_contain_text("→ 50 × 50")
