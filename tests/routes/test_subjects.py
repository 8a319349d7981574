"""The subjects page: a model by its path, runs queued, masks and crops taken one by one and all at once."""

from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine

from app.collect.blobs import blob_path
from app.collect.imports import take_file
from app.config import Settings
from app.contract.recipe import Crop, Recipe
from app.contract.rundir import RunDir, publish
from app.contract.spec import MaskSpec, read_spec
from app.contract.suggestions import Looked, Subject
from app.routes import subjects as routes
from app.store import images, runs, subjects
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.subjects import Taken
from tests.drawing import picture
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio
Read = Callable[[httpx.Response], Html]
BOX = Crop(left=400, top=300, width=300, height=400)


@pytest.fixture
def ids(settings: Settings, store: Engine, project_id: int) -> list[int]:
    """Three images of 1200 × 900."""
    found = [
        take_file(settings, store, project_id, f"{place}.png", picture(place, 1200, 900)).image_id for place in range(3)
    ]
    return [each for each in found if each is not None]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file that looks like a model."""
    path = tmp_path / "u2net.onnx"
    path.write_bytes(b"x")
    return path


def row_of(store: Engine, image_id: int) -> ImageRow:
    """The image as the store has it."""
    with read(store) as session:
        return images.get(session, image_id)


def find(settings: Settings, store: Engine, ids: list[int]) -> str:
    """Let a model see a subject in these images; return the mask's hash."""
    mask = Image.new("L", (400, 300), 0)
    mask.paste(255, (133, 100, 233, 233))
    buffer = BytesIO()
    mask.save(buffer, "PNG")
    digest = sha256(buffer.getvalue()).hexdigest()
    publish(blob_path(settings, digest, "png"), buffer.getvalue())
    seen = Subject(mask_sha256=digest, box=BOX, share=0.11)
    with write(store) as session:
        rows = [images.get(session, image_id) for image_id in ids]
        run = runs.create(session, rows[0].project_id, "mask", "Subjects · u2net", "0001-subjects")
        lines = [Looked(sha256=row.sha256, name=row.name, subject=seen) for row in rows]
        subjects.take(session, Taken(rows[0].project_id, run.id, "u2net"), lines)
    return digest


async def test_without_a_model_the_page_says_which_file_to_point_at(
    http: httpx.AsyncClient, project_id: int, ids: list[int], read_html: Read
) -> None:
    shown = read_html(await http.get(f"/projects/{project_id}/subjects"))
    assert "No model is set up yet" in shown.source
    assert "Point at an .onnx export of U²-Net" in shown.one("p", id="model-help").text
    only = read_html(await http.get(f"/projects/{project_id}/subjects", params={"image": ids[1]}))
    assert any(option.text == "Only 1.png" and "selected" in option.attrs for option in only.all("option"))


async def test_a_run_is_queued_and_the_model_remembered(
    http: httpx.AsyncClient, store: Engine, settings: Settings, project_id: int, ids: list[int], model: Path
) -> None:
    await http.post(
        f"/images/{ids[0]}/polish/step", data={"step": "rotate", "revision": row_of(store, ids[0]).revision}
    )
    form = {"model": f'"{model}"', "scaling": "half", "scope": "all"}
    answer = await http.post(f"/projects/{project_id}/subjects", data=form)
    assert answer.status_code == 303
    with read(store) as session:
        run = runs.listed(session, project_id)[0]
    assert (run.kind, answer.headers["location"]) == ("mask", f"/runs/{run.id}")
    folder = RunDir(settings.runs / run.dir)
    spec = read_spec(folder.spec.read_text("utf-8"))
    assert isinstance(spec, MaskSpec)
    assert (spec.model, spec.model_path, spec.scaling) == ("u2net", str(model), "half")
    frozen = folder.read_dataset()
    assert [row.recipe for row in frozen] == [Recipe(quarter_turns=1), Recipe(), Recipe()]
    assert (frozen[0].size.width, frozen[0].size.height) == (900, 1200)
    shown = await http.get(f"/projects/{project_id}/subjects")
    assert str(model) in shown.text
    assert "Queued" in shown.text
    assert (await http.get(f"/runs/{run.id}")).status_code == 200
    assert (await http.get(f"/runs/{run.id}/answers")).status_code == 200
    assert "HX-Refresh" not in (await http.get(f"/projects/{project_id}/subjects/runs")).headers


async def test_a_run_may_look_at_some_images_alone(
    http: httpx.AsyncClient,
    store: Engine,
    settings: Settings,
    project_id: int,
    ids: list[int],
    model: Path,
    tmp_path: Path,
) -> None:
    digest = find(settings, store, ids[:1])
    await http.post(f"/projects/{project_id}/subjects/take", data={"act": "mask", "image": ids[0]})
    assert row_of(store, ids[0]).recipe.mask == digest
    # Many models come in a file of this name.
    other = tmp_path / "BiRefNet" / "onnx" / "model.onnx"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    answer = await http.post(f"/projects/{project_id}/subjects", data={"model": str(other), "scope": "all"})
    with read(store) as session:
        run = runs.get(session, int(answer.headers["location"].rpartition("/")[2]))
    assert run.name == "Subjects · BiRefNet model"
    for form, names in (
        ({"scope": "unmasked"}, ["1.png", "2.png"]),
        ({"scope": "unseen"}, ["1.png", "2.png"]),
        ({"scope": "image", "image": ids[2]}, ["2.png"]),
        ({"scope": "filter", "filter": "name:1"}, ["1.png"]),
    ):
        answer = await http.post(f"/projects/{project_id}/subjects", data={"model": str(model), **form})
        assert answer.status_code == 303, answer.text
        with read(store) as session:
            run = runs.get(session, int(answer.headers["location"].rpartition("/")[2]))
        assert [row.name for row in RunDir(settings.runs / run.dir).read_dataset()] == names


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"model": ""}, "Give the full path of an .onnx file."),
        ({"model": "u2net.onnx"}, "full path, from its root on"),
        ({"model": "/nowhere/u2net.onnx"}, "There is no file /nowhere/u2net.onnx"),
        ({"model": "/nowhere/u2net.pth"}, "u2net.pth is no .onnx file"),
        ({"scope": "filter", "filter": "name:nothing"}, "No image is chosen."),
        ({"scope": "filter", "filter": "(("}, "(at "),
        ({"scope": "image", "image": "99999"}, "There is no image 99999"),
    ],
)
async def test_what_cannot_start_says_why_beside_its_field(
    http: httpx.AsyncClient,
    store: Engine,
    project_id: int,
    ids: list[int],
    model: Path,
    form: dict[str, str],
    words: str,
) -> None:
    answer = await http.post(f"/projects/{project_id}/subjects", data={"model": str(model), **form})
    assert answer.status_code in (404, 422)
    assert words in answer.text
    with read(store) as session:
        assert runs.listed(session, project_id) == []


async def test_masks_and_crops_are_taken_as_one_step_each(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, ids: list[int], htmx: dict[str, str]
) -> None:
    digest = find(settings, store, ids)
    take, url = f"/projects/{project_id}/subjects/take", f"/projects/{project_id}/subjects"
    own = Recipe(crop=Crop(left=0, top=0, width=700, height=700))
    box = {"left": 0, "top": 0, "width": 700, "height": 700, "revision": row_of(store, ids[2]).revision}
    await http.post(f"/images/{ids[2]}/polish/crop", data=box)
    assert row_of(store, ids[2]).recipe == own
    assert "leaves out" in (await http.get(url)).text
    # Ticked ones alone.
    answer = await http.post(take, data={"act": "mask", "image": ids[0]}, headers=htmx)
    assert "1 mask taken" in answer.text
    assert [row_of(store, each).recipe.mask for each in ids] == [digest, None, None]
    # Everyone: what a person has cropped stays.
    answer = await http.post(take, data={"act": "crop", "everyone": "1"}, headers=htmx)
    assert "2 crops taken" in answer.text
    assert "1 image kept its own crop." in answer.text
    assert row_of(store, ids[2]).recipe == own
    crop = row_of(store, ids[0]).recipe.crop
    assert crop is not None
    assert crop.left <= BOX.left < BOX.left + BOX.width <= crop.left + crop.width
    assert "Crop taken" in (await http.get(url, params={"show": "taken"})).text
    undone = await http.post(f"/projects/{project_id}/undo", data={})
    assert undone.status_code < 400
    assert [row_of(store, each).recipe.crop for each in ids] == [None, None, own.crop]


async def test_a_subject_is_put_away_and_brought_back(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, ids: list[int]
) -> None:
    find(settings, store, ids)
    take = f"/projects/{project_id}/subjects/take"
    assert (await http.post(take, data={"act": "away", "image": ids[:2]})).status_code == 303
    with read(store) as session:
        assert [each.is_dismissed for each in subjects.of_project(session, project_id)] == [True, True, False]
    assert "sees the subject" not in (await http.get(f"/images/{ids[0]}/polish")).text
    await http.post(take, data={"act": "mask", "everyone": "1"})
    assert [row_of(store, each).recipe.mask is None for each in ids] == [True, True, False]
    await http.post(take, data={"act": "back", "show": "away", "image": ids[:2]})
    assert "sees the subject" in (await http.get(f"/images/{ids[0]}/polish")).text
    assert (await http.post(take, data={"act": "mask"})).status_code == 422
    # Ids of nobody, however large, change nothing.
    assert (await http.post(take, data={"act": "away", "image": [10**30, 0]})).status_code == 303
    assert (await http.post(take, data={"act": "crop", "image": [10**30]})).status_code == 303


async def test_the_polish_page_takes_mask_and_crop_one_by_one(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ids: list[int], read_html: Read
) -> None:
    digest = find(settings, store, ids[:1])
    revision = row_of(store, ids[0]).revision
    for place, step in enumerate(("rotate", "subject-mask", "subject-crop")):
        form = {"step": step, "revision": revision + place}
        assert (await http.post(f"/images/{ids[0]}/polish/step", data=form)).status_code == 303
    row = row_of(store, ids[0])
    assert (row.recipe.mask, row.recipe.quarter_turns) == (digest, 1)
    assert row.recipe.crop is not None
    # The upright box at 400, 300 of 1200 × 900 is at 200, 400 once it is turned clockwise.
    assert row.recipe.crop.left <= 200
    assert row.recipe.crop.top <= 400
    # Nothing is left to be taken.
    assert "sees the subject" not in (await http.get(f"/images/{ids[0]}/polish")).text
    back = {"step": "unmask", "revision": row.revision}
    await http.post(f"/images/{ids[0]}/polish/step", data=back)
    shown = read_html(await http.get(f"/images/{ids[0]}/polish"))
    assert shown.one("button", id="subject-mask").attrs["value"] == "subject-mask"
    assert "Crop taken" in shown.source
    box = [row.recipe.crop.left, row.recipe.crop.top, row.recipe.crop.width, row.recipe.crop.height]
    crop = read_html(await http.get(f"/images/{ids[0]}/polish/crop"))
    assert crop.one("button", id="crop-suggested").attrs["data-box"] == " ".join(map(str, box))
    none = {"step": "subject-crop", "revision": row_of(store, ids[1]).revision}
    assert (await http.post(f"/images/{ids[1]}/polish/step", data=none)).status_code == 409


async def test_the_suggested_mask_is_shown_as_it_would_lie(
    http: httpx.AsyncClient, settings: Settings, store: Engine, ids: list[int]
) -> None:
    find(settings, store, ids[:1])
    data = {"step": "rotate", "revision": row_of(store, ids[0]).revision}
    await http.post(f"/images/{ids[0]}/polish/step", data=data)
    grey = Image.open(BytesIO((await http.get(f"/media/images/{ids[0]}/subject.png")).content))
    assert (grey.mode, grey.size) == ("L", (300, 400))
    shade = Image.open(BytesIO((await http.get(f"/media/images/{ids[0]}/subject-shade.png")).content))
    inside, outside = shade.getpixel((150, 180)), shade.getpixel((10, 10))
    assert isinstance(inside, tuple)
    assert isinstance(outside, tuple)
    assert inside[3] == 0 < outside[3]
    assert "From the subject" in (await http.get(f"/images/{ids[0]}/mask")).text
    assert (await http.get(f"/media/images/{ids[1]}/subject.png")).status_code == 404
    assert (await http.get(f"/media/images/{ids[0]}/uncropped-thumb.webp")).status_code == 200


async def test_the_newest_word_stands_and_what_was_put_away_stays_away(
    http: httpx.AsyncClient, settings: Settings, store: Engine, project_id: int, ids: list[int]
) -> None:
    digest = find(settings, store, ids[:1])
    await http.post(f"/projects/{project_id}/subjects/take", data={"act": "away", "image": ids[0]})
    row = row_of(store, ids[0])
    for mask, is_away in ((digest, True), ("b" * 64, False)):
        line = Looked(sha256=row.sha256, name=row.name, subject=Subject(mask_sha256=mask, box=BOX, share=0.2))
        with write(store) as session:
            subjects.take(session, Taken(project_id, 1, "other"), [line])
        with read(store) as session:
            seen = subjects.of_image(session, ids[0])
        assert seen is not None
        assert (seen.model, seen.mask_sha256, seen.is_dismissed) == ("other", mask, is_away)
    # A mask that is gone from the disk breaks no page.
    assert (await http.get(f"/media/images/{ids[0]}/subject-shade.png")).status_code == 404
    assert (await http.get(f"/projects/{project_id}/subjects")).status_code == 200


async def test_after_an_action_one_stays_on_the_page_where_one_was(
    http: httpx.AsyncClient,
    settings: Settings,
    store: Engine,
    project_id: int,
    ids: list[int],
    htmx: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "SHOWN", 1)
    find(settings, store, ids)
    url = f"/projects/{project_id}/subjects"
    shown = Html((await http.get(url, params={"after": 1})).text)
    form = {
        each.attrs["name"]: each.attrs["value"]
        for each in shown.all("input", type="hidden")
        if each.attrs["name"] == "after"
    }
    assert form == {"after": "1"}

    async def put_away(image_id: int, after: int) -> Html:
        data = {"act": "away", "image": image_id, "show": "open", "after": after}
        return Html((await http.post(f"{url}/take", data=data, headers=htmx)).text)

    second = await put_away(ids[1], 1)
    assert [each.attrs["aria-label"] for each in second.all("a", class_="subject-view")] == ["2.png"]
    last = await put_away(ids[2], 1)
    assert [each.attrs["aria-label"] for each in last.all("a", class_="subject-view")] == ["0.png"]
    assert "after=0" in (await http.post(f"{url}/take", data={"act": "back", "image": ids[1]})).headers["location"]
