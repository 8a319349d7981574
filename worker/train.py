"""Training one LoRA, from its run folder to its last checkpoint, in the order in which things happen."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]  # it ships no types
from torch import Tensor

from app.contract.events import EventLog, PhaseChanged, Resumed, Warned
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import TrainSpec
from app.contract.state import read_state
from worker.cache import Conditioning, Latents, TensorCache, identity_of
from worker.checkpoint import (
    BadCheckpoint,
    State,
    can_resume,
    drop_old_states,
    restore,
    save_checkpoint,
    saved_event,
    steps_saved,
)
from worker.context import RunContext
from worker.data import Order
from worker.errors import BadSpec, EmptyDataset, Interrupted, NonFiniteLoss, Stopped
from worker.families import load
from worker.families.base import Family
from worker.feed import Batch, Feed, Pictures
from worker.leaving import checker
from worker.lora import Lora, attach
from worker.lora_file import Training
from worker.memory import Machine, choose_machine
from worker.objectives import seed_of
from worker.optim import is_finite, is_overflowing, make_optimizer, set_rates
from worker.progress import WAY_OUT, Reporter
from worker.sampling import Album, Painter

MOST_CACHED_TEXTS = 4000
"""About 1.3 GB for the widest family; more different texts than that are encoded as they come."""


@dataclass(frozen=True)
class Bench:
    """All that a run works with once everything is loaded and encoded."""

    context: RunContext
    spec: TrainSpec
    rows: list[DatasetRow]
    machine: Machine
    family: Family
    lora: Lora
    order: Order
    conditioning: Conditioning
    feed: Feed
    album: Album
    check: Callable[[], None]


def train(context: RunContext) -> None:
    """Run a training spec to its end, going on from the newest good checkpoint.

    Raises Stopped or Interrupted once the work so far is saved, and a WorkerError in words for what cannot go on.
    """
    bench = set_up(context)
    spec, family, settings = bench.spec, bench.family, bench.spec.optimization
    family.parts.denoiser.to(bench.machine.device)
    if settings.gradient_checkpointing:
        family.parts.denoiser.enable_gradient_checkpointing()
    accelerator = Accelerator(mixed_precision=bench.machine.mixed_precision)
    optimizer = accelerator.prepare_optimizer(make_optimizer(bench.lora, settings))
    state = State(bench.lora.named(), optimizer.optimizer, accelerator.scaler)
    weights = list(state.parameters.values())

    step = saved = resume(context.run_dir, context.log, state, is_first=context.attempt <= 1)
    if is_due(step, spec.sampling.every_steps, settings.steps):
        bench.album.draw_all(step, drawn=_drawn(context.run_dir, step))

    reporter = Reporter(context.log, settings.steps, bench.machine.device, bench.feed.names_of)
    context.log.append(PhaseChanged(phase="training", done=step, total=settings.steps))
    reporter.restart_clock()
    try:
        while step < settings.steps:
            rate = set_rates(state.optimizer, settings, step)
            torch.manual_seed(seed_of(settings.seed, step, "dropout"))
            batches = bench.feed.of_step(step)
            pictures = sum(len(batch) for batch in batches)
            loss = torch.zeros((), device=bench.machine.device)
            for batch in batches:
                bench.check()
                with accelerator.autocast():
                    part = losses_of(family, bench.conditioning, batch, settings.min_snr_gamma).sum() / pictures
                accelerator.backward(part)
                loss += part.detach()
            accelerator.clip_grad_norm_(weights, settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            reporter.record(step, loss, pictures, rate)
            if is_due(step, spec.saving.every_steps, settings.steps):
                saved = save(bench, state, reporter, step)
            if is_due(step, spec.sampling.every_steps, settings.steps):
                reporter.flush()
                bench.album.draw_all(step)
                reporter.restart_clock()
    except (Stopped, Interrupted):
        if step > saved:
            save(bench, state, reporter, step)
        raise


def set_up(context: RunContext) -> Bench:
    """Load the base, attach the LoRA, and encode every picture and, where it can be done ahead, every text."""
    spec, rows = _task(context)
    settings, log, check = spec.optimization, context.log, checker(context)
    trains_text = settings.text_encoder_learning_rate > 0
    log.append(PhaseChanged(phase="loading"))
    machine = choose_machine(settings.precision)
    family = load(spec.base, machine.dtype)
    lora = attach(family, spec.network, trains_text=trains_text, seed=settings.seed)
    check()

    order = Order(rows, spec)
    texts = None if trains_text else order.texts(settings.steps, MOST_CACHED_TEXTS)
    cache, base = TensorCache(context.run_dir.cache), Path(spec.base.path)
    latents = Latents(family.parts, cache, identity_of(base / "vae"), machine)
    conditioning = Conditioning(family, machine, None if texts is None else cache, _text_identity(base))
    if texts is None:
        for encoder in family.parts.text_encoders:
            encoder.to(machine.device)
    feed = Feed(order, Pictures(latents, rows, log), machine, family.objective.timesteps, settings.seed)
    feed.fill(log, conditioning, texts or (), spec.sampling.prompts, check)

    painter = Painter(family, machine, spec.sampling, conditioning, check)
    album = Album(context.run_dir, log, painter, spec.base.name, spec.name)
    return Bench(context, spec, rows, machine, family, lora, order, conditioning, feed, album, check)


def losses_of(family: Family, conditioning: Conditioning, batch: Batch, gamma: float | None) -> Tensor:
    """Return each picture's weighted loss [B] of one forward pass."""
    objective = family.objective
    noisy = objective.noisy(batch.latents, batch.noise, batch.timesteps)
    answer = family.predict(noisy, batch.timesteps, conditioning.of(batch.texts), batch.places)
    target = objective.target(batch.latents, batch.noise, batch.timesteps)
    return objective.losses(answer, target, batch.timesteps, gamma)


def save(bench: Bench, state: State, reporter: Reporter, step: int) -> int:
    """Publish a checkpoint and return its step. Raises NonFiniteLoss, having saved nothing, when training broke."""
    run_dir, log = bench.context.run_dir, bench.context.log
    reporter.flush()
    if not is_finite(bench.lora):
        names = ", ".join(bench.feed.names_of(step - 1))
        raise NonFiniteLoss(f"Step {step} left weights that are not numbers; its pictures: {names}.", WAY_OUT)
    if is_overflowing(state.scaler):
        raise NonFiniteLoss(f"By step {step} the gradients overflow fp16 at every scale: nothing is learnt.", WAY_OUT)
    log.append(PhaseChanged(phase="saving"))
    training = Training(
        spec=bench.spec,
        rows=bench.rows,
        batches_per_epoch=bench.order.batches_per_epoch,
        step=step,
        prediction=bench.family.objective.prediction,
        started_at=read_state(run_dir.events).claimed_at or datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )
    log.append(save_checkpoint(run_dir, bench.lora, state, training))
    drop_old_states(run_dir, step, bench.spec.saving.keep_states)
    reporter.restart_clock()
    return step


def resume(run_dir: RunDir, log: EventLog, state: State, *, is_first: bool) -> int:
    """Go on from the newest checkpoint that holds what its manifest says, and return its step; 0 without one.

    A damaged checkpoint is said to be one, and the one before it is tried.
    """
    candidates = [step for step in steps_saved(run_dir) if can_resume(run_dir, step)]
    for step in candidates:
        try:
            differences = restore(run_dir, step, state)
        except BadCheckpoint as error:
            message = f"The checkpoint of step {step} is not used: {error}."
            hint = "Training goes on from the one before it, or from the start when there is none."
            log.append(Warned(message=message, hint=hint))
            continue
        if differences:
            message = "Not all is as it was at the checkpoint, so the result may differ from an unbroken run."
            log.append(Warned(message=message, hint="; ".join(differences)))
        log.append(Resumed(from_step=step))
        if step not in {saved.step for saved in read_state(run_dir.events).checkpoints}:
            log.append(saved_event(run_dir, step))
        return step
    if candidates or not is_first:
        log.append(Resumed(from_step=0))
    return 0


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether something done every so many steps, and at the last, is done at this one."""
    return step % every == 0 or step == steps


def _task(context: RunContext) -> tuple[TrainSpec, list[DatasetRow]]:
    if not isinstance(context.spec, TrainSpec):
        raise BadSpec(f"The run's kind is {context.spec.kind}; train was asked for.", "Start the run again.")
    rows = context.run_dir.read_dataset()
    if not rows:
        raise EmptyDataset("The run's dataset holds no pictures.", "Add pictures to the project and start a new run.")
    return context.spec, rows


def _drawn(run_dir: RunDir, step: int) -> frozenset[int]:
    samples = read_state(run_dir.events).samples
    return frozenset(
        sample.prompt_index for sample in samples if sample.step == step and (run_dir.path / sample.path).is_file()
    )


def _text_identity(base: Path) -> str:
    folders = [*sorted(base.glob("text_encoder*")), *sorted(base.glob("tokenizer*"))]
    return "\n".join(identity_of(folder) for folder in folders)
