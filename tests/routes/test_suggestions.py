"""The suggestions page: models found, runs started and tried."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.contract.rundir import RunDir
from app.contract.spec import TagSpec, read_spec
from app.store import images, runs
from app.store.db import read
from tests.drawing import picture
from tests.routes.conftest import Html
from tests.routes.suggested import suggest, tag, three_images
from tests.worker.chat_server import chat_server, said

pytestmark = pytest.mark.anyio
Read = Callable[[httpx.Response], Html]


@pytest.fixture
async def ids(http: httpx.AsyncClient, store: Engine, project_id: int) -> list[int]:
    """Three images with tags, a sentence and no words."""
    return await three_images(http, store, project_id)


@pytest.fixture
def wd_folder(settings: Settings) -> Path:
    """A folder that looks like a tagger."""
    folder = settings.data / "taggers" / "wd-tiny"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n1,red,0,5\n")
    return folder


async def test_the_page_names_models_and_offers(
    http: httpx.AsyncClient, project_id: int, ids: list[int], wd_folder: Path, read_html: Read
) -> None:
    shown = read_html(await http.get(f"/projects/{project_id}/suggestions"))
    radios = shown.all("input", type="radio", name="model")
    assert [radio.attrs["value"] for radio in radios] == [str(wd_folder), "endpoint"]
    assert "checked" in radios[0].attrs
    assert shown.one("input", name="threshold").attrs["value"] == "0.35"
    assert "Apache-2.0" in shown.source
    other = read_html(await http.get(f"/projects/{project_id}/suggestions/form", params={"model": "endpoint"}))
    assert other.one("input", name="address").attrs["value"] == "http://127.0.0.1:11434/v1"
    assert other.all("input", name="threshold") == []
    # Nobody has filled anything in yet, so nothing is a mistake yet.
    assert "Name the model" not in other.source


async def test_a_run_is_queued_with_the_frozen_images(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, ids: list[int], wd_folder: Path
) -> None:
    form = {"model": str(wd_folder), "threshold": "0.5", "scope": "uncaptioned"}
    answer = await http.post(f"/projects/{project_id}/suggestions", data=form)
    assert answer.status_code == 303
    with read(store) as session:
        (run,) = runs.listed(session, project_id)
    assert answer.headers["location"] == f"/runs/{run.id}"
    assert (run.kind, run.name, run.status) == ("tag", "wd-tiny", "queued")
    folder = RunDir(settings.runs / run.dir)
    spec = read_spec(folder.spec.read_text())
    assert isinstance(spec, TagSpec)
    assert (spec.threshold, spec.trigger_word) == (0.5, "rdfx")
    assert [row.name for row in folder.read_dataset()] == ["fox-2.png"]


async def test_the_pages_of_a_tag_run_stand(
    http: httpx.AsyncClient, store: Engine, project_id: int, ids: list[int], wd_folder: Path
) -> None:
    await http.post(f"/projects/{project_id}/suggestions", data={"model": str(wd_folder)})
    with read(store) as session:
        (run,) = runs.listed(session, project_id)
    for path in ("", "/progress", "/answers", "/log"):
        assert (await http.get(f"/runs/{run.id}{path}")).status_code == 200, path
    for path in ("/samples", "/chart", "/checkpoints"):
        assert (await http.get(f"/runs/{run.id}{path}")).status_code == 404, path
    shown = (await http.get(f"/runs/{run.id}")).text
    assert "wd-tiny" in shown
    assert "Loss" not in shown
    assert "Suggestions" in (await http.get("/runs")).text
    assert (await http.get(f"/projects/{project_id}/suggestions/runs")).status_code == 200


@pytest.mark.parametrize(
    ("form", "field"),
    [({"threshold": "7"}, "threshold"), ({"model": "/gone"}, "model"), ({"model": "endpoint"}, "endpoint_model")],
)
async def test_mistakes_stand_beside_their_field(
    http: httpx.AsyncClient,
    project_id: int,
    wd_folder: Path,
    htmx: dict[str, str],
    form: dict[str, str],
    field: str,
) -> None:
    answer = await http.post(
        f"/projects/{project_id}/suggestions", data={"model": str(wd_folder), **form}, headers=htmx
    )
    assert answer.status_code == 422
    assert Html(answer.text).one("p", id=f"{field}-error").text


async def test_no_images_and_all_seen_are_told(
    http: httpx.AsyncClient, store: Engine, project_id: int, wd_folder: Path, htmx: dict[str, str]
) -> None:
    url, form = f"/projects/{project_id}/suggestions", {"model": str(wd_folder), "scope": "unseen"}
    assert "no images" in (await http.post(url, data=form, headers=htmx)).text
    await http.post(f"/projects/{project_id}/images", content=picture(9), headers={"X-File-Name": "a.png"})
    with read(store) as session:
        (row,) = images.training_rows(session, project_id)
    suggest(store, row.id, tag("red"), model="wd-tiny")
    answer = await http.post(url, data=form, headers=htmx)
    assert answer.status_code == 422
    assert "looked at by wd-tiny already" in answer.text


async def test_an_endpoint_is_asked_for_its_models_and_tried(
    http: httpx.AsyncClient, project_id: int, ids: list[int], htmx: dict[str, str], read_html: Read
) -> None:
    url = f"/projects/{project_id}/suggestions"
    with chat_server(lambda question: said(question["messages"][0]["content"][0]["text"])) as chat:
        form = {"model": "endpoint", "address": chat.address, "prompt": "See {name}: {tags}", "image": str(ids[0])}
        listed = read_html(await http.post(f"{url}/models", data=form, headers=htmx))
        assert listed.one("select", name="endpoint_model").text == "tiny-vl"
        tried = await http.post(f"{url}/try", data={**form, "endpoint_model": "tiny-vl"}, headers=htmx)
        assert "See fox-0: fox, red" in tried.text
        unknown = await http.post(f"{url}/try", data={**form, "endpoint_model": "other"}, headers=htmx)
        assert "not found" in unknown.text
    gone = await http.post(f"{url}/models", data=form, headers=htmx)
    assert gone.status_code == 422
    assert "Nothing answers" in gone.text
    # What was typed is remembered.
    again = read_html(await http.get(f"{url}/form", params={"model": "endpoint"}))
    assert again.one("input", name="address").attrs["value"] == chat.address


async def test_a_folder_of_ones_own_is_looked_through(
    http: httpx.AsyncClient, project_id: int, wd_folder: Path, tmp_path: Path, read_html: Read
) -> None:
    url = f"/projects/{project_id}/suggestions"
    mine = tmp_path / "mine"
    wd_folder.rename(mine)
    answer = await http.post(f"{url}/folder", data={"folder": str(tmp_path)})
    assert answer.status_code == 303
    assert str(mine) in (await http.get(url)).text
    for folder in ("", "relative", str(tmp_path / "nowhere")):
        answer = await http.post(f"{url}/folder", data={"folder": folder})
        assert answer.status_code == 422
        # The model form beside it has not been sent, so nothing is wrong there.
        assert len(read_html(answer).all("p", class_="field-error")) == 1
