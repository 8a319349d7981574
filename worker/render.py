"""Drawing one LoRA at several strengths: base and file loaded as any other program loads them, through diffusers."""

import hashlib
from pathlib import Path

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from app.contract.events import PhaseChanged
from app.contract.spec import RenderSpec
from app.contract.state import read_state
from worker.cache import Conditioning
from worker.context import RunContext
from worker.errors import BadSpec, ModelMissing, OutOfMemory
from worker.families import load
from worker.leaving import checker
from worker.lora import ADAPTER
from worker.lora_header import inspect
from worker.memory import choose_machine
from worker.sampling import Album, Painter, make_scheduler

LOADING_FAULTS = (ValueError, KeyError, RuntimeError, OSError)


def render(context: RunContext) -> None:
    """Draw every prompt at every strength; what an earlier attempt drew stays.

    Raises ModelMissing when base or LoRA file are not what the spec names, Stopped or Interrupted when asked to leave.
    """
    if not isinstance(context.spec, RenderSpec):
        raise BadSpec(f"The run's kind is {context.spec.kind}; render was asked for.", "Start the run again.")
    spec, log, check = context.spec, context.log, checker(context)
    log.append(PhaseChanged(phase="loading"))
    file = checked_lora(spec)
    machine = choose_machine("auto")
    family = load(spec.base, machine.dtype)
    parts = family.parts
    for model in (parts.denoiser, *parts.text_encoders):
        model.to(machine.device)
    pipeline = family.pipeline(make_scheduler(parts.scheduler), is_whole=True)
    load_lora(pipeline, file)
    check()

    painter = Painter(family, machine, spec.sampling, Conditioning(family, machine, None), check)
    album = Album(context.run_dir, log, painter, spec.base.name, file.stem)
    drawn = {
        (sample.prompt_index, sample.strength)
        for sample in read_state(context.run_dir.events).samples
        if (context.run_dir.path / sample.path).is_file()
    }
    wanted = [
        (index, strength)
        for strength in spec.strengths
        for index in range(len(spec.sampling.prompts))
        if (index, strength) not in drawn
    ]
    for done, (index, strength) in enumerate(wanted):
        check()
        log.append(PhaseChanged(phase="sampling", done=done, total=len(wanted)))
        pipeline.set_adapters([ADAPTER], [strength])
        image = painter.draw_if_memory_allows(spec.sampling.prompts[index])
        if image is None:
            raise OutOfMemory(
                f"Memory ran out while a sample of {painter.size} was drawn, also in smaller pieces.",
                "Close other programs that use the GPU, then start the strengths again.",
            )
        album.publish(image, spec.step, index, strength)


def checked_lora(spec: RenderSpec) -> Path:
    """Return the LoRA file once its bytes and family are known to be right. Raises ModelMissing or BadSpec."""
    path = Path(spec.lora_path)
    if not path.is_file():
        raise ModelMissing(
            f"The LoRA file {path} is gone.", "Start the strengths again from a checkpoint that is there."
        )
    facts = inspect(path)
    if facts.uses_dora:
        raise BadSpec(
            f"The LoRA file {path.name} is a DoRA, whose lengths diffusers leaves out: what it drew would be wrong.",
            "Look at the samples of its training instead, or draw it in a program that reads DoRA.",
        )
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != spec.lora_sha256:
            raise ModelMissing(
                f"The LoRA file {path} is not the one this run was started for; its content changed.",
                "Start the strengths again.",
            )
    if facts.family not in (None, spec.base.family):
        raise BadSpec(
            f"The LoRA file {path.name} is for {facts.family}, the base model {spec.base.name} is {spec.base.family}.",
            "Choose a base of the LoRA's family.",
        )
    return path


def load_lora(pipeline: DiffusionPipeline, path: Path) -> None:
    """Load a LoRA file onto a whole pipeline. Raises ModelMissing when any of its layers finds no place."""
    try:
        pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=ADAPTER, local_files_only=True)
    except LOADING_FAULTS as error:
        raise ModelMissing(
            f"The LoRA file {path.name} does not fit the base model: {str(error)[:200]}",
            "Use it with the base model it was trained on.",
        ) from error
