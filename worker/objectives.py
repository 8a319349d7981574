"""What the denoiser learns to predict, how hard each timestep counts, and the noise of every step."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from worker.errors import BadSpec

Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class Objective:
    """A prediction over a noise schedule; `signal` [T] is the share of the picture's variance left at each timestep."""

    prediction: Prediction
    signal: Tensor

    @property
    def timesteps(self) -> int:
        """How many timesteps there are."""
        return len(self.signal)

    def noisy(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Mix latents and noise [B, C, h, w] as at the timesteps [B]."""
        kept, added = self._shares(latents, timesteps)
        return kept * latents + added * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the denoiser should answer."""
        if self.prediction == "epsilon":
            return noise
        kept, added = self._shares(latents, timesteps)
        return kept * noise - added * latents

    def weights(self, timesteps: Tensor, gamma: float | None) -> Tensor:
        """Return each picture's loss weight [B] by min-SNR: the signal-to-noise ratio capped at gamma."""
        signal = self.signal.to(timesteps.device)[timesteps]
        if gamma is None:
            return torch.ones_like(signal)
        ratio = signal / (1 - signal)
        capped = ratio.clamp(max=gamma)
        return capped / ratio if self.prediction == "epsilon" else capped / (ratio + 1)

    def losses(self, answer: Tensor, target: Tensor, timesteps: Tensor, gamma: float | None) -> Tensor:
        """Return each picture's weighted mean squared error [B] in fp32."""
        errors = (answer.float() - target.float()).square().mean(dim=(1, 2, 3))
        return errors * self.weights(timesteps, gamma)

    def _shares(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        signal = self.signal.to(latents.device)[timesteps].view(-1, 1, 1, 1)
        return signal.sqrt(), (1 - signal).sqrt()


def read_objective(config: Mapping[str, Any]) -> Objective:
    """Read the objective from a scheduler's configuration. Raises BadSpec for a prediction we cannot train."""
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction"):
        raise BadSpec(
            f"The base model's scheduler says it predicts {prediction!r}; epsilon and v_prediction can be trained.",
            "Choose another base model.",
        )
    signal = DDPMScheduler.from_config(dict(config)).alphas_cumprod
    if prediction == "epsilon" and signal.min() <= 0:
        raise BadSpec(
            "The base model's scheduler ends in pure noise, from which epsilon cannot be learnt.",
            "Correct rescale_betas_zero_snr in its scheduler_config.json, or choose another base model.",
        )
    return Objective(prediction, signal)


def seed_of(*parts: int | str) -> int:
    """Return a seed of 63 bits that depends on every part, the same on every machine."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the CPU generator of one step's timesteps and noise; a resumed run draws what an unbroken one draws."""
    return torch.Generator().manual_seed(seed_of(seed, step))


def draw(generator: torch.Generator, timesteps: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Draw timesteps [B] and noise [B, C, h, w] for a batch as planned, whether or not each picture can be read."""
    return torch.randint(0, timesteps, shape[:1], generator=generator), torch.randn(shape, generator=generator)
