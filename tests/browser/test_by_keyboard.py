"""Pages by keyboard alone: selects that act at once keep the focus, keys are shown, and after an action one goes on."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.test_polish import new_project
from tests.drawing import picture
from tests.launch.test_bases import single_file
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio that trains nothing."""
    started = Studio(tmp_path / "studio", "--no-worker")
    yield started
    started.end()


def film() -> bytes:
    """A picture between black bars."""
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    image.paste("black", (0, 0, 300, 30))
    image.paste("black", (0, 170, 300, 200))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_selects_that_act_at_once_and_the_keys_of_a_page(page: Page, tmp_path: Path) -> None:
    new_project(page, ("a.png", picture(1, 40, 30)), ("film.png", film()))
    page.goto("/projects/1/buckets")
    page.locator("#small").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".page-sub").first).to_contain_text("trained at its own size")
    expect(page.locator("#small")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.wait_for_url("**batch=16&small=own**")
    expect(page.locator("#batch")).to_be_focused()
    expect(page.locator(".bucket-row").first).to_contain_text("alone")
    page.goto("/images/2/polish/crop")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Larger box")
    page.keyboard.press("Escape")
    page.goto("/images/2/polish")
    page.keyboard.press("t")
    expect(page.locator(".polish-bar")).to_contain_text("300 × 140")
    models = tmp_path / "models"
    models.mkdir()
    single_file(models / "some.safetensors", 2048)
    page.goto("/bases")
    page.get_by_label("Folder with base models").fill(str(models))
    page.keyboard.press("Enter")
    choice = page.get_by_label("What some predicts")
    choice.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.wait_for_load_state("networkidle")
    expect(choice).to_be_focused()
    chosen = choice.input_value()
    assert chosen
    page.reload()
    expect(choice).to_have_value(chosen)


def test_all_questions_are_answered_and_the_focus_stays_in_the_report(page: Page, tmp_path: Path) -> None:
    new_project(page)
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
        (tmp_path / f"{number}.png.txt").write_text("near")
        (tmp_path / f"{number}.txt").write_text("far")
    sent = {"path": str(tmp_path), "looked": str(tmp_path), "step": "import"}
    assert page.request.post("/projects/1/images/folder", form=sent, headers={"X-LoRA-Studio": "1"}).ok
    page.goto("/imports/1?outcome=question")
    page.locator("#use-others").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#report")).to_contain_text("2 questions answered: 2 captions changed, as one step")
    expect(page.locator(".import-title")).to_be_focused()
