"""Exports read by decoding children: the same bytes as in one process, and a bad image costs itself alone."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.collect import layouts
from app.collect.decoders import Decoders
from app.collect.files import found_under
from app.config import Settings
from app.contract.recipe import Crop, Recipe
from app.errors import NotFound, Unavailable
from app.export.datasets import LAYOUTS, export_dataset, layout_of
from app.export.layout import Item, Layout, Options
from app.export.pictures import wish_of
from tests.export.parts import dots, encoded, item_of

OPTIONS = Options(word="rdfx", trigger_word="rdfx")
HALF = Recipe(crop=Crop(left=2, top=0, width=4, height=6), quarter_turns=1)


@pytest.fixture
def decoders(settings: Settings) -> Iterator[Decoders]:
    settings.make_folders()
    made = Decoders(settings, size=2)
    yield made
    made.close()


def originals(folder: Path) -> list[Item]:
    """One image of each kind: untouched, with a recipe, masked, transparent, and one whose name is no text."""
    folder.mkdir()
    odd = os.fsdecode(b"f\xff")
    for number, name in enumerate(("a.png", "b.png", "c.png", f"{odd}.png")):
        (folder / name).write_bytes(encoded(dots(number)))
    clear = Image.new("RGBA", (8, 6), (10, 20, 30, 0))
    clear.paste((10, 20, 30, 255), (0, 0, 4, 6))
    (folder / "e.png").write_bytes(encoded(clear))
    mask = folder / "mask.png"
    mask.write_bytes(encoded(Image.linear_gradient("L").resize((8, 6))))
    size = {"width_px": 8, "height_px": 6}
    return [
        item_of(folder / "a.png", b"a", id=1, name="a.png", **size),
        item_of(folder / "b.png", b"b", id=2, name="b.png", recipe=HALF, **size),
        item_of(folder / "c.png", b"c", mask=mask, id=3, name="c.png", recipe=Recipe(mask="0" * 64), **size),
        item_of(folder / f"{odd}.png", b"d", id=4, name="d.png", **size),
        item_of(folder / "e.png", b"e", id=5, name="e.png", recipe=Recipe(alpha="mask"), **size),
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_children_write_the_same_bytes(layout: Layout, tmp_path: Path, decoders: Decoders) -> None:
    items = originals(tmp_path / "in")
    small = replace(OPTIONS, pictures="jpeg")
    here = export_dataset(items, layout, small, tmp_path / "here")
    theirs = export_dataset(items, layout, small, tmp_path / "theirs", reader=decoders)
    assert (theirs.images, theirs.masks, theirs.left_out) == (here.images, here.masks, ()) == (5, 2, ())
    assert files_of(tmp_path / "theirs") == files_of(tmp_path / "here")


def test_a_bad_image_is_named_and_the_others_leave(tmp_path: Path, decoders: Decoders) -> None:
    items = originals(tmp_path / "in")
    items[0].original.write_bytes(b"\x89PNG damaged")
    items[1].original.unlink()
    (tmp_path / "in" / "mask.png").write_bytes(b"no mask")
    reached: list[int] = []
    exported = export_dataset(items, layout_of("kohya"), OPTIONS, tmp_path / "out", reached.append, decoders)
    assert (exported.images, reached) == (2, [1, 2, 3, 4, 5])
    assert [gap.name for gap in exported.left_out] == ["a.png", "b.png", "c.png"]
    told = [gap.reason for gap in exported.left_out]
    assert told[0].startswith("a.png cannot be read any more: ")
    assert told[1] == "The original of b.png is no longer on the disk. Add the image again, or remove it."
    assert told[2].startswith("The mask of c.png cannot be read: ")
    lines = [json.loads(line) for line in (exported.path / "manifest.jsonl").read_text().splitlines()]
    assert [line["original_name"] for line in lines] == ["d.png", "e.png", "a.png", "b.png", "c.png"]
    assert [line.get("left_out") for line in lines] == [None, None, *told]
    reading = layouts.read(found_under([exported.path]).found)
    assert (len(reading.entries), reading.leftovers) == (2, ())


def test_nothing_is_left(tmp_path: Path, decoders: Decoders) -> None:
    gone = [item_of(tmp_path / "gone.png", name="gone.png")]
    with pytest.raises(NotFound, match=r"gone\.png is no longer on the disk"):
        export_dataset(gone, layout_of("plain"), OPTIONS, tmp_path / "out.zip", reader=decoders)
    assert list(tmp_path.glob("*out*")) == []


class _Cancelled(Exception):
    """Somebody ended the export."""


def test_cancelling_leaves_nothing(tmp_path: Path, decoders: Decoders) -> None:
    items = originals(tmp_path / "in")

    def cancel(done: int) -> None:
        raise _Cancelled

    for name in ("out", "out.zip"):
        with pytest.raises(_Cancelled):
            export_dataset(items, layout_of("kohya"), OPTIONS, tmp_path / name, cancel, decoders)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_a_full_disk_is_no_images_fault(tmp_path: Path, decoders: Decoders) -> None:
    layout = layout_of("kohya")
    (place,) = layout.place(originals(tmp_path / "in")[1:2], OPTIONS)
    with pytest.raises(Unavailable, match="Nothing can be stored: No such file"):
        decoders.leave(wish_of(place, layout, OPTIONS, tmp_path / "gone" / "1"))
