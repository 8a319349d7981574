"""Files and folders chosen in a real browser: words stay with their own images, folders come in as by path."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.config import Settings
from app.store import projects
from app.store.db import migrate, open_engine, write
from tests.browser.held import Held
from tests.drawing import picture
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CHOOSE = """([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
  const input = document.querySelector(selector);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}"""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio with an empty project."""
    settings = Settings(data=tmp_path / "studio", starts_worker=False)
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    with write(engine) as session:
        projects.create(session, "Foxes", "style", "fxs", None)
    engine.dispose()
    started = Studio(settings.data, "--no-worker")
    yield started
    started.end()


def choose(page: Page, files: dict[str, bytes]) -> None:
    """Choose files one by one, as from a folder that is open, and wait until all of them were dealt with."""
    page.evaluate(CHOOSE, ["#pick-files input", [[name, list(data)] for name, data in files.items()]])
    expect(page.locator("#drop-zone")).to_have_attribute("data-drop-state", "idle")


def folder(root: Path, files: dict[str, bytes]) -> Path:
    """A folder on the disk."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def captions(page: Page) -> list[tuple[str, str]]:
    """Every image's name and words, as the grid shows them."""
    told = page.evaluate(
        """() => JSON.stringify([...document.querySelectorAll(".image-tile")].map((tile) =>
            [tile.querySelector("img").alt, tile.querySelector(".image-tile-caption").textContent.trim()]))"""
    )
    return sorted(map(tuple, json.loads(told)))


def test_two_drops_with_equal_names_keep_their_own_words(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/images")
    line = page.locator("#uploads-line")
    choose(page, {"1.png": picture(1), "2.png": picture(2)})
    expect(line).to_have_text("2 images added")
    choose(page, {"1.png": picture(3), "1.txt": b"of y", "2.txt": b"two", "stray.txt": b"of none"})
    expect(line).to_have_text("1 image added · 2 captions joined · 1 caption without an image yet")
    expect(page.locator(".image-tile")).to_have_count(3)
    assert captions(page) == [("1.png", "No caption"), ("1.png", "of y"), ("2.png", "two")]
    expect(page.locator(".upload.held")).to_contain_text("stray.txt")
    choose(page, {"stray.png": picture(4)})
    expect(line).to_have_text("1 image added · 1 caption joined")
    expect(page.locator(".upload.held")).to_have_count(0)
    assert ("stray.png", "of none") in captions(page)


def test_another_caption_is_a_question_that_is_answered(page: Page, studio: Studio) -> None:
    page.goto("/projects/1/images")
    line = page.locator("#uploads-line")
    choose(page, {"a.png": picture(1), "a.txt": b"tags", "a.png.txt": b"prose"})
    expect(line).to_have_text("1 image added · 2 captions joined · 1 with another caption")
    assert captions(page) == [("a.png", "prose")]
    link = page.get_by_role("link", name="Another caption: choose one")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".question-text")).to_have_text(["prose", "tags"])
    page.get_by_role("button", name="Use this one").click()
    expect(page.locator(".question-text")).to_have_count(0)
    page.goto("/projects/1/images")
    assert captions(page) == [("a.png", "tags")]


def test_a_chosen_folder_comes_in_as_by_path(page: Page, studio: Studio, tmp_path: Path) -> None:
    files = {
        "3_fox/a.png": picture(1),
        "3_fox/a.txt": b"a fox",
        "reg/1_animal/r.png": picture(2),
        "one/f.png": picture(3),
        "one/f-masklabel.png": picture(3),
        "one/default.txt": b"for all",
        "scan.psd": b"8BPS" + bytes(9_000),
        ".hidden/x.png": picture(5),
    }
    page.goto("/projects/1/images")
    page.set_input_files("#pick-folder input", folder(tmp_path / "my set", files))
    done = page.locator("#import.message")
    expect(done).to_contain_text("Import finished: 3 added")
    expect(page.locator(".image-tile")).to_have_count(3)
    assert captions(page) == [("a.png", "a fox"), ("f.png", "for all"), ("r.png", "No caption")]
    expect(page.locator("#image-1, #image-2, #image-3").filter(has_text="3×")).to_have_count(1)
    expect(page.get_by_text("regularisation")).to_have_count(1)
    done.get_by_role("link", name="See what became of each file").click()
    expect(page.get_by_role("heading", name="Import of my set")).to_be_visible()
    expect(page.locator("#report")).to_contain_text("scan.psd")


def test_a_folder_that_is_being_sent_can_be_cancelled_and_sent_again(
    page: Page, studio: Studio, tmp_path: Path
) -> None:
    root = folder(tmp_path / "set", {f"{number}.png": picture(number) for number in range(8)})
    page.goto("/projects/1/images")
    held = Held(page, "**/uploads/file")
    page.set_input_files("#pick-folder input", root)
    held.wait(3)
    expect(page.locator(".upload")).to_contain_text("set (8 files)")
    cancel = page.locator("#upload-list").get_by_role("button", name="Cancel")
    cancel.focus()
    page.keyboard.press("Enter")
    failed = page.locator(".upload.failed")
    expect(failed).to_contain_text("none of it was added, and what had been sent is deleted")
    page.unroute("**/uploads/file")
    expect(failed.get_by_role("button", name="Try again")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#import.message")).to_contain_text("Import finished: 8 added")
    expect(page.locator(".image-tile")).to_have_count(8)
    assert not list((studio.data / "imports" / "sent").iterdir())
