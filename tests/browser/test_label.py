"""The labeling screen in a real browser: keyboard alone, a slow server, two people, a full disk, a large dataset."""

import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from app.config import Settings
from app.store import projects
from app.store.db import migrate, open_engine, write
from tests.browser.labeling import all_saved, fill, kept, open_screen
from tests.studio import Studio, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SLOW = """
const real = window.fetch;
window.fetch = async (...asked) => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  return real(...asked);
};
"""
"""Every answer of the server is 300 ms late."""
POINTERS = """
window.pointers = 0;
for (const name of ["pointerdown", "pointermove", "mousedown", "mousemove", "wheel", "touchstart"]) {
  addEventListener(name, () => { window.pointers += 1; }, true);
}
"""
LARGE = 20_000
BEFORE = {"000.png": "fox", "001.png": "hare", "002.png": "owl"}


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.bench)])
def test_many_images_by_keyboard_with_a_slow_server(context: BrowserContext, idle_studio: Studio, count: int) -> None:
    project_id = fill(idle_studio, [f"fox {place}, grass" for place in range(count)])
    page = context.new_page()
    page.add_init_script(SLOW + POINTERS)
    open_screen(page, project_id)
    page.keyboard.press("q")
    page.keyboard.press("q")
    page.keyboard.type("night")
    page.keyboard.press("Tab")
    page.keyboard.type("grass")
    page.keyboard.press("Enter")
    start_s = time.monotonic()
    for place in range(count):
        # Five corrections: a word typed, a quick tag added, one taken away, a repeat more, reviewed and on.
        page.keyboard.press("Enter")
        page.keyboard.type(f", no{place}")
        page.keyboard.press("Escape")
        for key in "q1q2+y":
            page.keyboard.press(key)
    all_saved(page)
    print(f"{count} images, five corrections each: {time.monotonic() - start_s:.0f} s until all is saved")
    until(lambda: len(kept(idle_studio)) == count, "the captions", 30)
    assert kept(idle_studio) == {f"{n:03}.png": f"fox {n}, no{n}, night" for n in range(count)}
    assert page.evaluate("window.pointers") == 0


PAINTED = """async (key) => {
  const picture = document.getElementById("picture");
  const before = picture.src;
  const start = performance.now();
  document.getElementById("grid").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  while (picture.src === before || !picture.complete) await new Promise((resolve) => setTimeout(resolve, 1));
  await picture.decode().catch(() => {});
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now() - start;
}"""
"""How long it takes from a key to the next image on the screen."""


@pytest.mark.bench
def test_the_next_image_is_there_at_once(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, [f"fox {place}" for place in range(12)], side=1024)
    page = context.new_page()
    open_screen(page, project_id)
    # The first round makes what is shown of each picture; in both the neighbours are fetched ahead.
    rounds = []
    for key in "jk":
        times = []
        for _ in range(11):
            page.wait_for_timeout(400)
            times.append(page.evaluate(PAINTED, key))
        rounds.append(sorted(times))
    for name, times in zip(("new pictures", "seen pictures"), rounds, strict=True):
        print(f"next image, {name}: best {times[0]:.0f} ms, median {times[5]:.0f} ms, worst {times[-1]:.0f} ms")
    # The machine may be busy with other things: then the best of them tells what the screen needs.
    assert all(times[0] < 100 for times in rounds)
    assert all(times[5] < 300 for times in rounds)


def test_fast_paging_puts_no_words_on_a_wrong_image(context: BrowserContext, idle_studio: Studio) -> None:
    count = 45
    project_id = fill(idle_studio, [f"fox {place}" for place in range(count)])
    page = context.new_page()
    page.add_init_script(SLOW)
    open_screen(page, project_id)
    page.keyboard.press("Enter")
    page.keyboard.type(", first")
    page.keyboard.press("Escape")
    for _ in range(20):
        page.keyboard.press("j")
        page.wait_for_timeout(33)
    # The same while writing: every image gets a word of its own between two keys.
    page.keyboard.press("Enter")
    for place in range(20, 40):
        page.keyboard.type(f", x{place}")
        page.keyboard.press("PageDown")
    page.keyboard.press("Escape")
    all_saved(page)
    wanted = {f"{n:03}.png": f"fox {n}" + (f", x{n}" if 20 <= n < 40 else "") for n in range(count)}
    assert kept(idle_studio) == wanted | {"000.png": "fox 0, first"}


def test_two_tabs_on_one_image_merge(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox, grass"])
    mine, theirs = context.new_page(), context.new_page()
    for page in (mine, theirs):
        open_screen(page, project_id)
    theirs.bring_to_front()
    theirs.keyboard.press("Enter")
    theirs.keyboard.type(", snow")
    theirs.keyboard.press("Escape")
    all_saved(theirs)
    mine.bring_to_front()
    mine.keyboard.press("Enter")
    mine.keyboard.type(", night")
    mine.keyboard.press("Escape")
    dialog = mine.locator("#merge-dialog")
    expect(dialog).to_be_visible()
    expect(dialog.locator("#merge-yours")).to_have_text("fox, grass, night")
    expect(dialog.locator("#merge-theirs")).to_have_text("fox, grass, snow")
    assert kept(idle_studio) == {"000.png": "fox, grass, snow"}
    mine.keyboard.press("3")
    expect(dialog).to_be_hidden()
    all_saved(mine)
    assert kept(idle_studio) == {"000.png": "fox, grass, snow, night"}
    expect(mine.locator("#caption")).to_have_value("fox, grass, snow, night")


def test_a_full_disk_keeps_the_words_until_there_is_room(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox", "hare"])
    page = context.new_page()
    open_screen(page, project_id)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(idle_studio.process.pid, resource.RLIMIT_FSIZE, (1, hard))
    page.keyboard.press("Enter")
    page.keyboard.type(", snow")
    page.keyboard.press("Escape")
    expect(page.locator("#status-saving")).to_contain_text("1 not saved")
    expect(page.locator("#problem")).to_contain_text("disk")
    expect(page.locator("#caption")).to_have_value("fox, snow")
    assert kept(idle_studio)["000.png"] == "fox"
    # Leaving is asked about, and what is not saved outlives a reload of the tab.
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept())[0])
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.locator("#caption")).to_have_value("fox, snow")
    resource.prlimit(idle_studio.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    all_saved(page)
    assert kept(idle_studio) == {"000.png": "fox, snow", "001.png": "hare"}


def test_completion_takes_no_key_that_types(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["", "red fox, red dress, quartz river"])
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("Enter")
    words = "red fox sitting, quartz river\nA red fox; is it red? (yes)"
    page.keyboard.type(words, delay=15)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#caption")).to_have_value(words)
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("quart")
    expect(page.locator("#completion li").first).to_contain_text("quartz river")
    # Enter takes only a chosen one; Tab takes the first.
    page.keyboard.press("Enter")
    expect(page.locator("#caption")).to_have_value("quart\n")
    page.keyboard.press("Backspace")
    # Pressed before the list has come, Tab takes the first of it all the same.
    page.keyboard.press("Tab")
    expect(page.locator("#caption")).to_have_value("quartz river, ")
    page.keyboard.type("red")
    expect(page.locator("#completion")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.locator("#completion")).to_be_hidden()
    expect(page.locator("#status-mode")).to_have_text("Write")
    page.keyboard.press("Escape")
    expect(page.locator("#status-mode")).to_have_text("Browse")
    # A list that came by itself does not decide what Escape means: the next key would land in the words.
    page.keyboard.press("Enter")
    page.keyboard.type(", quar")
    expect(page.locator("#completion")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#status-mode")).to_have_text("Browse")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("quartz river, red")
    page.keyboard.press("Escape")
    all_saved(page)
    assert kept(idle_studio)["000.png"] == "quartz river, red"


def test_what_a_key_does_to_marked_images_is_one_step(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox", "hare", "owl"])
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("q")
    page.keyboard.press("q")
    page.keyboard.type("night")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    expect(page.locator("#status-keys")).to_contain_text("Keys change all 3 marked")
    page.keyboard.press("q")
    page.keyboard.press("1")
    all_saved(page)
    assert kept(idle_studio) == {"000.png": "fox, night", "001.png": "hare, night", "002.png": "owl, night"}
    page.keyboard.press("x")
    expect(page.locator("#status-place")).to_have_text("no image")
    all_saved(page)
    for left in ({"000.png": "fox, night", "001.png": "hare, night", "002.png": "owl, night"}, BEFORE):
        page.keyboard.press("Control+z")
        until(lambda left=left: kept(idle_studio) == left, "the captions", 20)


def test_filter_mistake_undo_and_keys(context: BrowserContext, idle_studio: Studio) -> None:
    project_id = fill(idle_studio, ["fox, snow", "hare", "fox, grass"])
    page = context.new_page()
    open_screen(page, project_id)
    page.keyboard.press("/")
    page.keyboard.type("fox")
    expect(page.locator("#filter-note")).to_have_text("2 of 3")
    page.keyboard.type(" (snow")
    expect(page.locator("#filter")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#filter-note")).to_contain_text("at 5")
    expect(page.locator(".label-tile")).to_have_count(2)
    expect(page.locator("#open-bulk")).to_have_attribute("aria-disabled", "true")
    page.keyboard.type(")")
    expect(page.locator("#filter-note")).to_have_text("1 of 3")
    page.keyboard.press("Enter")
    page.keyboard.press("x")
    expect(page.locator("#status-place")).to_have_text("no image")
    page.keyboard.press("Control+z")
    expect(page.locator(".toast").last).to_contain_text("Undone")
    expect(page.locator("#status-place")).to_have_text("1/1")
    assert kept(idle_studio) == {"000.png": "fox, snow", "001.png": "hare", "002.png": "fox, grass"}
    # A key of one's own: N for the next image.
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator("#status-place")).to_contain_text("/3")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("button", name="Key for Next image", exact=True).press("Enter")
    page.keyboard.press("n")
    expect(page.locator("#sheet-note")).to_contain_text("N: Next image")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.locator("#status-place")).to_have_text("2/3")


@pytest.fixture
def large_studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio whose project has 20,000 images without files."""
    settings = Settings(data=tmp_path / "large", starts_worker=False)
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    with write(engine) as session:
        project_id = projects.create(session, "Large", "style", "lrg", None).id
    engine.dispose()
    with sqlite3.connect(settings.store_path) as connection:
        blobs = [(f"{n:064x}", "png", 1, 64, 64) for n in range(LARGE)]
        connection.executemany(
            "INSERT INTO blob (sha256, extension, size_bytes, width_px, height_px) VALUES (?, ?, ?, ?, ?)", blobs
        )
        images = [(project_id, f"{n:064x}", f"{n:05}.png", f"{n:05}.png", 1, 0) for n in range(LARGE)]
        connection.executemany(
            "INSERT INTO image (project_id, sha256, name, name_key, repeats, added_us) VALUES (?, ?, ?, ?, ?, ?)",
            images,
        )
    started = Studio(settings.data, "--no-worker")
    yield started
    started.end()


MEASURE = """async (key) => {
  const told = document.getElementById("status-place");
  const before = told.textContent;
  const start = performance.now();
  document.getElementById("grid").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return [performance.now() - start, told.textContent !== before];
}"""
"""How long it takes from a key to the painted change."""


def test_twenty_thousand_images_stay_few_in_the_page(browser: Browser, large_studio: Studio) -> None:
    context = browser.new_context(base_url=large_studio.address, viewport={"width": 1280, "height": 720})
    page = context.new_page()
    open_screen(page, 1)
    expect(page.locator("#status-place")).to_have_text(f"1/{LARGE}")
    times = []
    for _ in range(30):
        took, has_changed = page.evaluate(MEASURE, "j")
        assert has_changed
        times.append(took)
    median = sorted(times)[len(times) // 2]
    print(f"key to painted change: median {median:.0f} ms, worst {max(times):.0f} ms")
    # The machine may be slow or busy with other things; a page that held all images would take seconds at best.
    assert min(times) < 500
    page.keyboard.press("Shift+G")
    expect(page.locator(".label-tile.current")).to_have_attribute("title", f"{LARGE - 1:05}.png")
    assert page.locator(".label-tile").count() < 60
    page.locator("#grid").evaluate("list => { list.scrollTop = list.scrollHeight / 2; }")
    assert page.locator(".label-tile").count() < 60
    context.close()


def test_a_key_waits_for_an_image_that_comes_late(context: BrowserContext, idle_studio: Studio) -> None:
    """The server fails while the row of the image is asked for: what the key does is done once it answers."""
    project_id = fill(idle_studio, ["fox"])
    page = context.new_page()
    refused = []

    def refuse_twice(route: Route) -> None:
        refused.append(route.request.url)
        if len(refused) > 2:
            return route.continue_()
        return route.fulfill(status=503, json={"message": "The store is busy."})

    page.route("**/label/rows.json*", refuse_twice)
    page.goto(f"/projects/{project_id}/label")
    expect(page.locator("#status-place")).to_contain_text("1/1")
    page.locator("#grid").focus()
    page.keyboard.press("+")
    expect(page.locator("#fact-repeats")).to_have_text("2 ×")
    assert len(refused) > 2
