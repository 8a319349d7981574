"""Polishing in a browser: a crop by pointer and by keyboard, a mask by brush, buckets by clicks."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.held import Held, press, press_at_once
from tests.drawing import picture
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio that trains nothing."""
    started = Studio(tmp_path / "studio", "--no-worker")
    yield started
    started.end()


def new_project(page: Page, *pictures: tuple[str, bytes]) -> None:
    """Make a project and drop pictures into it."""
    own = {"X-LoRA-Studio": "1"}
    form = {"name": "Polish", "purpose": "style", "trigger_word": "rdct"}
    assert page.request.post("/projects", form=form, headers=own, max_redirects=0).status == 303
    for name, data in pictures:
        answer = page.request.post(
            "/projects/1/images", data=data, headers={"X-File-Name": name, "HX-Request": "true", **own}
        )
        assert answer.ok


def value(page: Page, label: str) -> int:
    """What stands in one of the crop's fields."""
    return int(page.get_by_label(label, exact=True).input_value())


def pull(page: Page, stage: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press, move and let go, at shares of an element."""
    box = stage.bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=6)
    page.mouse.up()


def test_a_crop_by_pointer_and_one_by_keyboard(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 800, 500)), ("b.png", picture(2, 300, 300)))
    page.goto("/images/1/polish")
    page.keyboard.press("c")
    page.wait_for_url("**/images/1/polish/crop")
    stage = page.locator("#crop-stage > image")
    pull(page, stage, (0.25, 0.2), (0.75, 0.9))
    assert abs(value(page, "Left") - 200) <= 3
    assert abs(value(page, "Width") - 400) <= 6
    assert abs(value(page, "Height") - 350) <= 6
    # By a handle, then the box as a whole.
    pull(page, stage, (0.75, 0.55), (0.5, 0.55))
    assert abs(value(page, "Width") - 200) <= 6
    left = value(page, "Left")
    pull(page, stage, (0.35, 0.5), (0.45, 0.5))
    assert abs(value(page, "Left") - left - 80) <= 4
    # What the bucket loses is told by the server, and gone once the box is snapped.
    expect(page.locator("#crop-fit")).to_contain_text("left and right" if value(page, "Width") > 999 else "%")
    page.get_by_role("button", name="Snap to the bucket").click()
    expect(page.locator("#crop-fit")).to_contain_text("nothing")
    width, height = value(page, "Width"), value(page, "Height")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/images/1/polish")
    expect(page.locator(".polish-bar")).to_contain_text(f"800 × 500 → {width} × {height}")
    page.keyboard.press("0")
    expect(page.locator(".polish-bar")).not_to_contain_text("→")
    page.keyboard.press("c")
    page.wait_for_url("**/images/1/polish/crop")
    by_keyboard_alone(page)


def by_keyboard_alone(page: Page) -> None:
    """Make the box smaller, move it, snap it, apply it, turn the picture and go on, without a pointer."""
    for _ in range(6):
        page.keyboard.press("Shift+-")
    assert value(page, "Width") == 800 - 6 * 32
    left, top = value(page, "Left"), value(page, "Top")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert (value(page, "Left"), value(page, "Top")) == (left + 1, top + 16)
    page.keyboard.press("s")
    expect(page.locator("#crop-fit")).to_contain_text("nothing")
    size = f"{value(page, 'Width')} × {value(page, 'Height')}"
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/1/polish")
    expect(page.locator(".polish-bar")).to_contain_text(f"→ {size}")
    page.keyboard.press("r")
    expect(page.locator(".polish-bar")).to_contain_text(f"→ {' × '.join(reversed(size.split(' × ')))}")
    page.keyboard.press("m")
    # Within one pause, so that they are one step.
    press_at_once(page, "]", "]", "]")
    expect(page.locator("#degrees")).to_have_value("1.5")
    expect(page.locator("#steps input[name=revision]")).to_have_value("6")
    page.keyboard.press("b")
    expect(page.get_by_label("Before", exact=True)).to_be_checked()
    expect(page.locator(".polish-picture.before")).to_be_visible()
    page.keyboard.press("j")
    page.wait_for_url("**/images/2/polish")
    page.keyboard.press("c")
    page.wait_for_url("**/images/2/polish/crop")
    page.keyboard.press("Escape")
    page.wait_for_url("**/images/2/polish")


def test_steps_are_undone_and_done_again_by_keys(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 800, 500)))
    page.goto("/images/1/polish")
    size = page.locator(".polish-bar")
    page.keyboard.press("r")
    page.keyboard.press("m")
    expect(page.locator("#undo")).to_have_attribute("title", "Undo: a.png: mirrored (Ctrl+Z)")
    # What is not saved yet is undone, too, and first.
    press_at_once(page, "]", "]", "Control+z")
    expect(page.locator("#redo")).to_have_attribute("title", "Redo: a.png: straightened 1° (Ctrl+Shift+Z)")
    expect(page.locator("#degrees")).to_have_value("0")
    page.keyboard.press("Control+z")
    expect(page.locator("#redo")).to_have_attribute("title", "Redo: a.png: mirrored (Ctrl+Shift+Z)")
    expect(page.locator("#toasts")).to_contain_text("Undone: a.png: mirrored")
    page.keyboard.press("Control+z")
    expect(page.locator("#undo")).to_be_disabled()
    expect(size).not_to_contain_text("→")
    page.keyboard.press("Control+Shift+Z")
    expect(size).to_contain_text("→ 500 × 800")
    page.keyboard.press("Control+y")
    expect(page.locator("#undo")).to_have_attribute("title", "Undo: a.png: mirrored (Ctrl+Z)")
    # Words that are being typed are the field's own to take back.
    page.locator("#degrees").fill("3")
    page.keyboard.press("Control+z")
    expect(page.locator("#degrees")).to_have_value("0")
    expect(page.locator("#undo")).to_have_attribute("title", "Undo: a.png: mirrored (Ctrl+Z)")
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Ctrl + Shift + Z")


def test_a_mask_by_brush_fill_and_keys(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 400, 400)))
    page.goto("/images/1/mask")
    canvas, state = page.locator("#mask-canvas"), page.locator("#mask-state")
    expect(state).to_contain_text("all of the image is learned")
    pull(page, canvas, (0.4, 0.8), (0.6, 0.8))
    expect(state).to_contain_text("not learned")
    page.keyboard.press("i")
    page.keyboard.press("u")
    page.keyboard.press("u")
    expect(state).to_contain_text("all of the image is learned")
    # The white square of the picture is a sixteenth of it.
    page.keyboard.press("g")
    box = canvas.bounding_box()
    assert box is not None
    # The picture is square, and as high as the canvas: its middle is the canvas's.
    canvas.click(position={"x": box["width"] / 2 - 0.125 * box["height"], "y": 0.375 * box["height"]})
    expect(state).to_contain_text("6 %")
    page.keyboard.press("i")
    expect(state).to_contain_text("94 %")
    page.keyboard.press("b")
    page.keyboard.press("l")
    canvas.focus()
    # From where the square was filled, eight quarters of the brush to the left.
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/1/polish")
    expect(page.get_by_role("button", name="Remove the mask")).to_be_visible()
    mask = Image.open(BytesIO(page.request.get("/media/images/1/mask.png").body()))
    assert mask.size == (400, 400)
    assert (mask.getpixel((150, 150)), mask.getpixel((20, 20))) == (255, 0)
    assert mask.getpixel((30, 150)) == 255


def test_buckets_lead_to_their_images(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 600, 600)), ("b.png", picture(2, 90, 90)), ("c.png", picture(3, 900, 100)))
    page.goto("/projects/1/buckets")
    page.get_by_label("Resolution").select_option("512")
    # Loaded whole, so that keys are listened to.
    page.wait_for_url("**resolution=512**")
    expect(page.locator("#chart-title")).to_have_text("2 buckets around 512 px")
    page.locator(".bucket-row").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#behind h2")).to_have_text("Bucket 512 × 512")
    expect(page.locator("#behind img")).to_have_count(2)
    page.get_by_role("link", name="Show 1").last.click()
    expect(page.locator("#behind img")).to_have_count(1)
    page.locator("#behind a").first.click()
    page.wait_for_url("**/images/3/polish")
    expect(page.get_by_role("heading", level=1)).to_have_text("c.png")


def test_a_recipe_is_copied_to_the_chosen(page: Page) -> None:
    new_project(page, *((f"{n}.png", picture(n, 80, 40)) for n in range(3)))
    page.goto("/images/1/polish")
    page.keyboard.press("r")
    expect(page.locator(".polish-bar")).to_contain_text("→ 40 × 80")
    page.keyboard.press("y")
    page.wait_for_url("**/images/1/polish/copy")
    page.locator(".image-tile a").first.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Apply to 1 image", exact=True).click()
    expect(page.locator("#done")).to_contain_text("1 image changed.")
    # Loaded whole, so that keys are listened to.
    page.wait_for_load_state()
    page.keyboard.press("Control+z")
    expect(page.locator("#done")).to_contain_text("Undone: 1 image is as before.")
    page.wait_for_load_state()
    page.locator(".image-tile a").first.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Apply to 1 image", exact=True).click()
    expect(page.locator("#done")).to_contain_text("1 image changed.")
    page.goto("/images/2/polish")
    expect(page.locator(".polish-bar")).to_contain_text("→ 40 × 80")
    page.goto("/images/3/polish")
    expect(page.locator(".polish-bar")).not_to_contain_text("→")


def test_an_angle_that_is_too_large_is_cut_and_the_page_goes_on(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 80, 40)), ("b.png", picture(2, 80, 40)))
    page.goto("/images/1/polish")
    page.locator("#degrees").focus()
    press(page, "Control+a", "2", "0", "Tab")
    expect(page.locator(".toast")).to_contain_text("15°")
    expect(page.locator("#degrees")).to_have_value("15")
    press(page, "j")
    page.wait_for_url("**/images/2/polish")
    # What is no number is dropped, and Enter sends what counts.
    page.locator("#degrees").focus()
    press(page, "Control+a", "-", "Tab")
    expect(page.locator("#degrees")).to_have_value("0")
    page.locator("#degrees").focus()
    press(page, "Control+a", *"-99", "Enter")
    expect(page.locator("#steps input[name=revision]")).to_have_value("1")
    expect(page.locator("#degrees")).to_have_value("-15")
    press(page, "Escape", "k")
    page.wait_for_url("**/images/1/polish")
    expect(page.locator("#degrees")).to_have_value("15")


def test_the_old_picture_keeps_its_shape_until_the_new_one_has_come(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 80, 40)))
    page.goto("/images/1/polish")
    drawn = Held(page, "**/media/images/1/picture.webp*")
    shown = page.locator(".polish-picture:visible")
    press(page, "r")
    expect(page.locator(".polish-bar")).to_contain_text("→ 40 × 80")
    expect(shown).to_have_count(1)
    expect(shown).to_have_attribute("viewBox", "0 0 80 40")
    expect(shown.locator(".polish-bucket")).to_be_hidden()
    press(page, "r")
    expect(page.locator(".polish-bar")).not_to_contain_text("→ 40 × 80")
    expect(shown).to_have_count(1)
    expect(shown.locator("image")).to_have_attribute("href", re.compile("/media/pictures/"))
    drawn.release()
    expect(shown.locator("image")).to_have_attribute("href", re.compile("/media/images/1/"))
    expect(shown).to_have_count(1)
    expect(page.locator("#picture-after .polish-bucket")).to_be_visible()
    press(page, "r")
    expect(shown).to_have_attribute("viewBox", "0 0 40 80")


def test_the_focus_stays_among_the_steps(page: Page) -> None:
    new_project(page, ("a.png", picture(1, 80, 40)))
    page.goto("/images/1/polish")
    press(page, "r")
    page.locator("#reset").focus()
    press(page, "Enter")
    expect(page.locator(".polish-bar")).not_to_contain_text("→")
    expect(page.locator("#rotate")).to_be_focused()
    press(page, "Enter")
    expect(page.locator(".polish-bar")).to_contain_text("→ 40 × 80")
    expect(page.locator("#rotate")).to_be_focused()
    # A key without the focus leaves it where it is.
    page.locator("#mirror").focus()
    press(page, "0")
    expect(page.locator(".polish-bar")).not_to_contain_text("→")
    expect(page.locator("#mirror")).to_be_focused()
