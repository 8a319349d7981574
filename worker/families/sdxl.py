"""Stable Diffusion XL: two text encoders' penultimate states, a pooled text, and where each picture was cropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from app.contract.buckets import Fit
from app.contract.spec import BaseModelRef
from worker.errors import BadSpec
from worker.families.base import Family, Parts, Texts
from worker.families.parts import check_denoiser
from worker.families.reading import Reading, encoded, joined
from worker.families.sgm_names import SgmNames
from worker.families.source import identity, load_schedule, load_vae, open_source, text_identity
from worker.objectives import Objective, read_objective
from worker.single_file import FamilyFiles


@dataclass(frozen=True)
class SDXL:
    """The family's answers over its loaded parts."""

    parts: Parts
    reading: Reading
    text_prefixes: tuple[str, ...] = ("lora_te1", "lora_te2")

    @cached_property
    def objective(self) -> Objective:
        """What the base predicts."""
        return read_objective(self.parts.scheduler)

    @cached_property
    def _names(self) -> SgmNames:
        return SgmNames(self.parts.denoiser)

    def encode_texts(self, texts: Sequence[str]) -> Texts:
        """Return `hidden` [B, chunks x tokens, both widths] and `pooled` [B, second width], of the first chunk.

        The layer before the last is read, as everywhere with this family; clip skip changes nothing.
        """
        hidden, pooled = [], None
        for tokenizer, encoder in zip(self.parts.tokenizers, self.parts.text_encoders, strict=True):
            answer = encoded(encoder, tokenizer, texts, self.reading.chunks)
            hidden.append(joined(answer.hidden_states[-2], len(texts)))
            pooled = answer[0].view(len(texts), self.reading.chunks, -1)[:, 0]
        assert pooled is not None
        return {"hidden": torch.cat(hidden, dim=-1), "pooled": pooled}

    def predict(self, noisy: Tensor, timesteps: Tensor, texts: Texts, places: Sequence[Fit]) -> Tensor:
        """Ask the denoiser, telling it each picture's size, crop and bucket."""
        dtype = self.parts.denoiser.dtype
        added = {"text_embeds": texts["pooled"].to(dtype), "time_ids": time_ids(places).to(noisy.device)}
        answer = self.parts.denoiser(
            noisy.to(dtype), timesteps, texts["hidden"].to(dtype), added_cond_kwargs=added, return_dict=False
        )[0]
        return answer.float()

    def pipeline(self, scheduler: SchedulerMixin, *, is_whole: bool = False) -> StableDiffusionXLPipeline:
        """Return the pipeline, without watermark."""
        first, second = self.parts.text_encoders if is_whole else (None, None)
        tokens, tokens_2 = self.parts.tokenizers if is_whole else (None, None)
        return StableDiffusionXLPipeline(
            vae=self.parts.vae if is_whole else None,
            text_encoder=first,
            text_encoder_2=second,
            tokenizer=tokens,
            tokenizer_2=tokens_2,
            unet=self.parts.denoiser,
            scheduler=scheduler,
            add_watermarker=False,
        )

    def prompt_arguments(self, positive: Texts, negative: Texts) -> dict[str, Tensor]:
        """Name the hidden states and pooled texts."""
        return {
            "prompt_embeds": positive["hidden"],
            "negative_prompt_embeds": negative["hidden"],
            "pooled_prompt_embeds": positive["pooled"],
            "negative_pooled_prompt_embeds": negative["pooled"],
        }

    def denoiser_name(self, path: str) -> str:
        """LoRA files of this family use the names of Stability's own code."""
        return self._names.name(path)


def time_ids(places: Sequence[Fit]) -> Tensor:
    """Return [B, 6] fp32: original height and width, crop top and left, bucket height and width."""
    rows = [
        (
            place.original.height,
            place.original.width,
            place.top,
            place.left,
            place.bucket.height,
            place.bucket.width,
        )
        for place in places
    ]
    return torch.tensor(rows, dtype=torch.float32)


def load(base: BaseModelRef, dtype: torch.dtype, reading: Reading, files: FamilyFiles | None = None) -> Family:
    """Load a base; the VAE in fp32 (it overflows in fp16), the rest in `dtype`."""
    source = open_source(base, "StableDiffusionXLPipeline", files)
    first = source.model(CLIPTextModel, "text_encoder", dtype)
    second = source.model(CLIPTextModelWithProjection, "text_encoder_2", dtype)
    denoiser = source.model(UNet2DConditionModel, "unet", dtype)
    check_denoiser(base, denoiser, first.config.hidden_size + second.config.hidden_size)
    if denoiser.config.addition_embed_type != "text_time":
        raise BadSpec(
            f"The denoiser of {base.name} takes no size conditioning, which every SDXL model has.",
            "Choose another copy of the model.",
        )
    vae = load_vae(base, source)
    tokenizers = (source.tokenizer("tokenizer"), source.tokenizer("tokenizer_2"))
    parts = Parts(
        denoiser=denoiser,
        vae=vae,
        tokenizers=tokenizers,
        text_encoders=(first, second),
        scheduler=load_schedule(base, source),
        vae_identity=identity(vae),
        text_identity=f"{text_identity([first, second], tokenizers)}/{reading.chunks}",
    )
    return SDXL(parts, reading)
