"""What the denoiser learns to predict, how hard each timestep counts, and the noise of every step."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional

from app.contract.base_file import Prediction
from app.contract.spec import Optimization
from worker.errors import BadSpec

MOST_RATIO = 1000.0
"""The debiased weight of clearer pictures than this would vanish."""

SMALLEST_AREA = 1e-6
COARSEST_LEVELS = 10


@dataclass(frozen=True)
class Objective:
    """A prediction over a noise schedule; `signal` [T] is the share of the picture's variance left at each timestep."""

    prediction: Prediction
    signal: Tensor

    @property
    def timesteps(self) -> int:
        """How many timesteps there are."""
        return len(self.signal)

    @property
    def has_zero_snr(self) -> bool:
        """Whether nothing of the picture is left at the last timestep."""
        return bool(self.signal.min() <= 0)

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

    def weights(self, timesteps: Tensor, settings: Optimization) -> Tensor:
        """Return how hard each picture's timestep counts [B].

        min-snr caps the signal-to-noise ratio at gamma; debiased divides by its root (for v by the ratio plus one).
        """
        signal = self.signal.to(timesteps.device)[timesteps]
        if settings.weighting == "none" or (settings.weighting == "min-snr" and settings.min_snr_gamma is None):
            return torch.ones_like(signal)
        ratio = signal / (1 - signal)
        is_epsilon = self.prediction == "epsilon"
        if settings.weighting == "debiased":
            most = ratio.clamp(max=MOST_RATIO)
            return most.rsqrt() if is_epsilon else 1 / (most + 1)
        capped = ratio.clamp(max=settings.min_snr_gamma)
        return capped / ratio if is_epsilon else capped / (ratio + 1)

    def losses(
        self, answer: Tensor, target: Tensor, timesteps: Tensor, settings: Optimization, areas: Tensor | None = None
    ) -> Tensor:
        """Return each picture's weighted mean error [B] in fp32; `areas` [B, 1, h, w] say how much each place counts.

        With areas it is the mean over what they let through, so a small mask counts no less than a large one.
        """
        errors = _errors(answer.float() - target.float(), settings)
        if areas is None:
            means = errors.mean(dim=(1, 2, 3))
        else:
            counted = areas.expand_as(errors).sum(dim=(1, 2, 3)).clamp(min=SMALLEST_AREA)
            means = (errors * areas).sum(dim=(1, 2, 3)) / counted
        return means * self.weights(timesteps, settings)

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
    objective = Objective(prediction, signal)
    if prediction == "epsilon" and objective.has_zero_snr:
        raise BadSpec(
            "The base model's scheduler ends in pure noise, from which epsilon cannot be learnt.",
            "Correct rescale_betas_zero_snr in its scheduler_config.json, or choose another base model.",
        )
    return objective


def seed_of(*parts: int | str) -> int:
    """Return a seed of 63 bits that depends on every part, the same on every machine."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the CPU generator of one step's timesteps and noise; a resumed run draws what an unbroken one draws."""
    return torch.Generator().manual_seed(seed_of(seed, step))


def _errors(apart: Tensor, settings: Optimization) -> Tensor:
    """Square errors; Huber grows straight from delta on, smooth L1 is the same divided by delta."""
    if settings.loss == "l2":
        return apart.square()
    size, delta = apart.abs(), settings.huber_delta
    huber = torch.where(size <= delta, apart.square(), 2 * delta * size - delta * delta)
    return huber if settings.loss == "huber" else huber / delta


@dataclass(frozen=True)
class Noising:
    """Which timesteps are trained at, and what the noise is like; all drawn from the one generator that is given."""

    settings: Optimization
    timesteps: int

    def __post_init__(self) -> None:
        """Raise BadSpec for a range of timesteps that the base does not have."""
        low, high = self.settings.min_timestep, self.settings.max_timestep
        if low > high or low >= self.timesteps:
            raise BadSpec(
                f"Timesteps {low} to {high} leave nothing to train at; the base has 0 to {self.timesteps - 1}.",
                "Set the lowest timestep below the highest.",
            )

    def draw(self, generator: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Draw timesteps [B] and noise [B, C, h, w] for a batch as planned, whether or not each picture can be read."""
        timesteps = self._timesteps(generator, shape[0])
        noise = torch.randn(shape, generator=generator)
        if self.settings.multires_noise:
            noise = _with_coarse_levels(noise, self.settings.multires_noise, generator)
        if self.settings.noise_offset:
            noise = noise + self.settings.noise_offset * torch.randn((*shape[:2], 1, 1), generator=generator)
        return timesteps, noise

    def _timesteps(self, generator: torch.Generator, count: int) -> Tensor:
        low, high = self.settings.min_timestep, min(self.settings.max_timestep, self.timesteps - 1)
        if self.settings.timestep_sampling == "uniform":
            return torch.randint(low, high + 1, (count,), generator=generator)
        shares = torch.randn(count, generator=generator).sigmoid()
        return (low + (shares * (high + 1 - low)).long()).clamp(max=high)


def _with_coarse_levels(noise: Tensor, discount: float, generator: torch.Generator) -> Tensor:
    """Add noise at halved sizes, each level at a discount of the one before, and bring all to unit variance."""
    batch, channels, height, width = noise.shape
    for level in range(1, COARSEST_LEVELS):
        height, width = max(1, height // 2), max(1, width // 2)
        coarse = torch.randn((batch, channels, height, width), generator=generator)
        smooth = functional.interpolate(coarse, size=noise.shape[-2:], mode="bilinear", align_corners=False)
        noise = noise + discount**level * smooth
        if height == 1 or width == 1:
            break
    return noise / noise.std(dim=(1, 2, 3), keepdim=True)
