"""Freezing: what a run will read, image by image."""

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.buckets import Size
from app.contract.rundir import DatasetRow
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


def test_an_image_that_is_not_enlarged_is_frozen_at_its_size(settings: Settings) -> None:
    """What the trainer reads back is where the plan and the buckets page said that it trains."""
    spec = TrainSpec(
        name="Fox",
        project="Fox",
        purpose="character",
        trigger_word="fxo",
        base=BaseModelRef(name="base", path="/models/base", family="sd15", sha256="0" * 64),
        data=Data(resolution_px=512, bucket_step_px=64, enlarges=False),
    )
    small = ImageRow(1, 1, "small.png", "ab" * 32, "png", 300, 417, 1, "red")
    large = ImageRow(2, 1, "large.jpg", "cd" * 32, "jpg", 600, 1200, 1, "blue")
    told = [DatasetRow.model_validate_json(row.model_dump_json()) for row in freeze(settings, spec, [small, large])]
    assert (told[0].place.scaled, told[0].bucket) == (Size(300, 417), Size(256, 384))
    assert (told[1].place.scaled, told[1].bucket) == (Size(352, 704), Size(320, 704))
    assert [row.place for row in told] == spec.data.buckets.fits([small.size, large.size])
