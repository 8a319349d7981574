"""Frames as an import: names, what they inherit, what is said of each, again, undone, cancelled and gone on with."""

import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Engine, event, select

from app.collect import blobs
from app.collect.decoders import Decoders
from app.collect.films import Choice, Projector, checked, frame_name, frames_source, looked_at
from app.collect.frames import FrameWish
from app.collect.imports import ImportJobs, ImportProgress, take_file
from app.collect.refusals import Refused
from app.collect.sources import Clip, FramesSource, read_source
from app.config import Settings
from app.errors import Invalid
from app.store import animations, captions, images, imports, projects, provenance, splits, undo
from app.store.db import read, write
from app.store.images import ImageRow
from app.store.imports import Wanted
from app.store.models import Blob, Caption, ImportItem
from app.store.models import Image as ImageModel
from app.store.provenance import Provenance
from tests.collect import animations as drawings
from tests.collect import fixtures
from tests.collect.animations import noisy_film
from tests.collect.fixtures import noise
from tests.drawing import picture

EVERYTHING = Choice(skips_alike=False)


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Cats", "style", "", None).id


def taken(settings: Settings, engine: Engine, project_id: int, name: str, data: bytes) -> int:
    """Take a file in and return the image."""
    outcome = take_file(settings, engine, project_id, name, data)
    assert outcome.image_id is not None, outcome
    return outcome.image_id


def finished(jobs: ImportJobs, project_id: int) -> ImportProgress:
    """Wait until the project's import is over."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        progress = jobs.progress(project_id)
        if progress and progress.is_over:
            return progress
        threading.Event().wait(0.02)
    raise AssertionError("the import did not end")


def extract(settings: Settings, engine: Engine, ids: list[int], choice: Choice = EVERYTHING) -> ImportProgress:
    """Extract the frames of some images of one project, and wait for it."""
    with read(engine) as session:
        project_id = images.get(session, ids[0]).project_id
        source = frames_source(session, project_id, ids, choice)
    jobs = ImportJobs(settings, engine)
    jobs.start_source(project_id, source)
    progress = finished(jobs, project_id)
    jobs.close()
    return progress


def rows(engine: Engine, project_id: int) -> dict[str, ImageRow]:
    with read(engine) as session:
        return {row.name: row for row in images.training_rows(session, project_id)}


def report(engine: Engine, import_id: int) -> dict[str, ImportItem]:
    with read(engine) as session:
        return {item.name: item for item in imports.items(session, import_id, Wanted(limit=1000))}


@pytest.mark.parametrize(("suffix", "container"), [("png", "PNG"), ("webp", "WEBP"), ("tiff", "TIFF")])
def test_every_frame_comes_in_with_its_pixels(
    suffix: str, container: str, settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, f"cat.{suffix}", noisy_film(container, 3))
    before = rows(engine, project_id)[f"cat.{suffix}"]
    progress = extract(settings, engine, [film])
    assert (progress.total, progress.added, progress.refused_count) == (3, 3, 0)
    found = rows(engine, project_id)
    assert found.pop(f"cat.{suffix}") == before
    assert list(found) == ["cat-frame-001.png", "cat-frame-002.png", "cat-frame-003.png"]
    for number, row in enumerate(found.values()):
        original = blobs.blob_path(settings, row.sha256, row.extension).read_bytes()
        with Image.open(BytesIO(original)) as frame:
            assert (frame.format, frame.tobytes()) == ("PNG", noise(500 + number, 64, 48).tobytes())
        assert blobs.thumb_path(settings, row.sha256).stat().st_size > 0
    with read(engine) as session:
        assert {each.parent_id for each in provenance.of_project(session, project_id).values()} == {None, film}


def test_a_gif_keeps_its_holes_and_the_project_is_asked_about_them(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, "cat.gif", drawings.drawn_gif())
    extract(settings, engine, [film])
    with Image.open(blobs.blob_path(settings, rows(engine, project_id)["cat-frame-003.png"].sha256, "png")) as frame:
        assert tuple(frame.convert("RGBA").getpixel(spot) for spot in drawings.SPOTS) == drawings.GIF_SHOWS[2]
    assert report(engine, 1)["cat-frame-003.png"].code == "F05"


def test_frames_inherit_where_they_came_from_and_on_which_side_they_stand(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, "cat.webp", noisy_film("WEBP", 2))
    told: provenance.Change = {
        "source": "https://example.org/cat",
        "author": "Ada",
        "licence": "CC0",
        "collected_on": "2024-05-01",
        "no_ai": True,
    }
    with write(engine) as session:
        provenance.set_many(session, project_id, [film], told, "you")
        splits.set_split(session, project_id, [film], "held-out", "you")
        captions.save(session, film, "a cat", "you")
    extract(settings, engine, [film])
    frame = rows(engine, project_id)["cat-frame-002.png"]
    assert (frame.split, frame.caption, frame.repeats) == ("held-out", None, 1)
    with read(engine) as session:
        assert provenance.get(session, frame.id) == provenance.Provenance(**told, parent_id=film)


def test_the_caption_comes_along_only_when_it_is_wanted_bytes_and_all(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, "cat.webp", noisy_film("WEBP", 2))
    take_file(settings, engine, project_id, "cat.txt", b"\xef\xbb\xbfa cat\r\n")
    extract(settings, engine, [film], Choice(takes_caption=True, skips_alike=False))
    with read(engine) as session:
        kept = session.scalars(select(Caption).order_by(Caption.image_id)).all()
    assert [(each.text, each.raw, each.came_from) for each in kept] == [
        ("a cat\r\n", b"\xef\xbb\xbfa cat\r\n", "cat.txt")
    ] * 3


def test_again_adds_only_what_is_new_and_every_second_frame_is_every_second(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, "cat.png", noisy_film("PNG", 6))
    first = extract(settings, engine, [film], Choice(every=2, most=2, skips_alike=False))
    assert (first.added, list(report(engine, first.id))) == (2, ["cat-frame-001.png", "cat-frame-003.png"])
    second = extract(settings, engine, [film])
    assert (second.added, second.known) == (4, 2)
    assert report(engine, second.id)["cat-frame-003.png"].message == "It was in the project already."


def test_what_is_nearly_the_same_is_in_the_report_and_not_in_the_project(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, "cat.webp", fixtures.film("WEBP"))
    progress = extract(settings, engine, [film], Choice())
    assert (progress.added, progress.known, progress.refused_count) == (2, 1, 0)
    first = report(engine, progress.id)["cat-frame-001.png"]
    assert (first.outcome, first.code) == ("known", "alike")
    assert list(rows(engine, project_id)) == ["cat.webp", "cat-frame-002.png", "cat-frame-003.png"]


def test_names_never_collide(settings: Settings, engine: Engine, project_id: int) -> None:
    names = ("猫.gif", "猫.webp", "猫.GIF", "犬.png")
    films = [
        taken(settings, engine, project_id, name, noisy_film("PNG", 2, 600 + 10 * place))
        for place, name in enumerate(names)
    ]
    taken(settings, engine, project_id, "犬-frame-001.png", picture(9))
    progress = extract(settings, engine, films)
    assert progress.added == 8
    found = rows(engine, project_id)
    assert len(found) == 13
    stems = {name.partition("-frame-")[0] for name in found if "-frame-" in name}
    assert stems == {"猫", "猫-webp", "猫-GIF", "犬", "犬-png"}
    # The same again by themselves keep the names that they have.
    assert extract(settings, engine, films[1:]).added == 0


def test_the_names_of_many_animations_are_settled_by_one_look(engine: Engine, project_id: int) -> None:
    facts = '{"frames": 9}'
    with write(engine) as session:
        for place, name in enumerate(
            ("Cat.gif", "cat.webp", "cat-frame-2.gif", "dog.gif", "dog-frame-frame-1.png", "dog-frame.gif"), 1
        ):
            extension = name.rpartition(".")[2]
            blob = Blob(sha256=f"{place:064x}", extension=extension, size_bytes=9, width_px=9, height_px=9)
            blob.facts = None if extension == "png" else facts
            image = ImageModel(id=place, project_id=project_id, sha256=blob.sha256, name=name, name_key=name.lower())
            image.added_us = 1
            session.add_all([blob, image])
            session.flush()
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    with read(engine) as session:
        chosen = animations.animations(session, project_id)
        asked.clear()
        stems = animations.frame_stems(session, project_id, chosen)
    assert stems == ["Cat-gif", "cat-webp", "cat-frame-2", "dog-gif", "dog-frame-gif"]
    assert len([each for each in asked if each.startswith("SELECT")]) == 1


def test_names_sort_as_their_frames_follow(settings: Settings, engine: Engine, project_id: int) -> None:
    with read(engine) as session:
        animation = animations.Animation(1, project_id, "a.gif", "0" * 64, "gif", 12_345, "train", Provenance())
        assert animations.frame_stems(session, project_id, [animation, animation]) == ["a", "a-gif"]
    assert list(looked_at(10, Choice(every=4, most=100))) == [1, 5, 9]
    assert list(looked_at(10, Choice(every=1, most=3))) == [1, 2, 3]


def test_a_cut_film_gives_its_whole_frames_and_names_the_other(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    data = noisy_film("GIF")
    film = taken(settings, engine, project_id, "cat.gif", data[: int(len(data) * 0.7)])
    progress = extract(settings, engine, [film])
    assert (progress.added, progress.refused_count) == (4, 1)
    (bad,) = [item for item in report(engine, progress.id).values() if item.outcome == "refused"]
    assert (bad.name, bad.code) == ("cat-frame-005.png", "F01")
    assert "Frame 5 cannot be read: it is cut off" in bad.message
    assert bad.hint


def test_undo_takes_all_frames_out_and_redo_brings_them_back(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    film = taken(settings, engine, project_id, "cat.webp", noisy_film("WEBP", 3))
    extract(settings, engine, [film])
    assert len(rows(engine, project_id)) == 4
    with write(engine) as session:
        undo.undo(session, project_id, "you")
    assert list(rows(engine, project_id)) == ["cat.webp"]
    with write(engine) as session:
        undo.redo(session, project_id, "you")
    assert len(rows(engine, project_id)) == 4


def test_it_goes_on_after_a_restart_with_the_same_frames(settings: Settings, engine: Engine, project_id: int) -> None:
    film = taken(settings, engine, project_id, "cat.png", noisy_film("PNG", 120))
    with read(engine) as session:
        source = frames_source(session, project_id, [film], Choice(most=120))
    first = ImportJobs(settings, engine)
    import_id = first.start_source(project_id, source)
    deadline = time.monotonic() + 60
    while not report(engine, import_id) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    first.close()
    with read(engine) as session:
        assert (imports.get(session, import_id).status, 0 < imports.get(session, import_id).done < 120) == (
            "running",
            True,
        )
    second = ImportJobs(settings, engine)
    second.resume()
    progress = finished(second, project_id)
    second.close()
    assert (progress.done, progress.total, progress.added, progress.known) == (120, 120, 119, 1)
    assert len(rows(engine, project_id)) == 120


def test_cancelled_it_keeps_what_came_and_goes_on(settings: Settings, engine: Engine, project_id: int) -> None:
    film = taken(settings, engine, project_id, "cat.png", noisy_film("PNG", 120))
    with read(engine) as session:
        source = frames_source(session, project_id, [film], Choice(most=120))
    jobs = ImportJobs(settings, engine)
    import_id = jobs.start_source(project_id, source)
    deadline = time.monotonic() + 60
    while not report(engine, import_id) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    jobs.cancel(project_id)
    progress = finished(jobs, project_id)
    assert progress.was_cancelled
    assert 0 < progress.done < 120
    jobs.go_on(import_id)
    assert finished(jobs, project_id).added == 119
    jobs.close()


def test_an_animation_that_was_removed_meanwhile_is_one_refusal(
    settings: Settings, engine: Engine, project_id: int
) -> None:
    films = [taken(settings, engine, project_id, f"{n}.webp", noisy_film("WEBP", 2, 700 + 9 * n)) for n in (1, 2)]
    with read(engine) as session:
        source = frames_source(session, project_id, films, EVERYTHING)
    with write(engine) as session:
        images.remove(session, films[0], "you")
    jobs = ImportJobs(settings, engine)
    jobs.start_source(project_id, source)
    progress = finished(jobs, project_id)
    jobs.close()
    assert (progress.added, progress.refused_count) == (2, 1)
    assert "1.webp is no longer in the project" in progress.refused[0].reason


def test_the_child_that_has_a_film_open_goes_on_with_it(settings: Settings, tmp_path: Path) -> None:
    settings.make_folders()
    path, fox = tmp_path / "film", tmp_path / "fox.png"
    path.write_bytes(noisy_film("PNG", 3))
    fox.write_bytes(picture(1))
    decoders = Decoders(settings, size=2)
    for number in (1, 2, 3):
        decoders.frame(path, f"{number}.png", FrameWish(number=number, skips_alike=False))
        decoders.measure(fox, "fox.png")
        assert decoders.open_films == [path]
    decoders.close()
    assert decoders.open_films == []


def test_behind_a_frame_that_no_decoder_survives_none_is_tried(settings: Settings) -> None:
    settings.make_folders()
    clip = Clip(image_id=1, name="a.gif", sha256="0" * 64, extension="gif", frames=9, stem="a")
    # No child is up so soon.
    decoders = Decoders(settings, size=1, time_limit_s=0.01)
    projector = Projector(decoders, settings, clip, EVERYTHING)
    with pytest.raises(Refused, match=r"a-frame-001\.png took longer"):
        projector.frame(1, frame_name(clip, 1))
    decoders.close()
    with pytest.raises(Refused, match="Frame 2 lies behind frame 1, which no decoder survived"):
        projector.frame(2, frame_name(clip, 2))


def test_a_choice_that_makes_no_sense_names_its_field(settings: Settings, engine: Engine, project_id: int) -> None:
    for choice, field in ((Choice(every=0), "every"), (Choice(most=0), "most"), (Choice(most=10_001), "most")):
        with pytest.raises(Invalid) as refused:
            checked(choice)
        assert refused.value.field == field
    still = taken(settings, engine, project_id, "cat.png", picture(1))
    with read(engine) as session, pytest.raises(Invalid, match="None of these images is an animation"):
        frames_source(session, project_id, [still], Choice())


def test_it_is_remembered_whole(settings: Settings, engine: Engine, project_id: int) -> None:
    film = taken(settings, engine, project_id, "cat.png", noisy_film("PNG", 2))
    with read(engine) as session:
        source = frames_source(session, project_id, [film], Choice(every=3, takes_caption=True))
        assert animations.frame_counts(session, [film, 99]) == {film: 2}
        assert session.get(ImageModel, film) is not None
    assert isinstance(source, FramesSource)
    assert (read_source(source.model_dump_json()), source.label) == (source, "frames of cat.png")
