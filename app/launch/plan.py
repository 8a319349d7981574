"""The plan of a run in words and numbers: what will happen when it starts, by the trainer's own arithmetic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from app.contract.buckets import Fit, Size, fit, make_buckets
from app.contract.spec import TrainSpec
from app.store.images import ImageRow

CROP_WARNING_SHARE = 0.15


@dataclass(frozen=True)
class Plan:
    """Counts of a run to come; `sentences` says them, `warnings` names what a person may want to mend first."""

    images: int
    captioned: int
    visits: int
    batches_per_epoch: int
    steps: int
    epochs: float
    checkpoints: int
    samples: int
    buckets: tuple[tuple[Size, int], ...]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]


def plan(spec: TrainSpec, rows: Sequence[ImageRow]) -> Plan:
    """Count what a run over these images does: visits = sum of repeats, one batch holds one bucket."""
    sizes = make_buckets(spec.data.resolution_px, spec.data.bucket_step_px)
    fits = [fit(Size(row.width_px, row.height_px), sizes) for row in rows]
    visits: Counter[Size] = Counter()
    for row, place in zip(rows, fits, strict=True):
        visits[place.bucket] += row.repeats
    settings = spec.optimization
    batches = sum(ceil(count / settings.batch) for count in visits.values())
    epochs = settings.steps * settings.accumulation / batches if batches else 0.0
    checkpoints = ceil(settings.steps / spec.saving.every_steps)
    points = 1 + ceil(settings.steps / spec.sampling.every_steps)
    counted = Plan(
        images=len(rows),
        captioned=sum(bool((row.caption or "").strip()) for row in rows),
        visits=sum(visits.values()),
        batches_per_epoch=batches,
        steps=settings.steps,
        epochs=epochs,
        checkpoints=checkpoints,
        samples=points * len(spec.sampling.prompts),
        buckets=tuple(sorted(visits.items(), key=lambda item: -item[1])),
        sentences=(),
        warnings=_warnings(spec, rows, fits),
    )
    return replace(counted, sentences=_sentences(spec, counted))


def _sentences(spec: TrainSpec, plan: Plan) -> tuple[str, ...]:
    settings = spec.optimization
    batch = _count(settings.batch, "image")
    gathered = f", {settings.accumulation} batches a step" if settings.accumulation > 1 else ""
    return (
        f"{_count(plan.images, 'image')}, seen {_count(plan.visits, 'time')} an epoch, in batches of {batch}: "
        f"{_count(plan.batches_per_epoch, 'batch', 'batches')} an epoch{gathered}.",
        f"{_count(plan.steps, 'step')} are {plan.epochs:.1f} epochs: "
        f"an image is seen about {plan.epochs * plan.visits / max(1, plan.images):.0f} times.",
        f"{_count(plan.checkpoints, 'checkpoint')}, one every {_count(spec.saving.every_steps, 'step')}.",
        f"{_count(plan.samples, 'sample image')}: {_count(len(spec.sampling.prompts), 'prompt')} before training "
        f"and every {_count(spec.sampling.every_steps, 'step')}.",
        f"{_count(len(plan.buckets), 'bucket')} around {spec.data.resolution_px} px on {spec.base.name}.",
    )


def _warnings(spec: TrainSpec, rows: Sequence[ImageRow], fits: Sequence[Fit]) -> tuple[str, ...]:
    uncaptioned = sum(not (row.caption or "").strip() for row in rows)
    upscaled = sum(place.upscaled for place in fits)
    cropped = sum(place.lost > CROP_WARNING_SHARE for place in fits)
    found = []
    if not rows:
        found.append("The project has no images yet.")
    if uncaptioned:
        found.append(
            f"{_count(uncaptioned, 'image')} without a caption: "
            f"trained on {'the trigger word alone' if spec.trigger_word else 'an empty text'}."
        )
    if upscaled:
        found.append(f"{_count(upscaled, 'image')} smaller than the bucket: scaled up, which trains blur.")
    if cropped:
        found.append(f"{_count(cropped, 'image')} lose more than 15 % to the crop.")
    if not spec.trigger_word:
        found.append("No trigger word: the LoRA will act on every prompt.")
    if not spec.sampling.prompts:
        found.append("No prompts: there will be no sample images to review.")
    return tuple(found)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
