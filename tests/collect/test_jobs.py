"""Imports as jobs: gone on with after a restart, hostile archives, broken files among good ones, memory."""

import shutil
import threading
import time
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app.collect import blobs
from app.collect.imports import ImportJobs, ImportProgress, folder_of
from app.collect.outcomes import question_of
from app.collect.sources import PathSource, ZipSource, read_source
from app.config import Settings
from app.store import images, imports, projects
from app.store.db import read, write
from app.store.imports import Wanted
from app.store.models import Blob, Caption, Image, ImportItem, Suggestion
from tests.collect import fixtures
from tests.collect.fixtures import encoded, noise
from tests.drawing import picture


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def finished(jobs: ImportJobs, project_id: int) -> ImportProgress:
    """Wait until the project's import is over."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        progress = jobs.progress(project_id)
        if progress and progress.is_over:
            return progress
        threading.Event().wait(0.02)
    raise AssertionError("the import did not end")


def import_all(settings: Settings, engine: Engine, project_id: int, path: Path) -> ImportProgress:
    """Import a folder or archive."""
    jobs = ImportJobs(settings, engine)
    jobs.start(project_id, [path])
    progress = finished(jobs, project_id)
    jobs.close()
    return progress


def report(engine: Engine, import_id: int = 1) -> dict[str, ImportItem]:
    with read(engine) as session:
        return {item.name: item for item in imports.items(session, import_id, Wanted(limit=1000))}


def test_bad_files_are_rows_and_the_others_come_in(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for bad in fixtures.bad_files():
        (folder / bad.name).write_bytes(bad.data)
    for seed in range(5):
        (folder / f"good-{seed}.png").write_bytes(encoded(noise(seed)))
    progress = import_all(settings, engine, project_id, folder)
    assert (progress.added, progress.refused_count) == (5, len(fixtures.bad_files()))
    rows = report(engine)
    assert {name: item.code for name, item in rows.items() if item.outcome == "refused"} == {
        bad.name: bad.code for bad in fixtures.bad_files()
    }
    assert all(item.hint for item in rows.values() if item.outcome == "refused")


def test_caption_bytes_encodings_and_origins_are_kept(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for seed, (name, data) in enumerate(fixtures.CAPTIONS.items()):
        (folder / f"{name}.png").write_bytes(encoded(noise(seed)))
        (folder / f"{name}.txt").write_bytes(data)
    import_all(settings, engine, project_id, folder)
    with read(engine) as session:
        joined = select(Image.name, Caption).join(Caption, Caption.image_id == Image.id)
        kept = {name: caption for name, caption in session.execute(joined)}
    assert {name.removesuffix(".png"): caption.raw for name, caption in kept.items()} == fixtures.CAPTIONS
    assert (kept["sjis.png"].encoding, kept["gbk.png"].encoding) == ("cp932", "gb18030")
    assert (kept["bom.png"].text, kept["latin.png"].text) == ("sks, café", "café crème")
    assert kept["crlf.png"].came_from == "crlf.txt"
    assert "Japanese" in report(engine)["sjis.png"].message


def test_captions_that_say_nothing_or_are_no_text_are_told(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    captions = {"empty": b"", "blank": b"   \n", "nul": b"a\x00b", "guess": "café".encode("cp1252")}
    for seed, (name, data) in enumerate(captions.items()):
        (folder / f"{name}.png").write_bytes(encoded(noise(seed)))
        (folder / f"{name}.txt").write_bytes(data)
    import_all(settings, engine, project_id, folder)
    told = {name: (item.outcome, item.code, item.message) for name, item in report(engine).items()}
    assert told == {
        "empty.png": ("added", "F09", "empty.txt is empty."),
        "blank.png": ("added", "F09", "blank.txt is empty."),
        "nul.png": ("added", "F10", "nul.txt is not a text file. Save the caption as plain text in UTF-8."),
        "guess.png": ("added", "F10", "guess.txt was read as Western (Windows-1252). Check its letters."),
    }
    with read(engine) as session:
        words = {row.name: row.caption for row in images.training_rows(session, project_id)}
    assert words == {"empty.png": "", "blank.png": "   \n", "nul.png": None, "guess.png": "café"}


def test_a_caption_by_full_name_stands_before_one_by_stem(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    (folder / "b.png").write_bytes(encoded(noise(), "JPEG"))
    (folder / "a.png.txt").write_text("by its full name")
    (folder / "a.txt").write_text("by its stem")
    import_all(settings, engine, project_id, folder)
    rows = report(engine)
    assert (rows["b.png"].outcome, rows["b.png"].code) == ("added", "F02")
    assert rows["a.png"].outcome == "question"
    assert [(choice.text, choice.came_from, choice.is_current) for choice in question_of(rows["a.png"]).choices] == [
        ("by its full name", "a.png.txt", True),
        ("by its stem", "a.txt", False),
    ]
    with read(engine) as session:
        assert images.training_rows(session, project_id)[0].caption == "by its full name"


def test_odd_names_never_collide(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    told = fixtures.write_odd_names(tmp_path / "odd")
    import_all(settings, engine, project_id, tmp_path / "odd")
    with read(engine) as session:
        assert {row.name: row.caption for row in images.training_rows(session, project_id)} == told


def test_two_captions_become_a_question_also_for_equal_pictures(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(picture(1))
        (folder / f"{name}.txt").write_text(f"words of {name}")
    import_all(settings, engine, project_id, folder)
    rows = report(engine)
    assert (rows["a.png"].outcome, rows["b.png"].outcome) == ("added", "question")
    assert [choice.text for choice in question_of(rows["b.png"]).choices] == ["words of a", "words of b"]


def test_a_broken_off_import_goes_on_after_a_restart(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for seed in range(250):
        (folder / f"{seed:03d}.png").write_bytes(picture(seed, 64 + seed, 64))
    first = ImportJobs(settings, engine)
    import_id = first.start(project_id, [folder])
    deadline = time.monotonic() + 60
    while not report(engine) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    first.close()
    with read(engine) as session:
        row = imports.get(session, import_id)
    assert row.status == "running"
    assert 0 < row.done < 250
    second = ImportJobs(settings, engine)
    second.resume()
    progress = finished(second, project_id)
    second.close()
    assert (progress.done, progress.total, progress.added) == (250, 250, 250)
    assert len(report(engine)) == 250


def test_a_hostile_archive_comes_in_as_far_as_it_is_harmless(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    fixtures.hostile_zip(tmp_path / "evil.zip")
    outside = {path for path in tmp_path.rglob("*") if settings.data not in path.parents}
    progress = import_all(settings, engine, project_id, tmp_path / "evil.zip")
    assert (progress.added, progress.refused_count) == (8, 4)
    assert {path for path in tmp_path.rglob("*") if settings.data not in path.parents} == outside
    assert not (folder_of(settings, progress.id) / "files").exists()
    with read(engine) as session:
        assert {"Twin.png", "twin.png", "猫.png"} <= {row.name for row in images.training_rows(session, project_id)}


def test_masks_and_numbers_come_along(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "6_fox.zip", "w") as made:
        made.writestr("a.png", encoded(noise(1)))
        made.writestr("a-masklabel.png", encoded(noise(2, 32, 24)))
    import_all(settings, engine, project_id, tmp_path / "6_fox.zip")
    with read(engine) as session:
        (row,) = images.training_rows(session, project_id)
        mask = session.get(Blob, row.recipe.mask)
    assert row.repeats == 6
    assert mask is not None
    assert (mask.width_px, mask.height_px) == (row.width_px, row.height_px)
    assert blobs.blob_path(settings, mask.sha256, "png").is_file()


def test_a_prompt_in_the_file_is_offered_and_not_taken(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    image = noise(1)
    info = fixtures.text_chunk("parameters", "a red fox\nNegative prompt: blurry\nSteps: 20")
    (tmp_path / "a.png").write_bytes(encoded(image, pnginfo=info))
    import_all(settings, engine, project_id, tmp_path / "a.png")
    with read(engine) as session:
        (row,) = images.training_rows(session, project_id)
        (offered,) = session.scalars(select(Suggestion)).all()
    assert (row.caption, offered.text, offered.kind, offered.state) == (None, "a red fox", "caption", "open")


def test_an_archive_that_is_none_says_so(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    progress = import_all(settings, engine, project_id, tmp_path / "a.zip")
    assert progress.has_failed
    assert "a.zip is no whole zip archive" in progress.refused[0].reason


def test_what_went_away_meanwhile_is_told(settings: Settings, engine: Engine, project_id: int, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    progress = import_all(settings, engine, project_id, folder)
    shutil.rmtree(folder)
    jobs = ImportJobs(settings, engine)
    jobs.retry(progress.id, ["a.png"])
    after = finished(jobs, project_id)
    jobs.close()
    rows = report(engine)
    assert "it is no longer there" in rows["the import"].message
    assert rows["a.png"].outcome == "refused"
    assert (after.done, after.total, after.has_failed) == (1, 1, False)


def test_sources_survive_being_remembered(tmp_path: Path) -> None:
    for source in (PathSource.of([tmp_path / "\udcff"]), ZipSource.of(tmp_path / "a.zip")):
        assert read_source(source.model_dump_json()) == source
