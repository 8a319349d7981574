"""Exports: what a trainer will read is shown first, the zip is made in the background."""

import asyncio
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Event
from time import monotonic

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from app.collect.decoders import Decoders
from app.config import Settings
from app.errors import Conflict, NotFound
from app.export.datasets import layout_of
from app.export.jobs import ExportJobs, ExportProgress
from app.export.layout import Options
from app.store import captions, images
from app.store.db import read, write
from tests.drawing import project_with_images
from tests.routes.conftest import Html

pytestmark = pytest.mark.anyio

ReadHtml = Callable[[httpx.Response], Html]


@pytest.fixture
def filled(settings: Settings, store: Engine) -> int:
    """A project with three captioned images."""
    return project_with_images(settings, store, 3)


@contextmanager
def jobs_held(jobs: ExportJobs) -> Iterator[None]:
    """Keep the one thread of the exports busy, so that what is started meanwhile waits."""
    gate = Event()
    jobs._pool.submit(gate.wait)
    try:
        yield
    finally:
        gate.set()


async def until_over(app: FastAPI, project_id: int) -> None:
    """Wait until the export is over."""
    end = monotonic() + 30
    jobs: ExportJobs = app.state.exports
    while not ((reached := jobs.progress(project_id)) and reached.is_over):
        assert monotonic() < end
        await asyncio.sleep(0.02)


async def test_from_the_choice_to_the_zip(
    app: FastAPI, http: httpx.AsyncClient, filled: int, read_html: ReadHtml
) -> None:
    url = f"/projects/{filled}/export"
    page = read_html(await http.get(url))
    assert page.all("input", name="layout")[0].attrs["value"] == "kohya"
    assert "a cat, number 0" in page.one("table").text
    assert (await http.get(f"{url}/download")).status_code == 404
    begun = await http.post(url, data={"layout": "onetrainer", "leads_with_trigger": "1"})
    assert begun.status_code == 303
    await until_over(app, filled)
    over = await http.get(f"{url}/progress")
    assert "Ready for OneTrainer" in over.text
    got = await http.get(f"{url}/download")
    assert got.headers["content-type"] == "application/zip"
    assert "rdct-onetrainer.zip" in got.headers["content-disposition"]
    with zipfile.ZipFile(BytesIO(got.content)) as archive:
        assert archive.read("train-x1/cat-0.txt") == b"rdct, a cat, number 0"
        assert {"concepts.json", "manifest.jsonl"} <= set(archive.namelist())


async def test_the_preview_tells_what_ends_a_run(
    http: httpx.AsyncClient, store: Engine, htmx: dict[str, str], filled: int, read_html: ReadHtml
) -> None:
    with write(store) as session:
        row = images.training_rows(session, filled)[1]
        captions.save(session, row.id, "first\nsecond {a|b}", "you")
    url = f"/projects/{filled}/export/preview"
    part = read_html(await http.get(f"{url}?layout=kohya", headers=htmx))
    assert part.all("td")[0].text == row.name
    assert "Only the first line is read." in part.source
    lines = read_html(await http.get(f"{url}?layout=kohya&reads_all_lines=1", headers=htmx))
    assert "Only the first line" not in lines.source
    assert "second {a|b}" in lines.source
    assert "rdct first" in (await http.get(f"{url}?layout=ai-toolkit", headers=htmx)).text
    assert (await http.get(f"{url}?layout=zip", headers=htmx)).status_code == 422


async def test_nothing_to_export_and_one_at_a_time(
    app: FastAPI, http: httpx.AsyncClient, filled: int, project_id: int
) -> None:
    empty = await http.get(f"/projects/{project_id}/export")
    assert "No images yet" in empty.text
    refused = await http.post(f"/projects/{project_id}/export", data={"layout": "plain"})
    assert refused.status_code == 422
    assert "nothing to export" in refused.text
    await http.post(f"/projects/{filled}/export", data={"layout": "plain"})
    await until_over(app, filled)
    cancelled = await http.post(f"/projects/{filled}/export/cancel")
    assert cancelled.status_code == 303


@pytest.fixture
def decoders(settings: Settings) -> Iterator[Decoders]:
    """Two children and one for pages."""
    made = Decoders(settings, size=2)
    yield made
    made.close()


def over(jobs: ExportJobs, project_id: int) -> ExportProgress:
    """How the export ended."""
    end = monotonic() + 60
    while not ((reached := jobs.progress(project_id)) and reached.is_over):
        assert monotonic() < end
    return reached


def test_a_cancelled_or_broken_export_leaves_nothing(settings: Settings, engine: Engine, decoders: Decoders) -> None:
    project_id = project_with_images(settings, engine, 3)
    jobs = ExportJobs(settings, engine, decoders)
    with jobs_held(jobs):
        jobs.start(project_id, layout_of("plain"), Options())
        with pytest.raises(Conflict, match="under way"):
            jobs.start(project_id, layout_of("plain"), Options())
        jobs.cancel(project_id)
    jobs.close()
    first = jobs.progress(project_id)
    assert first is not None
    assert (first.is_over, first.was_cancelled, first.exported) == (True, True, None)
    with read(engine) as session:
        rows = images.training_rows(session, project_id)
    for row in rows:
        settings.blob(row.sha256, row.extension).unlink()
    again = ExportJobs(settings, engine, decoders)
    again.start(project_id, layout_of("plain"), Options())
    assert over(again, project_id).error.startswith(f"The original of {rows[0].name} is no longer")
    assert list((settings.data / "exports" / str(project_id)).glob("*")) == []
    with pytest.raises(NotFound):
        again.download(project_id)
    again.close()


async def test_a_bad_image_does_not_keep_the_others(
    app: FastAPI, http: httpx.AsyncClient, settings: Settings, store: Engine, filled: int, read_html: ReadHtml
) -> None:
    with read(store) as session:
        bad = images.training_rows(session, filled)[1]
    settings.blob(bad.sha256, bad.extension).write_bytes(b"\x89PNG damaged")
    await http.post(f"/projects/{filled}/export", data={"layout": "kohya"})
    await until_over(app, filled)
    part = read_html(await http.get(f"/projects/{filled}/export/progress"))
    assert "1 image could not be read and was left out" in part.source
    assert f"{bad.name} cannot be read any more" in part.one("li").text
    got = await http.get(f"/projects/{filled}/export/download")
    with zipfile.ZipFile(BytesIO(got.content)) as archive:
        assert sorted(name for name in archive.namelist() if name.endswith(".png")) == [
            "img/1_rdct/cat-0.png",
            "img/1_rdct/cat-2.png",
        ]
