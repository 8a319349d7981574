"""From the store to items: bytes that came in, the version of the words, masks, provenance; and what is told before."""

from pathlib import Path

from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.export.datasets import layout_of
from app.export.items import read_items, read_options
from app.export.layout import Parent
from app.export.pictures import has_mask, is_ready, mask_bytes, picture_bytes
from app.export.preview import preview
from app.export.words import kept_bytes, leaving
from app.store import captions, history, images, projects, provenance, undo
from app.store.db import read, write
from app.store.images import NewImage
from tests.drawing import picture, project_with_images
from tests.export.parts import dots, encoded, item_of


def test_words_leave_as_they_came_until_somebody_edits_them(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Red fox", "character", "rd fx", None).id
    take_file(settings, engine, project_id, "a.png", picture(1))
    take_file(settings, engine, project_id, "a.txt", "café, x\r\n".encode("cp1252"))
    with read(engine) as session:
        (item,) = read_items(session, settings, project_id)
        options = read_options(session, project_id)
    assert (options.word, options.trigger_word, options.resolution_px) == ("rd-fx", "rd fx", 512)
    assert item.original.is_file()
    assert kept_bytes(item) == leaving(item, options) == "café, x\r\n".encode("cp1252")
    with write(engine) as session:
        captions.save(session, item.row.id, "edited", "you")
        provenance.set_many(session, project_id, [item.row.id], {"licence": "CC0-1.0"}, "you")
        newest = max(entry.id for entry in history.entries(session, project_id) if entry.noun == "caption")
    with read(engine) as session:
        (item,) = read_items(session, settings, project_id)
    assert leaving(item, options) == b"edited"
    assert (item.provenance.licence, item.caption_version) == ("CC0-1.0", newest)


def test_who_added_an_image_and_what_it_was_made_from(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Red fox", "character", "rd fx", None).id
        film, gone = [
            images.add(session, project_id, NewImage(sha * 64, "gif", 1, 8, 8, f"猫-{sha}.gif"), None, "Zoë")[0].id
            for sha in "ab"
        ]
        for sha, parent_id in (("c", film), ("d", gone), ("e", 999)):
            origin = provenance.Provenance(parent_id=parent_id)
            frame = NewImage(sha * 64, "png", 1, 8, 8, f"{sha}.png", origin=origin)
            images.add(session, project_id, frame, None, "you")
        images.remove(session, gone, "Zoë")
    with read(engine) as session:
        items = read_items(session, settings, project_id)
    assert [(item.row.name, item.by, item.parent) for item in items] == [
        ("猫-a.gif", "Zoë", None),
        ("c.png", "", Parent("猫-a.gif", "a" * 64)),
        ("d.png", "", Parent("猫-b.gif", "b" * 64)),
        ("e.png", "", None),
    ]


def test_whoever_brings_an_image_back_did_not_add_it(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 1)
    with write(engine) as session:
        (row,) = images.training_rows(session, project_id)
        images.remove(session, row.id, "Bob")
        undo.undo(session, project_id, "Bob")
    with read(engine) as session:
        (item,) = read_items(session, settings, project_id)
    assert item.by == ""


def test_the_preview(settings: Settings, engine: Engine) -> None:
    project_id = project_with_images(settings, engine, 20)
    with write(engine) as session:
        rows = images.training_rows(session, project_id)
        captions.save(session, rows[7].id, "one\ntwo", "you")
        provenance.set_many(session, project_id, [rows[1].id], {"no_ai": True}, "you")
    with read(engine) as session:
        items = read_items(session, settings, project_id)
        seen = preview(items, layout_of("kohya"), read_options(session, project_id))
    assert (seen.images, seen.fatal, seen.problems, len(seen.lines)) == (20, 0, 1, 12)
    assert seen.lines[0].row.name == "cat-7.png"
    assert any("no AI" in note for note in seen.notes)


def test_what_needs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(dots(1)))
    plain = item_of(path, width_px=8, height_px=6)
    assert is_ready(plain)
    assert picture_bytes(plain, "png", frozenset({"png"}), keeps_bytes=False) == ("png", path.read_bytes(), (8, 6))
    assert picture_bytes(plain, "png", frozenset(), keeps_bytes=False)[2] == (8, 6)
    assert not has_mask(plain)
    assert mask_bytes(plain, (8, 6), needs_mask=False) is None
    assert mask_bytes(plain, (8, 6), needs_mask=True) is not None
