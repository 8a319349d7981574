"""Projects for tests of the labeling screen, and what stands in the store of a running studio."""

import sqlite3

import httpx
from playwright.sync_api import Page, expect

from app.config import Settings
from tests.drawing import picture
from tests.studio import Studio


def fill(studio: Studio, captions: list[str], side: int = 48, name: str = "Foxes") -> int:
    """Make a project with one image a caption; return its id."""
    with httpx.Client(base_url=studio.address, headers={"X-LoRA-Studio": "1"}, timeout=30) as client:
        made = client.post("/projects", data={"name": name, "purpose": "character", "trigger_word": "rdfx"})
        project_id = int(made.headers["location"].split("/")[2])
        for place, caption in enumerate(captions):
            for file, data in ((f"{place:03}.txt", caption.encode()), (f"{place:03}.png", picture(place, side, side))):
                sent = client.post(
                    f"/projects/{project_id}/images", content=data, headers={"X-File-Name": file, "HX-Request": "true"}
                )
                assert sent.status_code == 200, sent.text
    return project_id


def kept(studio: Studio) -> dict[str, str]:
    """The captions in the store, by the names of their images."""
    with sqlite3.connect(f"file:{Settings(data=studio.data).store_path}?mode=ro", uri=True) as connection:
        return dict(connection.execute("SELECT name, text FROM image JOIN caption ON image_id = image.id").fetchall())


def open_screen(page: Page, project_id: int) -> None:
    """Open the screen at its first image."""
    page.goto(f"/projects/{project_id}/label")
    page.locator(".label-tile").first.wait_for()
    expect(page.locator("#status-place")).to_contain_text("/")
    page.keyboard.press("Home")
    expect(page.locator("#status-place")).to_contain_text("1/")


def all_saved(page: Page) -> None:
    """Wait until nothing is on its way any more."""
    expect(page.locator("#status-saving")).to_contain_text("saved", timeout=60_000)
    expect(page.locator("#status-saving")).not_to_contain_text("not saved")
