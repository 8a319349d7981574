"""What is left of the fixture pack: odd names, folders and sizes, and art that only looks blurred."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine

from app.collect.archives import unpack
from app.collect.facts import PictureFacts
from app.collect.files import found_under
from app.collect.gather import read_sidecars
from app.collect.imports import import_paths, take_file
from app.collect.layouts import read as read_layout
from app.collect.measures import measure
from app.collect.phash import distance, hashes
from app.collect.pictures import notes_on
from app.config import Settings
from app.inspect.rules import Facts, inspect
from app.store import captions, images, projects
from app.store.db import read, write
from app.store.images import ImageRow
from tests.collect import fixtures
from tests.collect.fixtures import encoded, noise

PNG = encoded(noise(1, 16, 16))


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def captions_of(engine: Engine, project_id: int) -> dict[str, str | None]:
    with read(engine) as session:
        return {row.name: row.caption for row in images.training_rows(session, project_id)}


def test_a_hundred_million_pixels_are_warned_of() -> None:
    facts = PictureFacts(container="PNG", mode="1")
    assert [note.code for note in notes_on("a.png", facts, 10_000 * 10_000)] == ["F07"]
    assert notes_on("a.png", facts, 8_000 * 8_000) == ()


def test_an_archive_of_an_old_program_keeps_its_names(tmp_path: Path) -> None:
    archive = tmp_path / "old.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("f#chse.png", PNG)
    archive.write_bytes(archive.read_bytes().replace(b"f#chse", "füchse".encode("cp437")))
    assert [found.rel.name for found in unpack(archive, tmp_path / "files", "old.zip").found] == ["füchse.png"]


def test_names_that_only_begin_alike_or_end_oddly(tmp_path: Path) -> None:
    words = {
        "img.txt": "of another",
        "img_1_2_3_4.txt": "its own",
        "dot..txt": "two dots",
        "space .txt": "a space before",
        "a.png.txt": "of the png",
        "a.txt": "of both",
    }
    for name, text in words.items():
        (tmp_path / name).write_text(text)
    for name in ("img_1_2_3_4.png", "dot..png", "space .png", "a.png", "a.jpg"):
        (tmp_path / name).write_bytes(PNG)
    found = {
        entry.picture.rel.name: [each.text for each in read_sidecars(entry.sidecars, entry.given)[0]]
        for entry in read_layout(found_under([tmp_path]).found).entries
    }
    assert found == {
        "img_1_2_3_4.png": ["its own"],
        "dot..png": ["two dots"],
        "space .png": ["a space before"],
        "a.png": ["of the png", "of both"],
        "a.jpg": ["of both"],
    }


FOLDERS = ("10_[artist] naïve 画像", "ümlaut", "with spaces ", "hash#%20&", "[x]", "a" * 120)


def test_odd_folders_come_in_with_their_captions(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    for seed, folder in enumerate(FOLDERS):
        place = tmp_path / "set" / folder / ("b" * 130 if len(folder) > 100 else "c")
        place.mkdir(parents=True)
        (place / f"{seed}.png").write_bytes(encoded(noise(seed)))
        (place / f"{seed}.txt").write_text(f"words of {folder}", "utf-8")
    outcomes: list[str] = []
    import_paths(
        settings, engine, project_id, [tmp_path / "set"], on_outcome=lambda each, _: outcomes.append(each.status)
    )
    assert set(outcomes) == {"added"}
    assert captions_of(engine, project_id) == {f"{n}.png": f"words of {folder}" for n, folder in enumerate(FOLDERS)}


def test_a_caption_that_another_program_changed_replaces_no_words(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    own = tmp_path / "set"
    own.mkdir()
    (own / "a.png").write_bytes(PNG)
    take_file(settings, engine, project_id, "a.png", PNG)
    take_file(settings, engine, project_id, "a.txt", b"as it was")
    with write(engine) as session:
        (row,) = images.training_rows(session, project_id)
        captions.save(session, row.id, "written here", "you")
    (own / "a.txt").write_text("written elsewhere")
    outcomes: list[str] = []
    import_paths(settings, engine, project_id, [own], on_outcome=lambda each, _: outcomes.append(each.status))
    assert outcomes == ["question"]
    assert captions_of(engine, project_id) == {"a.png": "written here"}
    assert (own / "a.txt").read_text() == "written elsewhere"


def test_another_costume_is_a_pair_to_look_at_and_not_the_same_file() -> None:
    one = dict(fixtures.same_picture())["as it is"]
    other = one.copy()
    other.paste((200, 40, 40), (300, 260, 380, 330))
    assert 0 < distance(hashes(one)[0], hashes(other)[0]) <= 10


def test_pixel_art_and_vector_art_are_not_called_blurred(tmp_path: Path) -> None:
    original = tmp_path / "original.png"
    original.touch()
    pixel_art = Image.fromarray(np.random.default_rng(3).integers(0, 4, (32, 32), dtype=np.uint8) * 80)
    vector_art = Image.new("RGB", (512, 512), "white")
    vector_art.paste("teal", (120, 90, 400, 420))
    soft = noise(4, 16, 16).resize((512, 512), Image.Resampling.BICUBIC)
    rows = [ImageRow(n, 1, f"{n}.png", f"{n:064d}", "png", 512, 512, 1, f"a cat, number {n}") for n in range(12)]
    facts = Facts(rows, [original] * 12, "rdct", 512, 64)

    def blurred(picture: Image.Image) -> bool:
        plain = PictureFacts(container="PNG", mode="RGB").model_copy(update=vars(measure(picture.convert("RGB"))))
        with_facts = replace(facts, measures={rows[3].sha256: plain})
        return any(finding.code == "Q03" for finding in inspect(with_facts))

    assert [blurred(each) for each in (pixel_art.resize((512, 512), 0), vector_art, soft)] == [False, False, True]


def test_the_list_of_what_is_tested_names_real_tests() -> None:
    told = re.findall(r"^- .* (\S+\.py)::(\w+)$", fixtures.__doc__ or "", re.MULTILINE)
    tests = Path(__file__).parents[1]
    assert len(told) > 50
    assert [name for file, name in told if f"def {name}(" not in (tests / file).read_text("utf-8")] == []
