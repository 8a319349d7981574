"""Freezing a dataset: the images and training texts of a project, as a run will read them."""

from collections.abc import Sequence

from app.collect.blobs import blob_path
from app.config import Settings
from app.contract.captions import compose
from app.contract.rundir import DatasetRow
from app.contract.spec import TrainSpec
from app.store.images import ImageRow


def freeze(settings: Settings, spec: TrainSpec, rows: Sequence[ImageRow]) -> list[DatasetRow]:
    """Return one dataset row an image; later edits of captions or images cannot reach a run that holds these."""
    buckets = spec.data.buckets
    places = {size: buckets.fit(size) for size in {row.size for row in rows}}
    return [
        DatasetRow(
            sha256=row.sha256,
            path=str(blob_path(settings, row.sha256, row.extension)),
            name=row.name,
            size=row.size,
            bucket=places[row.size].bucket,
            scaled=None if spec.data.enlarges else places[row.size].scaled,
            caption=row.caption or "",
            text=compose(row.caption or "", spec.trigger_word),
            repeats=row.repeats,
            recipe=row.recipe,
            mask_path=str(blob_path(settings, row.recipe.mask, "png")) if row.recipe.mask else None,
            weight=row.weight,
            split=row.split,
        )
        for row in rows
    ]
