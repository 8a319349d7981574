"""The plan of a run in words and numbers: what will happen when it starts, by the trainer's own arithmetic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from app.contract.buckets import Fit, Size
from app.contract.spec import Data, TrainSpec
from app.store.images import ImageRow

CROP_WARNING_SHARE = 0.15
MOST_NAMES = 12
ENLARGES = Data.model_fields["enlarges"].title


@dataclass(frozen=True)
class Plan:
    """Counts of a run to come; `sentences` says them, `warnings` names what a person may want to mend first.

    `images` train; those of the class alone are counted apart, and those held out, which no step sees, are named.
    """

    images: int
    captioned: int
    regularisation: int
    held_out: tuple[str, ...]
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
    seen = [row for row in rows if row.split != "held-out"]
    fits = spec.data.buckets.fits(row.size for row in seen)
    visits: Counter[Size] = Counter()
    for row, place in zip(seen, fits, strict=True):
        visits[place.bucket] += row.repeats
    settings = spec.optimization
    batches = sum(ceil(count / settings.batch) for count in visits.values())
    points = 1 + ceil(settings.steps / spec.sampling.every_steps)
    training = [row for row in seen if row.split == "train"]
    counted = Plan(
        images=len(training),
        captioned=sum(bool((row.caption or "").strip()) for row in training),
        regularisation=len(seen) - len(training),
        held_out=tuple(row.name for row in rows if row.split == "held-out"),
        visits=sum(visits.values()),
        batches_per_epoch=batches,
        steps=settings.steps,
        epochs=settings.steps * settings.accumulation / batches if batches else 0.0,
        checkpoints=ceil(settings.steps / spec.saving.every_steps),
        samples=points * len(spec.sampling.prompts),
        buckets=tuple(sorted(visits.items(), key=lambda item: -item[1])),
        sentences=(),
        warnings=(*_data_warnings(spec, training, fits), *_setting_warnings(spec, rows)),
    )
    return replace(counted, sentences=_sentences(spec, counted))


def _sentences(spec: TrainSpec, plan: Plan) -> tuple[str, ...]:
    settings = spec.optimization
    batch = _count(settings.batch, "image")
    gathered = f", {settings.accumulation} batches a step" if settings.accumulation > 1 else ""
    prior = f" and {_count(plan.regularisation, 'regularisation image')}" if plan.regularisation else ""
    all_seen = plan.images + plan.regularisation
    return (
        f"{_count(plan.images, 'image')}{prior}, seen {_count(plan.visits, 'time')} an epoch, in batches of {batch}: "
        f"{_count(plan.batches_per_epoch, 'batch', 'batches')} an epoch{gathered}.",
        f"{_count(plan.steps, 'step')} are {f'{plan.epochs:,.1f}'.removesuffix('.0')} epochs: "
        f"an image is seen about {plan.epochs * plan.visits / max(1, all_seen):.0f} times.",
        f"{_count(plan.checkpoints, 'checkpoint')}, one every {_count(spec.saving.every_steps, 'step')}.",
        f"{_count(plan.samples, 'sample image')}: {_count(len(spec.sampling.prompts), 'prompt')} before training "
        f"and every {_count(spec.sampling.every_steps, 'step')}.",
        f"{_count(len(plan.buckets), 'bucket')} around {spec.data.resolution_px} px on {spec.base.name}.",
        *_held_out_sentence(spec, plan),
    )


def _held_out_sentence(spec: TrainSpec, plan: Plan) -> tuple[str, ...]:
    if not plan.held_out:
        return ()
    names = ", ".join(plan.held_out[:MOST_NAMES])
    more = f" and {len(plan.held_out) - MOST_NAMES} more" if len(plan.held_out) > MOST_NAMES else ""
    every = spec.validation.every_steps
    measured = f"their loss is measured every {_count(every, 'step')}" if every else "their loss is not measured"
    return (f"{_count(len(plan.held_out), 'image')} held out, never trained on; {measured}: {names}{more}.",)


def _data_warnings(spec: TrainSpec, training: Sequence[ImageRow], fits: Sequence[Fit]) -> tuple[str, ...]:
    uncaptioned = sum(not (row.caption or "").strip() for row in training)
    upscaled = sum(place.upscaled for place in fits)
    cropped = sum(place.lost > CROP_WARNING_SHARE for place in fits)
    found = []
    if not training:
        found.append("The project has no images to train on yet.")
    if uncaptioned:
        found.append(
            f"{_count(uncaptioned, 'image')} without a caption: "
            f"trained on {'the trigger word alone' if spec.trigger_word else 'an empty text'}."
        )
    if upscaled:
        found.append(
            f"{_count(upscaled, 'image')} smaller than the bucket: scaled up, which trains blur. {_way_out(spec)}"
        )
    if cropped:
        found.append(f"{_count(cropped, 'image')} lose more than 15 % to the crop; the buckets page shows which.")
    return tuple(found)


def _way_out(spec: TrainSpec) -> str:
    if spec.data.enlarges:
        return f"Use larger originals, or switch off “{ENLARGES}” to train them at their own size."
    return "They are smaller than one bucket step: use larger originals, or a smaller bucket step."


def _setting_warnings(spec: TrainSpec, rows: Sequence[ImageRow]) -> tuple[str, ...]:
    found = []
    if not spec.trigger_word:
        found.append("No trigger word: the LoRA will act on every prompt.")
    if not spec.sampling.prompts:
        found.append("No prompts: there will be no sample images to review.")
    if spec.optimization.warmup_steps >= spec.optimization.steps:
        found.append("The warmup is as long as the run: the learning rate is never reached.")
    if spec.base.family == "sdxl" and spec.data.clip_skip > 2:
        found.append("SDXL always reads the layer before the last: clip skip changes nothing here.")
    if spec.data.uses_masks and not any(row.recipe.mask for row in rows):
        found.append("Masked loss is on, but no image has a mask.")
    return tuple(found)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
