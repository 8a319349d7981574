"""Stable Diffusion 1.5: one text encoder, whose last hidden states are the conditioning."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import CLIPTextModel

from app.contract.buckets import Fit
from app.contract.spec import BaseModelRef
from worker.families.base import Family, Parts, Texts
from worker.families.parts import check_denoiser
from worker.families.reading import Reading, check_reading, encoded, joined, with_final_norm
from worker.families.source import identity, load_schedule, load_vae, open_source, text_identity
from worker.objectives import Objective, read_objective
from worker.single_file import FamilyFiles


@dataclass(frozen=True)
class SD15:
    """The family's answers over its loaded parts."""

    parts: Parts
    reading: Reading
    text_prefixes: tuple[str, ...] = ("lora_te",)

    @cached_property
    def objective(self) -> Objective:
        """What the base predicts."""
        return read_objective(self.parts.scheduler)

    def encode_texts(self, texts: Sequence[str]) -> Texts:
        """Return `hidden` [B, chunks x tokens, width]."""
        (encoder,) = self.parts.text_encoders
        answer = encoded(encoder, self.parts.tokenizers[0], texts, self.reading.chunks)
        skip = self.reading.clip_skip
        # A layer that is read early still goes through the last norm, as every program that draws does it.
        hidden = answer.last_hidden_state if skip == 1 else with_final_norm(encoder, answer.hidden_states[-skip])
        return {"hidden": joined(hidden, len(texts))}

    def predict(self, noisy: Tensor, timesteps: Tensor, texts: Texts, places: Sequence[Fit]) -> Tensor:
        """Ask the denoiser; this family looks at no places."""
        dtype = self.parts.denoiser.dtype
        answer = self.parts.denoiser(noisy.to(dtype), timesteps, texts["hidden"].to(dtype), return_dict=False)[0]
        return answer.float()

    def pipeline(self, scheduler: SchedulerMixin, *, is_whole: bool = False) -> StableDiffusionPipeline:
        """Return the pipeline, without safety checker."""
        return StableDiffusionPipeline(
            vae=self.parts.vae if is_whole else None,
            text_encoder=self.parts.text_encoders[0] if is_whole else None,
            tokenizer=self.parts.tokenizers[0] if is_whole else None,
            unet=self.parts.denoiser,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def prompt_arguments(self, positive: Texts, negative: Texts) -> dict[str, Tensor]:
        """Name the hidden states."""
        return {"prompt_embeds": positive["hidden"], "negative_prompt_embeds": negative["hidden"]}

    def denoiser_name(self, path: str) -> str:
        """LoRA files of this family keep diffusers' names."""
        return path


def load(base: BaseModelRef, dtype: torch.dtype, reading: Reading, files: FamilyFiles | None = None) -> Family:
    """Load a base; the VAE in fp32, the rest in `dtype`."""
    source = open_source(base, "StableDiffusionPipeline", files)
    encoder = source.model(CLIPTextModel, "text_encoder", dtype)
    check_reading(base, encoder, reading)
    denoiser = source.model(UNet2DConditionModel, "unet", dtype)
    check_denoiser(base, denoiser, encoder.config.hidden_size)
    vae, tokenizer = load_vae(base, source), source.tokenizer("tokenizer")
    parts = Parts(
        denoiser=denoiser,
        vae=vae,
        tokenizers=(tokenizer,),
        text_encoders=(encoder,),
        scheduler=load_schedule(base, source),
        vae_identity=identity(vae),
        text_identity=f"{text_identity([encoder], [tokenizer])}/{reading}",
    )
    return SD15(parts, reading)
