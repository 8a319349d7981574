"""Training one LoRA, from its run folder to its last checkpoint, in the order in which things happen."""

from datetime import UTC, datetime
from traceback import clear_frames

import torch
from torch import Tensor

from app.contract.events import EventLog, PhaseChanged, Resumed, Warned
from app.contract.rundir import RunDir
from app.contract.spec import Optimization
from app.contract.state import read_state
from worker.bench import Bench, Task, set_up, task_of
from worker.cache import Conditioning
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
from worker.errors import MEMORY_FAULTS, Interrupted, NonFiniteLoss, Stopped, is_out_of_memory
from worker.families.base import Family
from worker.feed import Batch
from worker.lora_file import Training
from worker.memory import choose_machine, limit_memory
from worker.objectives import seed_of
from worker.optim import check_optimizer, is_finite, is_overflowing, set_rates
from worker.progress import Reporter
from worker.shortage import give_back, out_of_memory_in_words, ran_out
from worker.team import ALONE, Team
from worker.updates import make_updates
from worker.validation import HELD_OUT


def train(context: RunContext, team: Team = ALONE) -> None:
    """Run a training spec to its end, going on from the newest good checkpoint.

    Raises Stopped or Interrupted once the work so far is saved, and a WorkerError in words for what cannot go on.
    """
    spec, rows = task_of(context)
    machine = choose_machine(spec.optimization.precision)
    check_optimizer(spec.optimization.optimizer, machine.device)
    limit_memory(machine, spec.optimization.memory_limit_gb)
    with out_of_memory_in_words(spec, machine.device, context.run_dir):
        work(set_up(context, Task(spec, rows, machine, team)))


def work(bench: Bench) -> None:
    """Train what lies ready on the bench. Raises as `train`."""
    spec, family, settings = bench.spec, bench.family, bench.spec.optimization
    context, team = bench.context, bench.team
    prepare(bench)
    updates = make_updates(bench.lora, bench.machine, settings, team)
    state = updates.state

    step = saved = resume(context.run_dir, context.log, state, is_first=context.attempt <= 1)
    look(bench, state, step, drawn=_drawn(context.run_dir, step))

    reporter = Reporter(
        context.log, settings.steps, bench.machine.device, bench.feed.names_of, checks_gradients=state.scaler is None
    )
    context.log.append(PhaseChanged(phase="training", done=step, total=settings.steps))
    reporter.restart_clock()
    is_between = True
    try:
        while step < settings.steps:
            bench.agree()
            if step >= settings.text_encoder_stop_step > 0:
                bench.lora.freeze_text()
            rate = set_rates(state.optimizer, settings, step)
            torch.manual_seed(seed_of(settings.seed, step, "dropout", *team.own_seed))
            batches = bench.feed.of_step(step)
            pictures = team.total(sum(len(batch) for batch in batches))
            loss = torch.zeros((), device=bench.machine.device)
            for batch in batches:
                bench.check()
                with updates.autocast():
                    part = losses_of(family, bench.conditioning, batch, settings).sum() / pictures
                updates.backward(part)
                loss += part.detach()
            is_between = False
            norm = updates.finish(step + 1, loss)
            step, is_between = step + 1, True
            reporter.record(step, loss, norm, pictures, rate)
            if is_due(step, spec.saving.every_steps, settings.steps):
                saved = save(bench, state, reporter, step)
            if _looks_at(bench, step):
                reporter.flush()
                look(bench, state, step)
                reporter.restart_clock()
    except (Stopped, Interrupted):
        if step > saved:
            save(bench, state, reporter, step)
        raise
    except MEMORY_FAULTS as error:
        # In the middle of an update some weights would be those of the next step.
        rescue(bench, state, reporter, error, step if is_between and step > saved else None)
        raise ran_out(spec, bench.machine.device, f"in step {step + 1:,}") from error


def prepare(bench: Bench) -> None:
    """Bring the denoiser to the device in the form it trains in."""
    parts, spec = bench.family.parts, bench.spec
    parts.denoiser.to(bench.machine.device)
    if spec.optimization.gradient_checkpointing:
        parts.denoiser.enable_gradient_checkpointing()
    if spec.network.dropout:
        for model in (parts.denoiser, *parts.text_encoders):
            model.train()


def losses_of(family: Family, conditioning: Conditioning, batch: Batch, settings: Optimization) -> Tensor:
    """Return each picture's weighted loss [B] of one forward pass."""
    objective = family.objective
    noisy = objective.noisy(batch.latents, batch.noise, batch.timesteps)
    answer = family.predict(noisy, batch.timesteps, conditioning.of(batch.texts), batch.places)
    target = objective.target(batch.latents, batch.noise, batch.timesteps)
    return objective.losses(answer, target, batch.timesteps, settings, batch.areas) * batch.weights


def look(bench: Bench, state: State, step: int, drawn: frozenset[int] = frozenset()) -> None:
    """Measure and draw what is due at a step, with the weights that would be saved, but for samples already drawn."""
    if not bench.team.is_leader:
        return
    steps, log = bench.spec.optimization.steps, bench.context.log
    with state.shown():
        if bench.examiner.is_due(step, steps):
            before = read_state(bench.context.run_dir.events)
            if (step, HELD_OUT) not in {(metric.step, metric.name) for metric in before.metrics}:
                bench.examiner.report(step, log, before)
        if is_due(step, bench.spec.sampling.every_steps, steps):
            bench.album.draw_all(step, drawn=drawn)


def _looks_at(bench: Bench, step: int) -> bool:
    steps = bench.spec.optimization.steps
    return is_due(step, bench.spec.sampling.every_steps, steps) or bench.examiner.is_due(step, steps)


def save(bench: Bench, state: State, reporter: Reporter, step: int) -> int:
    """Publish a checkpoint and return its step. Raises NonFiniteLoss, having saved nothing, when training broke."""
    run_dir, log = bench.context.run_dir, bench.context.log
    reporter.flush()
    if not is_finite(bench.lora):
        names = ", ".join(bench.feed.names_of(step - 1))
        raise NonFiniteLoss(f"Step {step} left weights that are not numbers; its pictures: {names}.", reporter.way_out)
    if is_overflowing(state.scaler):
        message = f"By step {step} the gradients overflow fp16 at every scale: nothing is learnt."
        raise NonFiniteLoss(message, reporter.way_out)
    if bench.team.is_leader:
        reporter.measure()
        log.append(PhaseChanged(phase="saving"))
        training = Training(
            spec=bench.spec,
            rows=bench.rows,
            batches_per_epoch=bench.order.batches_per_epoch,
            step=step,
            objective=bench.family.objective,
            started_at=read_state(run_dir.events).claimed_at or datetime.now(UTC),
            finished_at=datetime.now(UTC),
        )
        log.append(save_checkpoint(run_dir, bench.lora, state, training))
        drop_old_states(run_dir, step, bench.spec.saving.keep_states)
    bench.team.wait()
    reporter.restart_clock()
    return step


def rescue(bench: Bench, state: State, reporter: Reporter, error: Exception, step: int | None) -> None:
    """Save the step that was reached when memory ran out, as far as memory allows. Raises any other error again."""
    if not is_out_of_memory(error):
        raise error
    # Other processes are in the step, and would be waited for without end.
    if step is None or bench.team.size > 1:
        return
    clear_frames(error.__traceback__)
    state.optimizer.zero_grad()
    give_back(bench.machine.device)
    try:
        save(bench, state, reporter, step)
    except MEMORY_FAULTS as another:
        if not is_out_of_memory(another):
            raise


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


def _drawn(run_dir: RunDir, step: int) -> frozenset[int]:
    samples = read_state(run_dir.events).samples
    return frozenset(
        sample.prompt_index for sample in samples if sample.step == step and (run_dir.path / sample.path).is_file()
    )
