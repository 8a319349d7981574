"""What a family of models answers: encode pixels and texts, predict; and the parts it answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from app.contract.buckets import Fit
from worker.objectives import Objective

Texts = dict[str, Tensor]
"""What a denoiser needs of texts, by name; the first axis of every tensor is the batch."""


@dataclass(frozen=True)
class Parts:
    """The models of one base, frozen, in eval mode, loaded on the CPU; `scheduler` is the base's own configuration.

    The identities are hashes of what latents and conditioning depend on: equal content, equal identity.
    """

    denoiser: UNet2DConditionModel
    vae: AutoencoderKL
    tokenizers: tuple[CLIPTokenizer, ...]
    text_encoders: tuple[CLIPTextModel | CLIPTextModelWithProjection, ...]
    scheduler: Mapping[str, Any]
    vae_identity: str = ""
    text_identity: str = ""

    @property
    def latent_scale(self) -> int:
        """Pixels along one side of one latent position."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)


class Family(Protocol):
    """One architecture line. Tensors go in and come out on the device of the model that is asked."""

    @property
    def parts(self) -> Parts:
        """The loaded models."""
        ...

    @property
    def objective(self) -> Objective:
        """What the denoiser predicts, read from the base's scheduler."""
        ...

    @property
    def text_prefixes(self) -> tuple[str, ...]:
        """What the names of each text encoder's LoRA modules begin with in a LoRA file."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Texts:
        """Turn training texts or prompts into conditioning."""
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, texts: Texts, places: Sequence[Fit]) -> Tensor:
        """Return the denoiser's answer [B, C, h, w] as fp32; `places` say how each picture lies in its bucket."""
        ...

    def pipeline(self, scheduler: SchedulerMixin, *, is_whole: bool = False) -> DiffusionPipeline:
        """Return the family's diffusers pipeline around the denoiser, or around every part."""
        ...

    def prompt_arguments(self, positive: Texts, negative: Texts) -> dict[str, Tensor]:
        """Name conditioning as the family's pipeline takes it."""
        ...

    def denoiser_name(self, path: str) -> str:
        """Return the dotted name that a LoRA file gives the denoiser's module at `path`."""
        ...
