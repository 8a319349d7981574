"""The training form: filled by presets, refreshed while people type, and never started with something wrong."""

import shutil
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.spec import TrainSpec, read_spec
from app.launch.controls import GROUPS, fields
from app.launch.gpu import DRIVER_TOOL
from app.launch.start import run_dir
from app.store import bases, images, projects, runs
from app.store.bases import FoundBase
from app.store.db import read, write
from app.store.models import Image
from tests.drawing import project_with_images
from tests.routes.conftest import Html
from tests.routes.stories import finished_story, living_worker

pytestmark = pytest.mark.anyio

Reader = Callable[[httpx.Response], Html]


@pytest.fixture
def ready_id(settings: Settings, store: Engine) -> int:
    """A project with four captioned pictures on the bundled base."""
    return project_with_images(settings, store)


def sent(page: Html) -> dict[str, str]:
    """What a browser would send of the form as it stands."""
    texts = {each.attrs["name"]: each.attrs.get("value", "") for each in page.all("input", class_="input")}
    texts |= {each.attrs["name"]: each.text for each in page.all("textarea")}
    chosen = [each for each in page.all("input", type="radio") if "checked" in each.attrs]
    texts |= {each.attrs["name"]: each.attrs["value"] for each in chosen}
    ticked = [each for each in page.all("input", type="checkbox") if "checked" in each.attrs]
    texts |= {each.attrs["name"]: each.attrs["value"] for each in ticked}
    for place, each in enumerate(page.elements):
        if each.tag == "option" and "selected" in each.attrs:
            select = next(one for one in reversed(page.elements[:place]) if one.tag == "select")
            texts[select.attrs["name"]] = each.attrs.get("value", each.text)
    return texts


async def test_the_form_has_every_setting_with_label_and_help(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader
) -> None:
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    names = {each.attrs.get("name") for each in page.elements}
    for field in fields():
        assert field.key in names
        control_id = field.key.replace(".", "-")
        control = next(each for each in page.elements if each.attrs.get("id") == control_id)
        for note in control.attrs["aria-describedby"].split():
            assert [each for each in page.elements if each.attrs.get("id") == note]
    assert len(page.all("input", type="radio", name="preset")) == 3
    assert [each.attrs["id"] for each in page.all("details") if each.attrs.get("id", "").startswith("group-")] == [
        f"group-{key}" for key, _, _ in GROUPS
    ]
    assert "From 1 to 256." in page.one("p", id="network-rank-help").text
    assert "Why so." in page.source
    assert page.one("section", id="plan").text.count("checkpoint") == 1
    assert "disabled" not in page.one("button", id="start").attrs


async def test_enter_in_a_field_starts_nothing(http: httpx.AsyncClient, ready_id: int, read_html: Reader) -> None:
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    form_at = page.elements.index(page.one("form", id="training"))
    inside = [each for each in page.elements[form_at:] if each.tag == "button"]
    assert "disabled" in inside[0].attrs


async def test_the_form_as_it_stands_makes_the_spec_it_shows(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader, settings: Settings, store: Engine
) -> None:
    page = read_html(await http.get(f"/projects/{ready_id}/train?preset=quick"))
    texts = sent(page) | {"name": "Red & <cats>", "optimization.steps": "30"}
    answer = await http.post(f"/projects/{ready_id}/runs", data=texts)
    assert answer.status_code == 303
    with read(store) as session:
        [run] = runs.listed(session)
    assert answer.headers["location"] == f"/runs/{run.id}"
    spec = read_spec(run_dir(settings, run).spec.read_text())
    assert isinstance(spec, TrainSpec)
    assert (spec.name, spec.optimization.steps, spec.network.rank) == ("Red & <cats>", 30, 16)
    shown = await http.get(answer.headers["location"])
    assert shown.status_code == 200
    assert "Red &amp; &lt;cats&gt;" in shown.text
    assert "Red & <cats>" not in shown.text


async def test_a_switch_that_is_off_stays_off(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader, settings: Settings, store: Engine
) -> None:
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    switches = {field.key for field in fields() if field.kind == "bool"}
    texts = {key: text for key, text in sent(page).items() if key not in switches}
    assert (await http.post(f"/projects/{ready_id}/runs", data=texts)).status_code == 303
    with read(store) as session:
        [run] = runs.listed(session)
    spec = read_spec(run_dir(settings, run).spec.read_text())
    assert isinstance(spec, TrainSpec)
    assert spec.optimization.gradient_checkpointing is False


async def test_a_broken_value_is_told_beside_its_field_and_loses_no_other(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader, htmx: dict[str, str], store: Engine
) -> None:
    texts = sent(read_html(await http.get(f"/projects/{ready_id}/train")))
    texts |= {"optimization.steps": "many", "optimization.batch": "3", "optimization.warmup_steps": "x"}
    plan = await http.post(f"/projects/{ready_id}/train/plan", data=texts, headers=htmx)
    assert plan.status_code == 422
    part = read_html(plan)
    assert "whole number" in part.one("div", id="optimization-steps-notes").text
    assert part.one("div", id="optimization-batch-notes").text == ""
    assert "disabled" in part.one("button", id="start").attrs
    assert "Steps, Warmup" in part.one("section", id="plan").text
    assert 'href="#optimization-steps"' in part.source

    refused = await http.post(f"/projects/{ready_id}/runs", data=texts)
    assert refused.status_code == 422
    page = read_html(refused)
    assert page.one("input", id="optimization-steps").attrs["value"] == "many"
    assert page.one("input", id="optimization-steps").attrs["aria-invalid"] == "true"
    assert page.one("input", id="optimization-batch").attrs["value"] == "3"
    opened = [each.attrs["id"] for each in page.all("details") if "open" in each.attrs]
    assert opened == ["group-optimization"]
    with read(store) as session:
        assert runs.listed(session) == []

    texts |= {"optimization.steps": "60", "optimization.warmup_steps": "0"}
    mended = await http.post(f"/projects/{ready_id}/train/plan", data=texts, headers=htmx)
    assert mended.status_code == 200
    part = read_html(mended)
    assert part.one("div", id="optimization-steps-notes").text == ""
    assert "60 steps" in part.one("section", id="plan").text


async def test_a_base_that_goes_away_while_one_types_is_told_beside_it(
    http: httpx.AsyncClient, store: Engine, ready_id: int, read_html: Reader, htmx: dict[str, str]
) -> None:
    texts = sent(read_html(await http.get(f"/projects/{ready_id}/train")))
    part = read_html(await http.post(f"/projects/{ready_id}/train/plan", data=texts, headers=htmx))
    assert part.one("div", id="base_id-notes").text == ""
    with write(store) as session:
        bases.get(session, int(texts["base_id"])).is_missing = True
    broken = texts | {"optimization.steps": "many"}
    part = read_html(await http.post(f"/projects/{ready_id}/train/plan", data=broken, headers=htmx))
    assert "no longer at" in part.one("div", id="base_id-notes").text
    assert part.one("div", id="optimization-steps-notes").text == ""


async def test_a_preset_there_is_not_is_told_beside_the_presets(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader
) -> None:
    page = read_html(await http.get(f"/projects/{ready_id}/train?preset=huge"))
    assert "no preset called huge" in page.one("div", id="preset-notes").text
    assert page.all("a", href="#preset-notes")
    part = read_html(await http.post(f"/projects/{ready_id}/train/plan", data=sent(page)))
    assert part.one("div", id="preset-notes").text == ""


async def test_another_preset_keeps_name_and_prompts(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader, htmx: dict[str, str]
) -> None:
    asked = {"preset": "thorough", "name": "Mine", "prompts": "one\ntwo"}
    part = read_html(await http.get(f"/projects/{ready_id}/train/form", params=asked, headers=htmx))
    assert part.one("input", id="name").attrs["value"] == "Mine"
    assert part.one("textarea", id="prompts").text == "one two"
    assert part.one("input", id="network-rank").attrs["value"] == "32"
    assert "checked" in part.one("input", id="preset-thorough").attrs


async def test_without_pictures_it_says_so_and_cannot_start(
    http: httpx.AsyncClient, settings: Settings, store: Engine, read_html: Reader
) -> None:
    empty_id = project_with_images(settings, store, count=0)
    page = read_html(await http.get(f"/projects/{empty_id}/train"))
    assert "no images" in page.one("section", id="plan").text
    assert "disabled" in page.one("button", id="start").attrs
    refused = await http.post(f"/projects/{empty_id}/runs", data=sent(page))
    assert refused.status_code == 422
    assert "The project has no images to train on." in read_html(refused).one("div", class_="refusal").text


async def test_a_base_that_cannot_be_used_yet_is_told_and_what_was_typed_waits(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int, read_html: Reader
) -> None:
    folder = settings.data / "models" / "large"
    folder.mkdir()
    with write(store) as session:
        found = FoundBase("large", str(folder), "diffusers", "sdxl", 7_000_000_000, 1024, False)
        base_id = bases.add_found(session, found).id
    asked = {"base_id": str(base_id), "name": "Mine"}
    part = read_html(await http.get(f"/projects/{ready_id}/train/form", params=asked))
    assert "still being hashed" in part.source
    assert part.one("input", id="kept-name").attrs["value"] == "Mine"
    assert "every 2s" in [each.attrs.get("hx-trigger") for each in part.elements]
    assert "disabled" in part.one("button", id="start").attrs
    assert (await http.post(f"/projects/{ready_id}/runs", data=asked)).status_code == 422


async def test_a_base_that_went_away_meanwhile_is_told_on_the_page(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int, read_html: Reader
) -> None:
    folder = settings.data / "models" / "gone"
    with write(store) as session:
        base = bases.add_found(session, FoundBase("gone", str(folder), "diffusers", "sd15", 1, 64, False))
        bases.set_hash(session, base.id, "0" * 64)
        projects.update(session, ready_id, base_id=base.id)
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    refused = await http.post(f"/projects/{ready_id}/runs", data=sent(page) | {"name": "Kept"})
    assert refused.status_code == 422
    shown = read_html(refused)
    assert str(folder) in shown.one("div", class_="refusal").text
    assert shown.one("input", id="name").attrs["value"] == "Kept"
    assert shown.one("select", id="base_id").attrs["aria-invalid"] == "true"
    assert str(folder) in shown.one("div", id="base_id-notes").text


async def test_it_says_how_long_the_last_one_took(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ready_id: int, read_html: Reader
) -> None:
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    assert "took" not in page.one("section", id="plan").text
    story = finished_story(settings, store, ready_id)
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    told = page.one("section", id="plan").text
    assert f"The run “{story.run.name}” took" in told
    assert "on this base: 40 steps" in told


async def test_it_says_whether_a_worker_is_there(http: httpx.AsyncClient, settings: Settings, ready_id: int) -> None:
    assert "No worker is running" in (await http.get(f"/projects/{ready_id}/train")).text
    with living_worker(settings):
        assert "No worker is running" not in (await http.get(f"/projects/{ready_id}/train")).text


async def test_an_unknown_project_is_not_found(http: httpx.AsyncClient) -> None:
    for answer in (await http.get("/projects/99/train"), await http.post("/projects/99/runs", data={"name": "x"})):
        assert answer.status_code == 404


@pytest.fixture
def full_size(settings: Settings, store: Engine, ready_id: int) -> int:
    """The project on a base of full size, of which only the row is looked at."""
    folder = settings.data / "models" / "xl"
    folder.mkdir(parents=True)
    with write(store) as session:
        base = bases.add_found(session, FoundBase("xl", str(folder), "diffusers", "sdxl", 7_000_000_000, 1024, False))
        bases.set_hash(session, base.id, "0" * 64)
        projects.update(session, ready_id, base_id=base.id)
    return ready_id


async def test_memory_is_reckoned_and_the_change_that_fits_is_named(
    http: httpx.AsyncClient, full_size: int, read_html: Reader, htmx: dict[str, str]
) -> None:
    page = read_html(await http.get(f"/projects/{full_size}/train"))
    assert len(page.all("input", type="radio", name="preset")) == 4
    assert len(page.all("figure", class_="memory-bar")) == 3
    if shutil.which(DRIVER_TOOL):
        pytest.skip("the page tells of this computer's own GPU")
    assert "No NVIDIA GPU was found" in page.one("section", id="plan").text
    assert "fits a card of 8 GB" in page.one("section", id="plan").text
    texts = sent(page)
    del texts["optimization.gradient_checkpointing"]
    part = read_html(await http.post(f"/projects/{full_size}/train/plan", data=texts, headers=htmx))
    assert "more than a card of 8 GB. Turn on gradient checkpointing" in part.one("section", id="plan").text
    texts["optimization.memory_limit_gb"] = "24"
    part = read_html(await http.post(f"/projects/{full_size}/train/plan", data=texts, headers=htmx))
    assert "fits the memory limit set here (24.0 GB)" in part.one("section", id="plan").text


async def test_a_miniature_takes_no_memory_worth_a_word(http: httpx.AsyncClient, ready_id: int) -> None:
    page = (await http.get(f"/projects/{ready_id}/train")).text
    assert "GPU memory, reckoned" not in page
    assert "draws emoji" in page


async def test_settings_of_another_trainer_fill_the_form(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader, htmx: dict[str, str]
) -> None:
    text = "network_dim = 24\nunet_lr = 3e-4\nmax_train_epochs = 4\nface_crop_aug_range = 2\n"
    address = f"/projects/{ready_id}/train/import"
    for headers in (htmx, {}):
        answer = await http.post(address, data={"settings": text, "name": "Mine", "preset": "quick"}, headers=headers)
        assert answer.status_code == 200
        page = read_html(answer)
        assert page.one("input", id="network-rank").attrs["value"] == "24"
        assert page.one("input", id="network-alpha").attrs["value"] == "1"
        assert page.one("input", id="name").attrs["value"] == "Mine"
        assert "checked" in page.one("input", id="preset-quick").attrs
        told = page.one("section", id="imported").text
        assert "kohya" in told
        assert "Epochs become steps" in told
        assert "face_crop_aug_range" in told
    file = {"file": ("lora.json", b'{"network_dim": 12, "network_alpha": 6}', "application/json")}
    page = read_html(await http.post(address, files=file, headers=htmx))
    assert page.one("input", id="network-rank").attrs["value"] == "12"


async def test_settings_of_no_trainer_are_told_beside_the_field(
    http: httpx.AsyncClient, ready_id: int, read_html: Reader, htmx: dict[str, str]
) -> None:
    answer = await http.post(f"/projects/{ready_id}/train/import", data={"settings": "what?"}, headers=htmx)
    assert answer.status_code == 422
    page = read_html(answer)
    assert "kohya" in page.one("p", id="settings-error").text
    assert page.one("textarea", id="settings").text == "what?"
    assert "open" in page.one("details", id="import-settings").attrs
    assert page.one("button", id="start")


async def test_held_out_images_are_named_in_the_plan(
    http: httpx.AsyncClient, store: Engine, ready_id: int, read_html: Reader
) -> None:
    with write(store) as session:
        row = images.training_rows(session, ready_id)[0]
        image = session.get(Image, row.id)
        assert image is not None
        image.split = "held-out"
    page = read_html(await http.get(f"/projects/{ready_id}/train"))
    plan = page.one("section", id="plan").text
    assert "3 images, seen 3 times an epoch" in plan
    assert f"1 image held out, never trained on; their loss is measured every 50 steps: {row.name}." in plan
    assert page.one("input", id="validation-every_steps").attrs["value"] == "50"
