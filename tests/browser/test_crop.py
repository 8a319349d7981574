"""The crop page: numbers typed, a shape that holds, handles, and a box that is not lost by leaving."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.held import Held, press, until_served
from tests.browser.test_polish import pull
from tests.drawing import picture
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WIDE, SQUARE, TYPED, SENT = 1, 2, 3, 4
"""Images of 800 × 500 and 1000 × 1000 pixels, whose boxes are never applied, and two of 800 × 500 whose boxes are."""
NAMES = ("left", "top", "width", "height")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that trains nothing, with a few images."""
    started = Studio(tmp_path_factory.mktemp("crop") / "studio", "--no-worker")
    own = {"X-LoRA-Studio": "1"}
    with httpx.Client(base_url=started.address, headers=own, timeout=60) as http:
        form = {"name": "Crops", "purpose": "style", "trigger_word": "rdct"}
        assert http.post("/projects", data=form).status_code == 303
        for seed, (width, height) in enumerate(((800, 500), (1000, 1000), (800, 500), (800, 500))):
            headers = {"X-File-Name": f"{seed}.png", "HX-Request": "true"}
            data = picture(seed, width, height)
            assert http.post("/projects/1/images", content=data, headers=headers).is_success
    yield started
    started.end()


def open_crop(page: Page, image_id: int, shape: str = "") -> None:
    """Show the crop page of an image, and choose a shape."""
    page.goto(f"/images/{image_id}/polish/crop")
    if shape:
        page.get_by_label("Shape").select_option(label=shape)


def box(page: Page) -> tuple[int, ...]:
    """The numbers as they stand."""
    return tuple(int(page.locator(f"[name={name}]").input_value() or -1) for name in NAMES)


def drawn(page: Page) -> tuple[int, ...]:
    """The box as it is drawn."""
    found = page.locator("#crop-box")
    return tuple(int(found.get_attribute(name) or -1) for name in ("x", "y", "width", "height"))


def give(page: Page, label: str, text: str) -> None:
    """Type over what stands in a field, and go on to the next."""
    page.get_by_label(label, exact=True).focus()
    press(page, "Control+a", *text, "Tab")


def until_box(page: Page, wanted: tuple[int, ...]) -> None:
    """Wait until these numbers stand there."""
    until_served(page, lambda: box(page) == wanted, f"the box {wanted}", 60)


def until_lossless(page: Page) -> None:
    """Wait until the box is in its bucket: its sizes then go in steps of the bucket's shape, here never of 1."""
    expect(page.locator("[name=width]")).not_to_have_attribute("step", "1")
    expect(page.locator("#crop-fit")).to_contain_text("nothing")


def test_a_number_is_left_alone_while_it_is_typed(page: Page) -> None:
    open_crop(page, WIDE)
    give(page, "Left", "100")
    assert box(page) == drawn(page) == (100, 0, 700, 500)
    width = page.get_by_label("Width", exact=True)
    width.focus()
    press(page, "Control+a", *"600")
    assert drawn(page) == (100, 0, 600, 500)
    press(page, "Home", "Delete", "7")
    expect(width).to_have_value("700")
    # Nothing is no number, and what is too much is cut to the picture once it is given.
    press(page, "Control+a", "Delete")
    expect(width).to_have_value("")
    press(page, "Tab")
    assert box(page) == (100, 0, 700, 500)
    give(page, "Width", "9000")
    assert box(page) == (0, 0, 800, 500)
    give(page, "Top", "480")
    assert box(page) == (0, 480, 800, 20)
    press(page, "a")


def test_enter_in_a_field_applies_what_is_typed(page: Page) -> None:
    open_crop(page, TYPED)
    page.get_by_label("Left", exact=True).focus()
    press(page, "Control+a", *"9000", "Enter")
    page.wait_for_url(f"**/images/{TYPED}/polish")
    expect(page.locator(".polish-bar")).to_contain_text("800 × 500 → 1 × 500")


def test_a_ratio_holds_whatever_is_typed_or_pressed(page: Page) -> None:
    open_crop(page, SQUARE, "1 : 1")
    give(page, "Width", "300")
    assert box(page) == (0, 0, 300, 300)
    give(page, "Height", "500")
    assert box(page) == (0, 0, 500, 500)
    page.get_by_label("Height", exact=True).focus()
    press(page, "ArrowDown")
    assert box(page)[2:] == (499, 499)
    give(page, "Left", "700")
    assert box(page) == (700, 0, 300, 300)
    page.get_by_label("Shape").select_option(label="3 : 2")
    press(page, "Escape", "a")
    assert box(page) == (0, 167, 1000, 667)
    press(page, *["Shift++"] * 3, "-")
    assert box(page)[2:] == (998, 665)


def test_the_buckets_shape_holds_whatever_is_typed_or_pressed(page: Page) -> None:
    open_crop(page, WIDE, "Snapped to the bucket")
    until_lossless(page)
    snapped = box(page)
    give(page, "Width", "500")
    until_served(page, lambda: abs(box(page)[2] - 500) < 12 and box(page)[3] < 400, "the height to follow", 60)
    until_lossless(page)
    page.get_by_label("Width", exact=True).focus()
    before = box(page)
    press(page, "ArrowDown")
    until_served(page, lambda: box(page)[2] < before[2] and box(page)[3] < before[3], "one step less", 60)
    until_lossless(page)
    press(page, "Escape", "-")
    until_lossless(page)
    press(page, "a")
    until_box(page, snapped)
    give(page, "Left", "100")
    until_served(page, lambda: box(page)[0] == 100 and 680 < box(page)[2] <= 700, "the box to go there", 60)
    until_lossless(page)


def test_a_snap_to_the_bucket_says_that_it_gives_up_the_ratio(page: Page) -> None:
    open_crop(page, WIDE, "4 : 5")
    press(page, "s")
    expect(page.get_by_label("Shape")).to_have_value("bucket")
    until_lossless(page)


def test_a_box_is_sent_as_it_is_snapped(page: Page) -> None:
    open_crop(page, SENT, "Snapped to the bucket")
    until_lossless(page)
    fit = Held(page, "**/fit?*")
    page.get_by_label("Width", exact=True).focus()
    press(page, "Control+a", *"401", "Enter")
    fit.release()
    page.wait_for_url(f"**/images/{SENT}/polish")
    expect(page.locator(".polish-facts")).to_contain_text("nothing")


def test_an_edge_is_pulled_inward_and_the_ratio_holds(page: Page) -> None:
    open_crop(page, SQUARE, "1 : 1")
    stage = page.locator("#crop-stage > image")
    pull(page, stage, (1.0, 0.5), (0.6, 0.5))
    left, top, width, height = box(page)
    assert left == 0
    assert width == height == pytest.approx(600, abs=4)
    assert top == pytest.approx(200, abs=4)
    pull(page, stage, (0.3, 0.2), (0.3, 0.4))
    assert box(page)[2] == box(page)[3] == pytest.approx(400, abs=6)
    pull(page, stage, (0.5, 0.8), (0.7, 0.9))
    assert box(page)[2] == box(page)[3] == pytest.approx(600, abs=6)


def test_walking_through_the_shapes_does_not_make_the_box_grow(page: Page) -> None:
    open_crop(page, SQUARE)
    for label, text in (("Left", "300"), ("Top", "300"), ("Width", "200"), ("Height", "200")):
        give(page, label, text)
    for shape in ("16 : 9", "9 : 16", "2 : 3", "1 : 1"):
        page.get_by_label("Shape").select_option(label=shape)
    assert all(abs(is_now - was) <= 2 for is_now, was in zip(box(page), (300, 300, 200, 200), strict=True))


def test_a_moved_box_is_not_lost_without_a_question(page: Page) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    open_crop(page, WIDE)
    page.on("dialog", stay)
    press(page, "Shift+-")
    moved = box(page)
    page.get_by_role("link", name="Imports").first.click(no_wait_after=True)
    until_served(page, lambda: asked == ["beforeunload"], "the question", 60)
    assert box(page) == moved
    # What is as it was is no loss.
    press(page, "a", "Escape")
    page.wait_for_url(f"**/images/{WIDE}/polish")
    assert asked == ["beforeunload"]


def test_a_button_moves_by_one_after_a_key_with_shift(page: Page) -> None:
    open_crop(page, WIDE)
    press(page, "Shift+-", "Shift+-", "Shift+ArrowRight")
    left = box(page)[0]
    page.get_by_role("button", name="Move right").click()
    assert box(page)[0] == left + 1
    press(page, "a")
