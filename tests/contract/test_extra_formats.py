"""Extra decoders: what the import gate lets in, every other process that opens an original reads too."""

import importlib.util
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from app.config import ROOT
from app.contract.extra_formats import EXTRA_FORMATS, HEAD_BYTES, missing_for, with_extra_decoders
from app.contract.pixels import UNREADABLE, DecoderMissing, mask_pixels, open_picture, open_rgb
from app.contract.recipe import Recipe

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
needs_no_decoder = pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is not None, reason="here HEIC is read indeed"
)

# A plugin for Pillow as the real one is: nothing reads the format until its register function is called.
PLUGIN = """
from PIL import Image, ImageFile

class Opened(ImageFile.ImageFile):
    format = "HEIF"
    format_description = "test"

    def _open(self):
        head = self.fp.read(16)
        self._size, self._mode = (head[12], head[13]), "RGB"
        self.tile = [ImageFile._Tile("raw", (0, 0, *self._size), 16, ("RGB", 0, 1))]

def register_heif_opener():
    Image.register_open("HEIF", Opened, lambda head: head[4:12] == b"ftypheic")
"""
PIXELS = bytes([200, 100, 50] * 4)
PLAIN = b"\0\0\0\x18ftypheic" + bytes([2, 2, 0, 0]) + PIXELS

READERS = {
    "pictures and previews": """
from app.contract.pixels import open_rgb
print(open_rgb(path, Recipe()).getpixel((0, 0)))
""",
    "masks of transparency": """
from app.contract.pixels import mask_pixels
print(mask_pixels(path, None, Recipe(alpha="mask")))
""",
    "thumbnails": """
from app.collect import blobs
from app.config import Settings
from PIL import Image
import shutil
settings = Settings(data=path.parent / "data")
blob = blobs.blob_path(settings, "ab" * 32, "heic")
blob.parent.mkdir(parents=True)
shutil.copy(path, blob)
print(Image.open(blobs.made_thumb(settings, "ab" * 32, "heic")).size)
""",
    "exports": """
from app.export.layout import Item
from app.export.pictures import picture_bytes
from app.store.images import ImageRow
row = ImageRow(1, 1, "a.heic", "ab" * 32, "heic", 2, 2, 1, None)
print(picture_bytes(Item(row, path), "png", frozenset({"png"}), False)[::2])
""",
    "the trainer": """
import hashlib, torch
torch.set_num_threads(1)
from app.contract.buckets import Size
from app.contract.rundir import DatasetRow
from worker.cache import pixels_of
sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
size = Size(2, 2)
row = DatasetRow(sha256=sha256, path=str(path), name="a", size=size, bucket=size, caption="", text="", repeats=1)
print([round(float(value), 3) for value in pixels_of(row)[0, :, 0, 0]])
""",
    "the import gate": """
from app.collect.decoders import Decoders
from app.config import Settings
settings = Settings(data=path.parent / "data")
settings.make_folders()
decoders = Decoders(settings, size=1)
measured = decoders.measure(path, "phone.heic")
print(measured.extension, (measured.width_px, measured.height_px), measured.facts.container)
decoders.close()
""",
}
ANSWERS = {
    "pictures and previews": "(200, 100, 50)",
    "masks of transparency": "None",
    "thumbnails": "(2, 2)",
    "exports": "('png', (2, 2))",
    "the trainer": "[0.569, -0.216, -0.608]",
    "the import gate": "heic (2, 2) HEIF",
}


@pytest.mark.parametrize("reader", READERS)
def test_every_process_that_opens_originals_looks_for_decoders(reader: str, tmp_path: Path) -> None:
    (tmp_path / "pillow_heif.py").write_text(PLUGIN)
    path = tmp_path / "phone.heic"
    path.write_bytes(PLAIN)
    script = f"from pathlib import Path\nfrom app.contract.recipe import Recipe\npath = Path({str(path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", script + READERS[reader]],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == (ANSWERS[reader], 0), done.stderr


@needs_no_decoder
def test_a_picture_without_its_decoder_says_which_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(HEIC_HEAD)
    for source in (path, BytesIO(HEIC_HEAD)):
        with pytest.raises(DecoderMissing, match="it is a HEIC image, and pillow-heif is not installed here"):
            open_picture(source)
    assert issubclass(DecoderMissing, UNREADABLE)
    with pytest.raises(DecoderMissing):
        mask_pixels(path, None, Recipe(alpha="mask"))


def test_other_bytes_are_of_no_extra_format() -> None:
    with pytest.raises(UNREADABLE) as refused:
        open_picture(BytesIO(b"hello there"))
    assert not isinstance(refused.value, DecoderMissing)
    assert missing_for(b"\x89PNG\r\n\x1a\n") is None
    assert all(len(head) + extra.at <= HEAD_BYTES for extra in EXTRA_FORMATS for head in extra.heads)


@pytest.mark.skipif("HEIC" not in with_extra_decoders(), reason="pillow-heif is not installed")
def test_a_real_photo_of_a_phone_is_read_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 32), "white")
    image.paste((0, 0, 255), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "phone.heic"
    # Then the encoder turns it as phones do: by a property of the file, which its decoder applies.
    image.info["exif"] = exif.tobytes()
    image.save(path, "HEIF", quality=95)
    assert missing_for(path.read_bytes()[:HEAD_BYTES]) is None
    read = open_rgb(path, Recipe())
    assert read.size == (32, 64)
    top, bottom = read.getpixel((16, 8)), read.getpixel((16, 56))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[2] - top[0] > 200
    assert min(bottom) > 240


@pytest.mark.skipif("JPEG XL" not in with_extra_decoders(), reason="pillow-jxl-plugin is not installed")
def test_a_real_jpeg_xl_is_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "next.jxl"
    Image.new("RGB", (16, 8), (10, 120, 230)).save(path, "JXL", lossless=True)
    read = open_rgb(path, Recipe())
    assert (read.size, read.getpixel((3, 3))) == ((16, 8), (10, 120, 230))
