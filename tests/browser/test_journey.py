"""The whole way in a real browser: create, drop, caption, train, watch, review, download, load back in diffusers."""

import re
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from playwright.sync_api import Locator, Page, expect
from transformers import CLIPTextModel, CLIPTokenizer

from app.collect import pebblo
from app.launch.bases import BUNDLED
from tests.studio import Studio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

LONG_MS = 180_000
STEPS = 12


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four captioned pictures, two bare ones and a broken one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place, (name, data, caption) in enumerate(pebblo.drawings()[:6]):
        (folder / name).write_bytes(data)
        if place < 4:
            (folder / name).with_suffix(".txt").write_text(caption)
    (folder / "broken.png").write_bytes(b"<!doctype html><title>404</title>")
    return folder


def create_project(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="New project").first.click()
    page.get_by_label("Name", exact=True).fill("Pebblo")
    page.get_by_role("radio", name="Character").check()
    page.get_by_label("Trigger word").fill("pebblo")
    bases = page.get_by_role("combobox", name="Base model")
    bases.select_option(value=bases.get_by_role("option", name="bundled").get_attribute("value"))
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", name="Images", level=1)).to_be_visible()


def drop(page: Page, files: list[Path]) -> None:
    """Drop files on the page as a file manager does."""
    transfer = page.evaluate_handle("() => new DataTransfer()")
    for file in files:
        page.evaluate(
            """([transfer, name, bytes]) => transfer.items.add(new File([new Uint8Array(bytes)], name))""",
            [transfer, file.name, list(file.read_bytes())],
        )
    page.dispatch_event("#drop-zone", "drop", {"dataTransfer": transfer})


def write_missing_captions(page: Page) -> None:
    """Go from one image without words to the next and write them, by keyboard alone."""
    caption = page.locator("#caption")
    expect(caption).not_to_have_value("")
    for words in ("yellow body, on grass", "yellow body, on sand"):
        page.keyboard.press("e")
        expect(caption).to_have_value("")
        page.keyboard.press("Enter")
        page.keyboard.type(words)
        # The first closes the completions, where there are any.
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(page.locator("#status-mode")).to_have_text("Browse")
        expect(page.locator("#status-saving")).to_contain_text("saved")
        expect(page.locator("#trainings")).to_contain_text(f"pebblo, {words}")


def set_training(page: Page) -> None:
    page.get_by_role("textbox", name="Steps", exact=True).fill(str(STEPS))
    page.get_by_role("textbox", name="Save every").fill("6")
    page.get_by_role("textbox", name="Sample every").fill("6")
    page.locator("summary", has_text="Samples").click()
    page.get_by_role("textbox", name="Sampler steps").fill("2")
    page.get_by_role("textbox", name="Sample prompts").fill("pebblo, red body\npebblo, at night")
    expect(page.locator("#plan")).to_contain_text("2 checkpoints")
    expect(page.locator("#plan")).to_contain_text("6 sample images")


def test_from_nothing_to_a_lora(page: Page, studio: Studio, pictures: Path, tmp_path: Path) -> None:
    create_project(page)
    page.wait_for_load_state()
    drop(page, sorted(pictures.iterdir()))
    expect(page.locator(".image-tile")).to_have_count(6)
    expect(page.locator(".upload.failed")).to_contain_text("broken.png")
    expect(page.locator(".upload.failed")).to_contain_text("web page")

    page.locator(".image-tile a").first.click()
    page.wait_for_url(re.compile(r"/label\?image=\d+$"))
    write_missing_captions(page)

    page.get_by_role("link", name="Train").first.click()
    set_training(page)
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    watch(page)

    lora = download(page, tmp_path / "lora.safetensors")
    review(page)
    check_it_loads(lora)


def watch(page: Page) -> None:
    """Samples arrive by themselves; a reload in the middle loses nothing."""
    expect(page.locator("#run-samples img").first).to_be_visible(timeout=LONG_MS)
    page.reload()
    expect(page.locator("#run-samples img").first).to_be_visible()
    expect(page.locator("#run-progress .badge").first).to_contain_text("Completed", timeout=LONG_MS)
    expect(page.locator("#run-samples img")).to_have_count(6)
    expect(page.locator("#run-checkpoints li")).to_have_count(2)
    expect(page.locator("#run-checkpoints")).to_contain_text(f"Step {STEPS}")
    for image in page.locator("#run-samples img").all():
        assert is_drawn(image)


def is_drawn(image: Locator) -> bool:
    """Whether the browser really has the picture."""
    image.scroll_into_view_if_needed()
    return bool(image.evaluate("image => image.decode().then(() => image.naturalWidth > 0, () => false)"))


def download(page: Page, to: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=f"Download the LoRA of step {STEPS}").click()
    assert waiting.value.suggested_filename.endswith(".safetensors")
    waiting.value.save_as(to)
    return to


def review(page: Page) -> None:
    """Judge by keyboard alone, then draw a strength sweep."""
    page.get_by_role("link", name="Review", exact=False).first.click()
    cells = page.locator(".review-cell[data-roving-item]")
    expect(cells).to_have_count(6)
    page.wait_for_load_state()
    cells.nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(cells.nth(1)).to_have_attribute("data-verdict", "reject")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    expect(cells.nth(2)).to_have_attribute("data-verdict", "best")
    page.reload()
    expect(cells.nth(2)).to_have_attribute("data-verdict", "best")
    page.get_by_label("Strengths").fill("0, 1")
    page.get_by_role("button", name="Draw").click()
    expect(page.locator("#sweep .badge").first).to_contain_text("Completed", timeout=LONG_MS)
    expect(page.locator("#sweep .review-cell img")).to_have_count(4)


def check_it_loads(lora: Path) -> None:
    """diffusers takes the file as it is, and it changes the picture."""
    torch.set_num_threads(1)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(BUNDLED / "vae", dtype=torch.float32),
        text_encoder=CLIPTextModel.from_pretrained(BUNDLED / "text_encoder", dtype=torch.float32),
        tokenizer=CLIPTokenizer.from_pretrained(BUNDLED / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(BUNDLED / "unet", dtype=torch.float32),
        scheduler=DDIMScheduler.from_pretrained(BUNDLED / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)

    def latents() -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        drawn = pipeline("pebblo", num_inference_steps=2, generator=generator, output_type="latent")
        images: torch.Tensor = drawn.images
        return images

    plain = latents()
    pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name)
    assert pipeline.get_list_adapters()
    assert not torch.equal(plain, latents())
