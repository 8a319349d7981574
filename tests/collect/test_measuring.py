"""Measuring anew: originals that came in before bars were looked for get what is measured today, and nothing else."""

from io import BytesIO

import pytest
from PIL import Image
from sqlalchemy import Engine, update

from app.collect.blobs import blob_path
from app.collect.facts import PictureFacts
from app.collect.imports import ImportJobs, ImportProgress, take_file
from app.collect.measuring import waiting
from app.collect.sources import MeasureSource
from app.config import Settings
from app.inspect.findings import Finding
from app.inspect.reading import read_facts
from app.inspect.rules import inspect
from app.store import images, imports, measures, projects
from app.store.db import read, write
from app.store.imports import Wanted
from app.store.models import Blob
from tests.collect.test_jobs import finished
from tests.drawing import picture


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def film() -> bytes:
    """A noisy picture between black bars of 30 pixels."""
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    image.paste("black", (0, 0, 300, 30))
    image.paste("black", (0, 170, 300, 200))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def of_old(engine: Engine) -> None:
    """Take away what earlier studios did not measure."""
    with write(engine) as session:
        session.execute(update(Blob).values(facts='{"container":"PNG","mode":"RGB","sharpness":9.5}'))


def facts_of(engine: Engine, sha256: str) -> PictureFacts:
    with read(engine) as session:
        return PictureFacts.model_validate_json(measures.facts_of(session, sha256) or "{}")


def test_old_originals_are_named_then_measured(settings: Settings, engine: Engine, project_id: int) -> None:
    take_file(settings, engine, project_id, "film.png", film())
    take_file(settings, engine, project_id, "plain.png", picture(1))
    take_file(settings, engine, project_id, "gone.png", picture(2))
    of_old(engine)
    with read(engine) as session:
        before, gone = images.training_rows(session, project_id), images.starting_with(session, project_id, "gone")[0]
        found = [each for each in inspect(read_facts(session, settings, project_id)) if each.rule == "unmeasured"]
    assert "3 images" in found[0].reason
    assert found[0].href == f"/projects/{project_id}/imports"
    blob_path(settings, gone.sha256, gone.extension).unlink()
    jobs = ImportJobs(settings, engine)
    try:
        import_id = jobs.start_source(project_id, MeasureSource(project_id=project_id))
        progress = finished(jobs, project_id)
    finally:
        jobs.close()
    assert (progress.added, progress.known, progress.refused_count) == (0, 2, 1)
    assert facts_of(engine, before[0].sha256).bars == pytest.approx((0, 0.15, 0, 0.15))
    assert facts_of(engine, before[1].sha256).bars == (0, 0, 0, 0)
    with read(engine) as session:
        assert images.training_rows(session, project_id) == before
        assert waiting(session, settings, project_id) == []
        items = imports.items(session, import_id, Wanted("known", limit=10))
        findings = inspect(read_facts(session, settings, project_id))
    rules = {each.rule: each.name for each in findings}
    assert [item.image_id for item in items] == [before[0].id, before[1].id]
    assert (rules["bars"], rules["original-missing"]) == ("film.png", "gone.png")
    assert not {"unmeasured", "original-unreadable"} & rules.keys()


def test_an_image_that_was_removed_meanwhile_stays_away(settings: Settings, engine: Engine, project_id: int) -> None:
    image_id = take_file(settings, engine, project_id, "film.png", film()).image_id
    of_old(engine)
    assert image_id is not None
    with write(engine) as session:
        images.remove(session, image_id, "you")
    jobs = ImportJobs(settings, engine)
    try:
        jobs.measure(project_id, image_id)
        jobs.start_source(project_id, MeasureSource(project_id=project_id))
        assert finished(jobs, project_id).total == 0
    finally:
        jobs.close()
    with read(engine) as session:
        assert images.training_rows(session, project_id) == []


def test_the_same_file_once_more_brings_what_was_not_measured(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    data = film()
    take_file(settings, engine, project_id, "film.png", data)
    of_old(engine)
    assert take_file(settings, engine, project_id, "film.png", data).status == "known"
    with read(engine) as session:
        assert waiting(session, settings, project_id) == []


def measure_all(settings: Settings, engine: Engine, project_id: int) -> ImportProgress:
    """Look at what is not measured, and say how that ended."""
    jobs = ImportJobs(settings, engine)
    try:
        jobs.start_source(project_id, MeasureSource(project_id=project_id))
        return finished(jobs, project_id)
    finally:
        jobs.close()


def unreadable(settings: Settings, engine: Engine, project_id: int) -> list[Finding]:
    with read(engine) as session:
        found = inspect(read_facts(session, settings, project_id))
    return [each for each in found if each.rule in ("original-unreadable", "unmeasured")]


def test_a_damaged_original_is_named_once_and_adding_it_again_puts_it_right(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    data = film()
    image_id = take_file(settings, engine, project_id, "film.png", data).image_id
    of_old(engine)
    with read(engine) as session:
        (row,) = images.training_rows(session, project_id)
    blob_path(settings, row.sha256, row.extension).write_bytes(data[:2000])
    assert measure_all(settings, engine, project_id).refused_count == 1
    (finding,) = unreadable(settings, engine, project_id)
    assert (finding.rule, finding.severity, finding.name, finding.image_id) == (
        "original-unreadable", "error", "film.png", image_id,
    )  # fmt: skip
    assert finding.reason.startswith("It cannot be read as an image: it is cut off (")
    assert "Add the same file again" in finding.fix
    assert facts_of(engine, row.sha256).sharpness == 9.5
    assert measure_all(settings, engine, project_id).total == 0
    assert take_file(settings, engine, project_id, "film.png", data).status == "known"
    assert blob_path(settings, row.sha256, row.extension).read_bytes() == data
    assert unreadable(settings, engine, project_id) == []
    assert facts_of(engine, row.sha256).bars == pytest.approx((0, 0.15, 0, 0.15))


def test_a_file_that_is_put_back_is_looked_at_again(settings: Settings, engine: Engine, project_id: int) -> None:
    data = film()
    take_file(settings, engine, project_id, "film.png", data)
    of_old(engine)
    with read(engine) as session:
        (row,) = images.training_rows(session, project_id)
    original = blob_path(settings, row.sha256, row.extension)
    original.unlink()
    assert measure_all(settings, engine, project_id).refused_count == 1
    assert unreadable(settings, engine, project_id) == []
    original.write_bytes(data)
    assert [each.rule for each in unreadable(settings, engine, project_id)] == ["unmeasured"]
    assert measure_all(settings, engine, project_id).known == 1
    assert unreadable(settings, engine, project_id) == []
