"""All that a training run works with once everything is loaded and encoded."""

from collections.abc import Callable
from dataclasses import dataclass

from app.contract.events import EventLog, PhaseChanged, Warned
from app.contract.rundir import DatasetRow
from app.contract.spec import TrainSpec
from worker.cache import Conditioning, Latents, TensorCache
from worker.context import RunContext
from worker.data import Order
from worker.errors import BadSpec, EmptyDataset
from worker.families import load
from worker.families.base import Family
from worker.families.reading import Reading
from worker.feed import Feed, Pictures
from worker.lora import Lora, attach, differences
from worker.lora_source import LoraSource, read_source
from worker.memory import Machine
from worker.objectives import Noising
from worker.optim import advice
from worker.sampling import Album, Painter
from worker.storage import store
from worker.team import Team
from worker.updates import make_updates
from worker.validation import Examiner

MOST_CACHED_TEXTS = 4000
"""About 1.3 GB for the widest family; more different texts than that are encoded as they come."""


@dataclass(frozen=True)
class Bench:
    """The parts of a run, ready to train; `check` asks often, `agree` once a step whether to leave."""

    context: RunContext
    spec: TrainSpec
    rows: list[DatasetRow]
    machine: Machine
    family: Family
    lora: Lora
    order: Order
    conditioning: Conditioning
    feed: Feed
    examiner: Examiner
    album: Album
    team: Team
    check: Callable[[], None]
    agree: Callable[[], None]


@dataclass(frozen=True)
class Task:
    """What a run is to do, with what and with whom."""

    spec: TrainSpec
    rows: list[DatasetRow]
    machine: Machine
    team: Team


def set_up(context: RunContext, task: Task) -> Bench:
    """Load the base, attach the LoRA, and encode every picture and, where it can be done ahead, every text."""
    spec, rows, machine, team = task.spec, task.rows, task.machine, task.team
    settings, log = spec.optimization, context.log
    check, agree = team.checkers(context)
    team.check_share(settings.accumulation)
    log.append(PhaseChanged(phase="loading"))
    family = load(spec.base, machine.dtype, Reading(spec.data.clip_skip, spec.data.max_chunks))
    noising = Noising(settings, family.objective.timesteps)
    source = read_source(spec.network.continues) if spec.network.continues is not None else None
    trains_text = trained_encoders(spec, family)
    lora = attach(family, spec.network, trains_text=trains_text, seed=settings.seed, source=source)
    store(family.parts.denoiser, settings.base_storage, offloads=settings.offloads_blocks)
    lora.freeze_still()
    _say(log, spec, lora, source)
    # Made again once all is on the device; here it refuses what cannot be carried out before anything is encoded.
    make_updates(lora, machine, settings, team)
    check()

    order = Order(rows, spec)
    texts = None if any(trains_text) else order.texts(settings.steps, MOST_CACHED_TEXTS)
    cache = TensorCache(context.run_dir.cache)
    frozen = source.sha256 if source is not None else ""
    conditioning = Conditioning(family, machine, None if texts is None else cache, frozen)
    if texts is None:
        for encoder in family.parts.text_encoders:
            encoder.to(machine.device)
    pictures = Pictures(Latents(family.parts, cache, machine), order, spec.data, log)
    feed = Feed(order, pictures, machine, noising, team)
    feed.fill(log, conditioning, texts or (), spec.sampling.prompts, check)

    examiner = Examiner(family, conditioning, pictures, order, machine, spec.validation, settings.batch, check)
    painter = Painter(family, machine, spec.sampling, conditioning, check)
    album = Album(context.run_dir, log, painter, spec.base.name, spec.name)
    return Bench(
        context, spec, rows, machine, family, lora, order, conditioning, feed, examiner, album, team, check, agree
    )


def trained_encoders(spec: TrainSpec, family: Family) -> tuple[bool, ...]:
    """Return which text encoders are trained. Raises BadSpec for a rate of one that the base does not have."""
    rates = (spec.optimization.text_encoder_learning_rate, spec.optimization.text_encoder_2_learning_rate)
    count = len(family.parts.text_encoders)
    if any(rates[count:]):
        raise BadSpec(
            f"The base {spec.base.name} has no second text encoder to train.",
            "Set the second text encoder's learning rate to 0.",
        )
    return tuple(rate > 0 for rate in rates[:count])


def task_of(context: RunContext) -> tuple[TrainSpec, list[DatasetRow]]:
    """Return the settings and rows of a training run. Raises BadSpec or EmptyDataset."""
    if not isinstance(context.spec, TrainSpec):
        raise BadSpec(f"The run's kind is {context.spec.kind}; train was asked for.", "Start the run again.")
    rows = context.run_dir.read_dataset()
    if not any(row.split == "train" for row in rows):
        raise EmptyDataset("The run's dataset holds no pictures.", "Add pictures to the project and start a new run.")
    return context.spec, rows


def _say(log: EventLog, spec: TrainSpec, lora: Lora, source: LoraSource | None) -> None:
    if source is not None and (said := differences(lora, source, spec.network)):
        hint = "What the file has is kept; set rank and alpha to the file's to be told nothing."
        log.append(Warned(message=f"Training goes on from {source.name}: {'; '.join(said)}.", hint=hint))
    if odd := advice(spec.optimization):
        log.append(Warned(message=odd, hint="Start again with another rate, unless this was meant."))
