"""Freezing: what a run will read, image by image."""

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.buckets import Size
from app.contract.spec import BaseModelRef, Data, TrainSpec
from app.launch.freeze import freeze
from app.store.images import ImageRow


def test_one_row_an_image(settings: Settings) -> None:
    spec = TrainSpec(
        name="Fox",
        project="Fox",
        purpose="character",
        trigger_word="fxo",
        base=BaseModelRef(name="base", path="/models/base", family="sd15", sha256="0" * 64),
        data=Data(resolution_px=512, bucket_step_px=64),
    )
    tall = ImageRow(1, 1, "tall.png", "ab" * 32, "png", 600, 1200, 3, "  standing ,, in snow\n")
    bare = ImageRow(2, 1, "bare.jpg", "cd" * 32, "jpg", 512, 512, 1, None)
    rows = freeze(settings, spec, [tall, bare])
    assert [row.text for row in rows] == ["fxo, standing, in snow", "fxo"]
    assert [row.caption for row in rows] == ["  standing ,, in snow\n", ""]
    assert [row.bucket for row in rows] == [Size(320, 704), Size(512, 512)]
    assert [row.repeats for row in rows] == [3, 1]
    assert rows[0].path == str(blob_path(settings, "ab" * 32, "png"))
