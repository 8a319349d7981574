"""Subjects in a browser: a model is named, its run is watched, its mask and crop are taken by keyboard and undone."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from tests.worker.tiny_taggers import make_subject_finder

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def red_on_grey(left: int) -> bytes:
    """A picture of 1600 × 1000 with a red square."""
    image = Image.new("RGB", (1600, 1000), (128, 128, 128))
    ImageDraw.Draw(image).rectangle((left, 300, left + 399, 699), fill=(255, 0, 0))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_subject_is_found_and_taken_by_keyboard(page: Page, tmp_path: Path) -> None:
    model = make_subject_finder(tmp_path / "tiny.onnx", side_px=None)
    own = {"X-LoRA-Studio": "1"}
    form = {"name": "Subjects", "purpose": "character", "trigger_word": "rdct"}
    assert page.request.post("/projects", form=form, headers=own, max_redirects=0).status == 303
    for place in range(2):
        headers = {"X-File-Name": f"{place}.png", "HX-Request": "true", **own}
        assert page.request.post("/projects/1/images", data=red_on_grey(200 + 300 * place), headers=headers).ok
    page.goto("/projects/1/subjects")
    page.get_by_label("Model file").fill(str(model))
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/1")
    page.get_by_role("link", name="Subjects", exact=True).last.wait_for()
    expect(page.locator("#run-answers")).to_contain_text("It found the subject of 2 images")
    page.goto("/projects/1/subjects")
    page.locator(".subject-view").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#ticked")).to_have_text("1 ticked")
    page.keyboard.press("m")
    expect(page.locator("#found")).to_contain_text("1 mask taken, as one step of the history.")
    # The list was drawn anew; the keyboard is still in it.
    expect(page.locator(".subject-view:focus")).to_have_count(1)
    expect(page.locator(".subject-view").first).to_be_focused()
    page.goto("/images/2/polish/crop")
    page.keyboard.press("u")
    expect(page.locator("#crop-fit")).to_contain_text("nothing")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/2/polish")
    expect(page.locator("#uncrop")).to_be_visible()
    expect(page.locator("#unmask")).to_be_visible()
    # The mask as a start for the brush, on the image that has none.
    page.goto("/images/1/mask")
    page.keyboard.press("s")
    expect(page.locator("#mask-state")).to_contain_text("90 % of the image is not learned")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/1/polish")
    expect(page.locator("#unmask")).to_be_visible()
