"""Base models: the list, the folder named for them, missing ones, hashing."""

import json
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import Engine

from app.launch.bases import BUNDLED_NAME
from app.store import bases
from app.store.bases import FoundBase
from app.store.db import read, write
from tests.launch.test_bases import single_file
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one diffusers base."""
    base = tmp_path / "models" / "paper-world"
    for part, config in (("unet", {"sample_size": 64}), ("vae", {"block_out_channels": [1, 2, 3, 4]})):
        (base / part).mkdir(parents=True)
        (base / part / "config.json").write_text(json.dumps(config))
    (base / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (base / "unet" / "weights.safetensors").write_bytes(b"1" * 2000)
    return base.parent


async def test_the_bundled_base_is_plainly_marked(http: httpx.AsyncClient) -> None:
    page = Html((await http.get("/bases")).text)
    (row,) = [each for each in page.all("tr") if BUNDLED_NAME in each.text]
    assert "Miniature" in row.text
    assert "draws emoji" in row.text
    assert "velocity (v)" in row.text
    assert "No full-size base model yet" in page.source


async def test_a_named_folder_is_looked_through_and_remembered(
    http: httpx.AsyncClient, models: Path, htmx: dict[str, str]
) -> None:
    answer = await http.post("/bases", data={"folder": f'"{models}"'}, headers=htmx)
    part = Html(answer.text)
    assert answer.status_code == 200
    assert "Looked through" in part.one("form", id="bases-folder").text
    assert "paper-world" in part.one("hx-partial").text
    assert "512 px" in part.one("hx-partial").text
    with anyio.fail_after(60):
        while "hashing" in (listed := (await http.get("/bases/list", headers=htmx)).text):
            assert Html(listed).one("div", id="bases-list").attrs["hx-trigger"] == "every 2s"
            await anyio.sleep(0.02)
    assert "hx-get" not in Html(listed).one("div", id="bases-list").attrs
    assert Html((await http.get("/bases")).text).one("input", id="folder").attrs["value"] == str(models)
    plain = await http.post("/bases", data={"folder": str(models)})
    assert (plain.status_code, plain.headers["location"]) == (303, "/bases")
    # The page of bases names the folder that was typed, never where a base lies.
    assert str(models / "paper-world") not in (await http.get("/bases")).text


@pytest.mark.parametrize(
    ("folder", "words"), [("", "There is no path"), ("models", "not a full path"), ("/nowhere/at/all", "not a folder")]
)
async def test_what_is_no_folder_is_told_beside_the_field(
    http: httpx.AsyncClient, htmx: dict[str, str], folder: str, words: str
) -> None:
    for headers in (htmx, {}):
        answer = await http.post("/bases", data={"folder": folder}, headers=headers)
        assert answer.status_code == 422
        page = Html(answer.text)
        assert words in page.one("p", id="folder-error").text
        assert page.one("input", id="folder").attrs["value"] == folder


async def test_a_single_file_is_offered_and_its_vae_chosen(
    http: httpx.AsyncClient, store: Engine, tmp_path: Path, project_id: int, htmx: dict[str, str]
) -> None:
    models = tmp_path / "files"
    models.mkdir()
    single_file(models / "dreamy.safetensors", 768)
    single_file(models / "other.safetensors", 1024)
    (models / "vae").mkdir()
    (models / "vae" / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", "scaling_factor": 0.18215}))
    await http.post("/bases", data={"folder": str(models)})
    with anyio.fail_after(60):
        while "hashing" in (await http.get("/bases/list")).text:
            await anyio.sleep(0.02)
    page = Html((await http.get("/bases")).text)
    (row,) = [each for each in page.all("tr") if "dreamy" in each.text]
    assert "Single file" in row.text
    assert "noise (ε)" in row.text
    assert "No full-size base model yet" not in page.source
    assert "Stable Diffusion 2" in page.one("details", id="bases-refused").text
    assert str(models / "vae") not in page.source
    form = Html((await http.get(f"/projects/{project_id}/train")).text)
    assert "dreamy" in [each.text for each in form.all("option")]

    with read(store) as session:
        base_id = next(each.id for each in bases.listed(session) if each.name == "dreamy")
    choice = next(each for each in page.all("option") if each.text == "vae")
    answer = await http.post(f"/bases/{base_id}/vae", data={"vae": choice.attrs["value"]}, headers=htmx)
    assert answer.status_code == 200
    assert "selected" in next(each for each in Html(answer.text).all("option") if each.text == "vae").attrs
    assert (await http.post(f"/bases/{base_id}/vae", data={"vae": ""})).status_code == 303
    assert (await http.post(f"/bases/{base_id}/vae", data={"vae": "nonsense"}, headers=htmx)).status_code == 422
    assert (await http.post("/bases/99/vae", data={"vae": ""})).status_code == 404


async def test_what_a_silent_base_predicts_is_said_there(
    http: httpx.AsyncClient, store: Engine, tmp_path: Path, htmx: dict[str, str]
) -> None:
    models = tmp_path / "files"
    models.mkdir()
    single_file(models / "noob-vpred.safetensors", 2048)
    single_file(models / "told.safetensors", 2048, **{"modelspec.prediction_type": "v"})
    await http.post("/bases", data={"folder": str(models)})
    with read(store) as session:
        ids = {each.name: each.id for each in bases.listed(session)}
    page = Html((await http.get("/bases")).text)
    rows = {name: row for row in page.all("tr") for name in ids if name in row.text}
    assert "Named v-pred" in rows["noob-vpred"].text
    assert "velocity (v)" in rows["told"].text
    assert not page.all("select", id=f"prediction-{ids['told']}")

    address = f"/bases/{ids['noob-vpred']}/prediction"
    answer = await http.post(address, data={"prediction": "v-zero-snr"}, headers=htmx)
    assert answer.status_code == 200
    assert "Named v-pred" not in answer.text
    (chosen,) = [each for each in Html(answer.text).all("option", selected="") if "zero terminal" in each.text]
    assert chosen.attrs["value"] == "v-zero-snr"
    assert (await http.post(address, data={"prediction": ""})).status_code == 303
    assert (await http.post(address, data={"prediction": "nonsense"}, headers=htmx)).status_code == 422
    assert (await http.post(f"/bases/{ids['told']}/prediction", data={"prediction": "v"})).status_code == 422
    assert (await http.post("/bases/99/prediction", data={"prediction": ""})).status_code == 404


async def test_a_base_that_is_gone_is_marked_and_no_longer_offered(
    http: httpx.AsyncClient, store: Engine, models: Path, tmp_path: Path
) -> None:
    gone = FoundBase("lost-world", str(tmp_path / "lost"), "single-file", "sdxl", 6_000_000_000, 1024, False)
    with write(store) as session:
        bases.add_found(session, gone)
    await http.post("/bases", data={"folder": str(models)})
    page = Html((await http.get("/bases")).text)
    (row,) = [each for each in page.all("tr") if "lost-world" in each.text]
    assert "Missing" in row.text
    assert "hashing" not in row.text
    form = Html((await http.get("/projects/new")).text)
    offered = [each.text for each in form.all("option")]
    assert not [each for each in offered if "lost-world" in each]
    assert [each for each in offered if "paper-world · Stable Diffusion 1.5, 512 px" in each]
    with read(store) as session:
        first = next(each for each in bases.listed(session) if each.name == "paper-world")
    assert form.one("option", selected="").attrs["value"] == str(first.id)
