"""Stable Diffusion 1.5: one text encoder, whose last hidden states are the conditioning."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import CLIPTextModel

from app.contract.buckets import Fit
from app.contract.spec import BaseModelRef
from worker.families.base import Family, Parts, Texts
from worker.families.parts import (
    check_denoiser,
    diffusers_folder,
    load_model,
    load_tokenizer,
    scheduler_of,
    tokenize,
)
from worker.objectives import Objective, read_objective


@dataclass(frozen=True)
class SD15:
    """The family's answers over its loaded parts."""

    parts: Parts
    text_prefixes: tuple[str, ...] = ("lora_te",)

    @cached_property
    def objective(self) -> Objective:
        """What the base predicts."""
        return read_objective(self.parts.scheduler)

    def encode_texts(self, texts: Sequence[str]) -> Texts:
        """Return `hidden` [B, tokens, width]."""
        (encoder,) = self.parts.text_encoders
        ids = tokenize(self.parts.tokenizers[0], list(texts), encoder.config.max_position_embeddings)
        return {"hidden": encoder(ids.to(encoder.device)).last_hidden_state}

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


def load(base: BaseModelRef, dtype: torch.dtype) -> Family:
    """Load a base; the VAE in fp32, the rest in `dtype`."""
    folder = diffusers_folder(base, "StableDiffusionPipeline")
    encoder = load_model(CLIPTextModel, folder / "text_encoder", dtype)
    denoiser = load_model(UNet2DConditionModel, folder / "unet", dtype)
    check_denoiser(base, denoiser, encoder.config.hidden_size)
    return SD15(
        Parts(
            denoiser=denoiser,
            vae=load_model(AutoencoderKL, folder / "vae", torch.float32),
            tokenizers=(load_tokenizer(folder / "tokenizer"),),
            text_encoders=(encoder,),
            scheduler=scheduler_of(folder),
        )
    )
