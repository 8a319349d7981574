"""A trainer without torch: real event log, checkpoints, resume and leaving; its weights are a chain of hashes.

Reads `toy.json` in the run folder for how long a step takes and what is to go wrong. It is started like the real
child, by way of worker.child.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from app.contract.events import CheckpointSaved, PhaseChanged, Progress, Resumed
from app.contract.rundir import RunDir, publish, publish_dir
from app.contract.spec import RunKind, TrainSpec
from worker.child import Work, main
from worker.context import RunContext
from worker.errors import CudaBroken, Interrupted, Stopped

PID = "toy.pid"
STAGING = ".staging"


@dataclass(frozen=True)
class Toy:
    """How it behaves: the seconds a step takes, and at which step which fault happens, in how many attempts."""

    step_s: float = 0.0
    fault: str = ""
    fault_step: int = 0
    fault_attempts: int = 99


def weights_after(steps: int) -> str:
    """What an unbroken run of so many steps ends with."""
    weights = ""
    for step in range(1, steps + 1):
        weights = hashlib.sha256(f"{weights} {step}".encode()).hexdigest()
    return weights


def train(context: RunContext) -> None:
    """Train, in time order, as the real one does."""
    assert isinstance(context.spec, TrainSpec)
    run_dir, steps, every = context.run_dir, context.spec.optimization.steps, context.spec.saving.every_steps
    toy = Toy(**json.loads((run_dir.path / "toy.json").read_text()))
    publish(run_dir.path / PID, str(os.getpid()).encode())
    context.log.append(PhaseChanged(phase="loading"))
    done, weights = resume(run_dir)
    if done:
        context.log.append(Resumed(from_step=done))
    for step in range(done + 1, steps + 1):
        leave_if_asked(context, toy, step - 1, weights)
        time.sleep(toy.step_s)
        weights = hashlib.sha256(f"{weights} {step}".encode()).hexdigest()
        context.log.append(
            Progress(step=step, steps=steps, losses=(1 / step,), learning_rate=1e-4, images_per_s=1, eta_s=1)
        )
        if step == toy.fault_step and context.attempt <= toy.fault_attempts:
            go_wrong(toy.fault)
        if step % every == 0 or step == steps:
            save(context, toy, step, weights)


def resume(run_dir: RunDir) -> tuple[int, str]:
    """The newest checkpoint's step and weights."""
    names = sorted(path.name for path in run_dir.checkpoints.glob("step-*"))
    if not names:
        return 0, ""
    step = int(names[-1].removeprefix("step-"))
    return step, run_dir.lora(step).read_text()


def leave_if_asked(context: RunContext, toy: Toy, step: int, weights: str) -> None:
    """Save and leave when somebody asked for it."""
    if toy.fault == "deaf":
        return
    for is_asked, leaving in ((context.wants_stop, Stopped), (context.wants_interrupt, Interrupted)):
        if is_asked():
            if step and not context.run_dir.checkpoint(step).exists():
                save(context, toy, step, weights)
            raise leaving


def save(context: RunContext, toy: Toy, step: int, weights: str) -> None:
    """Publish a checkpoint, slowly if wanted."""
    staging = context.run_dir.checkpoints / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    (staging / "lora.safetensors").write_text(weights)
    if toy.fault == "hang-saving" and step == toy.fault_step and context.attempt <= toy.fault_attempts:
        time.sleep(3600)
    publish_dir(staging, context.run_dir.checkpoint(step))
    path = context.run_dir.lora(step).relative_to(context.run_dir.path).as_posix()
    sha256 = hashlib.sha256(weights.encode()).hexdigest()
    context.log.append(CheckpointSaved(step=step, path=path, size_bytes=len(weights), sha256=sha256))


def go_wrong(fault: str) -> None:
    """Do what was ordered."""
    match fault:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            print("a last word", file=sys.stderr, flush=True)
            os._exit(3)
        case "hang":
            time.sleep(3600)
        case "memory":
            raise MemoryError("tried to allocate 20 GiB")
        case "cuda":
            raise CudaBroken("CUDA error: device-side assert triggered", "Restart the machine.")
        case "bug":
            raise ZeroDivisionError("division by zero")
        case _:
            pass


def choose(_kind: RunKind) -> Work:
    """The toy does every kind of run."""
    return train


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), choose))
