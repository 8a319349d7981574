"""Datasets in other tools' layouts: what is written, and that our own import reads the same from it."""

import json
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.collect import layouts
from app.collect.entries import Entry
from app.collect.files import found_under
from app.collect.sidecars import encoding_of, read_words
from app.contract.pixels import open_rgb
from app.contract.recipe import Crop, Recipe
from app.contract.splits import Split
from app.errors import Conflict, Invalid, NotFound
from app.export.datasets import LAYOUTS, export_dataset, layout_of
from app.export.layout import Item, Layout, Options
from app.store.provenance import Provenance
from tests.export.parts import dots, encoded, item_of

OPTIONS = Options(word="rdfx", trigger_word="rdfx")
ALL = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@dataclass(frozen=True)
class Drawn:
    """One image that hypothesis thought of."""

    name: str
    caption: bytes | None
    repeats: int
    is_masked: bool
    split: Split
    weight: float
    licence: str


CAPTIONS = st.one_of(
    st.none(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40).map(str.encode),
    st.sampled_from([b"", b" \n", b"a, b\r\n", "\ufeffx, y".encode(), "café".encode("cp1252"), "猫".encode("cp932")]),
    st.sampled_from([b"{a|b}", b"x ||| y", b"sky;;;cloud", b"a\nb\nc", b"[trigger]", b"\\(", b"a,b,", b"<script>"]),
)
IMAGES = st.lists(
    st.builds(
        Drawn,
        name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=30),
        caption=CAPTIONS,
        repeats=st.integers(1, 4),
        is_masked=st.booleans(),
        split=st.sampled_from(["train", "held-out", "regularisation"]),
        weight=st.sampled_from([1.0, 0.5]),
        licence=st.sampled_from(["", "CC0"]),
    ),
    min_size=1,
    max_size=5,
)


def items_of(drawn: Sequence[Drawn], folder: Path) -> list[Item]:
    """Items with originals and masks on the disk; the pixels say which is which."""
    items = []
    for number, each in enumerate(drawn):
        original, mask = folder / f"{number}.png", folder / f"{number}-mask.png"
        original.write_bytes(encoded(dots(number)))
        half = Image.new("L", (8, 6))
        half.paste(255, (0, 0, 4, 6))
        mask.write_bytes(encoded(half))
        encoding = encoding_of(each.caption) if each.caption is not None else None
        item = item_of(
            original,
            each.caption if encoding else None,
            encoding or "utf-8",
            mask if each.is_masked else None,
            id=number,
            name=each.name,
            caption=each.caption.decode(encoding) if each.caption is not None and encoding else None,
            repeats=each.repeats,
            split=each.split,
            weight=each.weight,
            width_px=8,
            height_px=6,
            recipe=Recipe(mask="0" * 64) if each.is_masked else Recipe(),
        )
        items.append(
            Item(item.row, item.original, item.mask, item.raw, item.encoding, Provenance(licence=each.licence))
        )
    return items


def read_back(folder: Path, count: int) -> list[Entry]:
    """What our import makes of an export, in the order of the items."""
    reading = layouts.read(found_under([folder]).found)
    assert [left.refusal.message for left in reading.leftovers] == []
    by_pixels = {Image.open(entry.picture.path).convert("RGB").tobytes(): entry for entry in reading.entries}
    assert len(reading.entries) == len(by_pixels) == count
    return [by_pixels[dots(number).tobytes()] for number in range(count)]


def said_by(entry: Entry) -> tuple[bytes | None, str | None]:
    """The bytes of an entry's caption file, and its words wherever they stand."""
    if entry.sidecars:
        data = entry.sidecars[0].path.read_bytes()
        return data, read_words(data, "caption").text
    return None, entry.given[-1].text if entry.given else None


@ALL
@given(drawn=IMAGES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_leaves_comes_back(layout: Layout, drawn: list[Drawn]) -> None:
    with TemporaryDirectory() as place:
        (Path(place) / "in").mkdir()
        items = items_of(drawn, Path(place) / "in")
        exported = export_dataset(items, layout, OPTIONS, Path(place) / "out")
        assert exported.images == len(items)
        for item, entry in zip(items, read_back(exported.path, len(items)), strict=True):
            row = item.row
            assert (entry.repeats, entry.split, entry.weight) == (row.repeats, row.split, row.weight)
            assert entry.licence == item.provenance.licence
            data, text = said_by(entry)
            expected = item.raw or (b"\n" if layout.key == "kohya" and item.raw == b"" else item.raw)
            if layout.writes_captions:
                assert data == expected
            assert (text or "").strip() == (row.caption or "").strip()
            is_left_out = layout.key == "kohya" and row.split == "regularisation"
            assert is_half(entry) == (item.mask is not None and not is_left_out)


def is_half(entry: Entry) -> bool:
    """Whether an entry's mask holds the left half alone; a white one says nothing."""
    if entry.mask is None:
        return False
    mask = Image.open(entry.mask.path).convert("L")
    low = mask.getextrema()[0]
    assert mask.size == (8, 6)
    assert low == 255 or (mask.getpixel((0, 0)), mask.getpixel((7, 0))) == (255, 0)
    return low == 0


@ALL
def test_the_recipe_is_baked(layout: Layout, tmp_path: Path) -> None:
    turned = Image.new("RGB", (8, 4), (0, 0, 255))
    turned.paste((255, 0, 0), (4, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = tmp_path / "sideways.png"
    sideways.write_bytes(encoded(turned, exif=exif))
    cropped = item_of(
        sideways,
        name="sideways.png",
        width_px=4,
        height_px=8,
        recipe=Recipe(crop=Crop(left=0, top=0, width=4, height=4)),
    )
    exported = export_dataset([cropped], layout, OPTIONS, tmp_path / "out")
    (picture,) = exported.path.rglob("sideways.png")
    with Image.open(picture) as image:
        assert (image.size, image.mode, dict(image.getexif())) == ((4, 4), "RGB", {})
        assert image.getpixel((0, 0)) == (0, 0, 255)
    line = json.loads((exported.path / "manifest.jsonl").read_text())
    assert (line["original_name"], line["recipe"]) == (
        "sideways.png",
        {"crop": {"left": 0, "top": 0, "width": 4, "height": 4}},
    )


def test_originals_that_need_nothing_keep_their_bytes(tmp_path: Path) -> None:
    jpeg, camera, clear = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.png"
    jpeg.write_bytes(encoded(dots(1, 16, 16), "JPEG"))
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    camera.write_bytes(encoded(dots(2, 16, 16), "JPEG", exif=exif))
    clear.write_bytes(encoded(Image.new("RGBA", (4, 4), (255, 0, 255, 0))))
    items = [
        item_of(jpeg, name="a.jpg", extension="jpg", width_px=16, height_px=16),
        item_of(camera, name="b.jpg", extension="jpg", width_px=16, height_px=16),
        item_of(clear, name="c.png", width_px=4, height_px=4),
    ]
    out = export_dataset(items, layout_of("ai-toolkit"), OPTIONS, tmp_path / "out").path / "train-x1"
    assert (out / "a.jpg").read_bytes() == jpeg.read_bytes()
    with Image.open(out / "b.png") as written:
        assert written.tobytes() == open_rgb(camera, Recipe()).tobytes()
    with Image.open(out / "c.png") as written:
        assert written.getpixel((0, 0)) == (255, 255, 255)
    plain = export_dataset(items, layout_of("plain"), OPTIONS, tmp_path / "plain").path / "train"
    for name, original in (("a.jpg", jpeg), ("b.jpg", camera), ("c.png", clear)):
        assert (plain / name).read_bytes() == original.read_bytes()
    small = export_dataset(items, layout_of("kohya"), Options(pictures="jpeg"), tmp_path / "small").path
    assert sorted(path.name for path in small.rglob("*.jpg")) == ["a.jpg", "b.jpg", "c.jpg"]


def test_transparency_that_counts_as_a_mask(tmp_path: Path) -> None:
    clear = tmp_path / "c.png"
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    image.paste((10, 20, 30, 255), (0, 0, 2, 4))
    clear.write_bytes(encoded(image))
    item = item_of(clear, name="c.png", width_px=4, height_px=4, recipe=Recipe(alpha="mask", quarter_turns=1))
    out = export_dataset([item], layout_of("onetrainer"), OPTIONS, tmp_path / "out")
    assert out.masks == 1
    with Image.open(out.path / "train-x1" / "c-masklabel.png") as mask:
        assert [mask.getpixel((0, y)) for y in range(4)] == [255, 255, 0, 0]


def test_kohyas_configuration(tmp_path: Path) -> None:
    drawn = [
        Drawn("a.png", b"a", 3, True, "train", 1.0, ""),
        Drawn("b.png", b"", 3, False, "train", 1.0, ""),
        Drawn("c.png", None, 1, False, "held-out", 1.0, ""),
    ]
    items = items_of(drawn, tmp_path)
    masked = export_dataset(items, layout_of("kohya"), OPTIONS, tmp_path / "masked").path
    config = tomllib.loads((masked / "dataset.toml").read_text())
    assert config["datasets"][0]["subsets"] == [
        {"image_dir": "img/3_rdfx", "num_repeats": 3, "conditioning_data_dir": "masks/img/3_rdfx"}
    ]
    both = tomllib.loads((masked / "dataset-with-validation.toml").read_text())["datasets"]
    assert both[1]["validation_split"] == 1.0
    assert (masked / "masks/img/3_rdfx/b.png").is_file()
    assert (masked / "img/3_rdfx/b.txt").read_bytes() == b"\n"
    bare = export_dataset(
        [items[1]], layout_of("kohya"), Options(word="rdfx", trigger_word='r"x', root="/data/set/"), tmp_path / "bare"
    ).path
    subset = tomllib.loads((bare / "dataset.toml").read_text())["datasets"][0]["subsets"][0]
    assert (subset["class_tokens"], subset["image_dir"]) == ('r"x', "/data/set/img/3_rdfx")
    assert not (bare / "dataset-with-validation.toml").exists()


def test_what_is_in_the_way(tmp_path: Path) -> None:
    items = items_of([Drawn("a.png", b"a", 1, False, "train", 1.0, "")], tmp_path)
    full = tmp_path / "full"
    full.mkdir()
    (full / "theirs.txt").touch()
    with pytest.raises(Conflict, match="not empty"):
        export_dataset(items, layout_of("plain"), OPTIONS, full)
    with pytest.raises(NotFound, match="no longer on the disk"):
        export_dataset([item_of(tmp_path / "gone.png")], layout_of("plain"), OPTIONS, tmp_path / "out")
    items[0].original.write_bytes(b"\x89PNG damaged")
    with pytest.raises(Invalid, match=r"a\.png cannot be read"):
        export_dataset(items, layout_of("kohya"), OPTIONS, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    with pytest.raises(Invalid) as refused:
        layout_of("zip")
    assert "kohya, onetrainer, ai-toolkit, imagefolder, plain" in refused.value.hint


def test_a_zip_holds_the_same(tmp_path: Path) -> None:
    items = items_of([Drawn("a.png", b"a\r\n", 1, True, "train", 1.0, "CC0")], tmp_path)
    folder = export_dataset(items, layout_of("onetrainer"), OPTIONS, tmp_path / "out").path
    packed = export_dataset(items, layout_of("onetrainer"), OPTIONS, tmp_path / "out.zip").path
    with zipfile.ZipFile(packed) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert inside == {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    with pytest.raises(Conflict, match="exists already"):
        export_dataset(items, layout_of("onetrainer"), OPTIONS, packed)
