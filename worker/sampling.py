"""Drawing prompts: the family's diffusers pipeline around the denoiser as it is now, leaving no trace in training."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from app.contract.events import EventLog, PhaseChanged, SampleDrawn, Warned
from app.contract.rundir import RunDir, publish
from app.contract.spec import Prompt, Sampling
from worker.cache import Conditioning, decode_latents
from worker.families.base import Family
from worker.memory import Machine, on_device, untouched
from worker.shortage import one_by_one, tried

SAMPLER, SPACING = "DPM++ 2M", "Karras"
GUIDED = 2
"""With guidance a prompt and its negative are asked at once."""


def uses_karras(config: Mapping[str, Any]) -> bool:
    """Whether the sampler spaces its steps as Karras does, which it does but on a schedule that ends in noise alone.

    There most of the steps would lie where next to nothing of a picture is left.
    """
    return not config.get("rescale_betas_zero_snr")


def sampler_name(config: Mapping[str, Any]) -> str:
    """The sampler as other programs name it."""
    return f"{SAMPLER} {SPACING}" if uses_karras(config) else SAMPLER


def make_scheduler(config: Mapping[str, Any]) -> DPMSolverMultistepScheduler:
    """Return the sampler, over the base's own noise schedule and prediction."""
    return DPMSolverMultistepScheduler.from_config(
        dict(config) | {"clip_sample": False},
        algorithm_type="dpmsolver++",
        solver_type="midpoint",
        solver_order=2,
        use_karras_sigmas=uses_karras(config),
        steps_offset=1,
    )


@dataclass(frozen=True)
class Painter:
    """Draws prompts with what is loaded; `check` is called between denoising steps and may raise to end the work."""

    family: Family
    machine: Machine
    sampling: Sampling
    conditioning: Conditioning
    check: Callable[[], None]

    @property
    def size(self) -> str:
        """What it draws at, for a person."""
        return f"{self.sampling.width_px} × {self.sampling.height_px} px"

    def draw(self, prompt: Prompt, *, is_frugal: bool = False) -> Image.Image:
        """Draw one prompt; the same weights, prompt and seed give the same picture.

        Frugal takes less memory and more time: one answer of the denoiser at a time, the VAE in tiles.
        """
        parts, is_split = self.family.parts, is_frugal and self.sampling.guidance > 1
        with untouched([parts.denoiser, parts.vae, *parts.text_encoders]):
            with one_by_one(parts.denoiser, GUIDED) if is_split else nullcontext():
                latents = self._denoise(prompt)
            with on_device([parts.vae], self.machine.device):
                return decode_latents(parts, latents, self.machine, in_tiles=is_frugal)

    def draw_if_memory_allows(self, prompt: Prompt) -> Image.Image | None:
        """Draw one prompt, frugally when memory runs out, and not at all when it does so again."""
        device = self.machine.device
        image = tried(lambda: self.draw(prompt), device)
        return tried(lambda: self.draw(prompt, is_frugal=True), device) if image is None else image

    def _denoise(self, prompt: Prompt) -> Tensor:
        parts = self.family.parts
        pipeline = self.family.pipeline(make_scheduler(parts.scheduler))
        pipeline.set_progress_bar_config(disable=True)
        texts = {
            name: tensor.to(self.machine.dtype)
            for name, tensor in self.family.prompt_arguments(
                self.conditioning.of([prompt.text]), self.conditioning.of([prompt.negative])
            ).items()
        }
        latents: Tensor = pipeline(
            **texts,
            latents=self._noise(prompt.seed).to(self.machine.device, self.machine.dtype),
            num_inference_steps=self.sampling.inference_steps,
            guidance_scale=self.sampling.guidance,
            height=self.sampling.height_px,
            width=self.sampling.width_px,
            callback_on_step_end=self._between_steps,
            output_type="latent",
        ).images
        return latents

    def _noise(self, seed: int) -> Tensor:
        parts = self.family.parts
        shape = (
            1,
            parts.denoiser.config.in_channels,
            self.sampling.height_px // parts.latent_scale,
            self.sampling.width_px // parts.latent_scale,
        )
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def _between_steps(
        self, _pipeline: DiffusionPipeline, _step: int, _timestep: Tensor, tensors: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        self.check()
        return tensors


@dataclass(frozen=True)
class Album:
    """Publishes a run's samples: the picture first, with its parameters inside, then the event that points to it."""

    run_dir: RunDir
    log: EventLog
    painter: Painter
    base_name: str
    lora_name: str

    def draw_all(self, step: int, strength: float = 1.0, drawn: frozenset[int] = frozenset()) -> None:
        """Draw every prompt at a step, but for the indices already drawn; too little memory ends but the drawing."""
        prompts = self.painter.sampling.prompts
        missing = [index for index in range(len(prompts)) if index not in drawn]
        for done, index in enumerate(missing):
            self.painter.check()
            self.log.append(PhaseChanged(phase="sampling", done=done, total=len(missing)))
            image = self.painter.draw_if_memory_allows(prompts[index])
            if image is None:
                # The others are as large.
                self._give_up(step, len(missing) - done)
                return
            self.publish(image, step, index, strength)

    def _give_up(self, step: int, count: int) -> None:
        left_out = "1 sample" if count == 1 else f"{count} samples"
        self.log.append(
            Warned(
                message=f"{left_out} of step {step:,} left out: memory ran out at {self.painter.size}, also when drawn "
                "in smaller pieces. Training goes on.",
                hint="Draw smaller samples, or close other programs that use the GPU.",
            )
        )

    def publish(self, image: Image.Image, step: int, index: int, strength: float) -> None:
        """Publish one drawn picture."""
        prompt = self.painter.sampling.prompts[index]
        path = self.run_dir.sample(step, index, prompt.seed, strength)
        publish(path, to_png(image, self._parameters(prompt, step, strength)))
        self.log.append(
            SampleDrawn(
                step=step,
                prompt_index=index,
                prompt=prompt.text,
                seed=prompt.seed,
                strength=strength,
                path=path.relative_to(self.run_dir.path).as_posix(),
            )
        )

    def _parameters(self, prompt: Prompt, step: int, strength: float) -> str:
        sampling, sampler = self.painter.sampling, sampler_name(self.painter.family.parts.scheduler)
        return (
            f"{prompt.text}\nNegative prompt: {prompt.negative}\nSteps: {sampling.inference_steps}, "
            f"Sampler: {sampler}, CFG scale: {sampling.guidance}, Seed: {prompt.seed}, "
            f"Size: {sampling.width_px}x{sampling.height_px}, Model: {self.base_name}, "
            f"LoRA: {self.lora_name}, LoRA step: {step}, LoRA strength: {strength:g}"
        )


def to_png(image: Image.Image, parameters: str) -> bytes:
    """Return the picture as PNG with the parameters in the text chunk that image programs read."""
    text = PngInfo()
    text.add_itxt("parameters", parameters)
    buffer = BytesIO()
    image.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()
