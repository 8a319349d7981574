"""Ground truth for the bundled base: what was drawn, in which style, and how near it lies to true pictures.

Distances are taken in the bundled autoencoder's latents, scaled to unit variance: there a shift of hue or a soft edge
counts for less than in pixels, and the space is the one that the denoiser itself is trained in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch import Tensor, nn

from worker.mini.pictures import BASE_STYLES, UNSEEN_STYLE, Concept, load_pictures, scaled, to_tensor
from worker.mini.recipe import STYLE_WORDS

STYLES = (*BASE_STYLES, UNSEEN_STYLE)
INFERENCE_STEPS = 20
AT_ONCE = 25


@dataclass(frozen=True)
class Truth:
    """Every concept in every style: pixels uint8 [n, 3, 64, 64] and latents [n, 1024] by style, in the same order."""

    concepts: list[Concept]
    pixels: dict[str, Tensor]
    latents: dict[str, Tensor]

    def places(self, *, is_held_out: bool) -> list[int]:
        """Where the concepts stand that training saw, or did not see."""
        return [place for place, concept in enumerate(self.concepts) if concept.is_held_out == is_held_out]


def load_truth(work: Path, vae: AutoencoderKL) -> Truth:
    """Read the pictures of the recipe's work folder, and encode them by a base's autoencoder."""
    concepts, drawn = load_pictures(work)
    pixels = {style: to_tensor(drawn[style]) for style in STYLES}
    return Truth(concepts, pixels, {style: encode(vae, scaled(each)) for style, each in pixels.items()})


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Pixels [n, 3, 64, 64] from -1 to 1 → latents [n, 1024] of unit variance."""
    parts = [vae.encode(part).latent_dist.mode().flatten(1) for part in pixels.split(64)]
    return torch.cat(parts) * vae.config.scaling_factor


def load_base(folder: Path) -> StableDiffusionPipeline:
    """Load a base for drawing, fp32 on the CPU."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, torch_dtype=torch.float32, safety_checker=None, requires_safety_checker=False
    )
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: StableDiffusionPipeline, prompts: Sequence[str], guidance: float, seed: int = 0) -> Tensor:
    """Draw one sample a prompt; pixels [n, 3, 64, 64] from -1 to 1. Seeds count up from `seed`."""
    drawn = []
    for first in range(0, len(prompts), AT_ONCE):
        part = list(prompts[first : first + AT_ONCE])
        generators = [torch.Generator().manual_seed(seed + first + place) for place in range(len(part))]
        answer = pipeline(
            part,
            num_inference_steps=INFERENCE_STEPS,
            guidance_scale=guidance,
            generator=generators,
            height=64,
            width=64,
            output_type="pt",
        )
        drawn.append(answer.images.float() * 2 - 1)
    return torch.cat(drawn)


def likeness(latents: Tensor, gallery: Tensor) -> Tensor:
    """Cosine of latents [n, 1024] and gallery pictures [m, 1024], both less the gallery's mean: [n, m], -1 to 1.

    What all pictures of a style share, a white edge and a thing in the middle, says nothing of which thing it is, and a
    pale sample lies near every pale picture by distance. Among true pictures this finds the same concept in another of
    the base styles in 16 to 27 % of cases, plain distance in 8 to 19 %.
    """
    mean = gallery.mean(dim=0)
    return F.normalize(latents - mean) @ F.normalize(gallery - mean).T


def words(concept: Concept, style: str | None = None, keywords: int = 2) -> str:
    """The prompt for a concept, in the way its captions were written."""
    said = [concept.name, *concept.keywords[:keywords]]
    return ", ".join(said + ([f"{STYLE_WORDS[style]} style"] if style else []))


@dataclass
class StyleJudge:
    """A small convolutional classifier of drawing styles, trained on true pictures of concepts that training saw."""

    net: nn.Sequential = field(default_factory=lambda: _make_net())
    accuracy: float = 0.0

    def fit(self, truth: Truth, vae: AutoencoderKL, epochs: int = 8) -> None:
        """Train, on pictures as they come and as the autoencoder gives them back; measure on held-out concepts."""
        torch.manual_seed(0)
        x, y = _labelled(truth, truth.places(is_held_out=False), vae)
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=2e-3, weight_decay=1e-2)
        self.net.train()
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * (1 - epoch / epochs)
            for part in torch.randperm(len(x)).split(64):
                batch = x[part] + 0.05 * torch.randn(len(part), 3, 64, 64)
                loss = F.cross_entropy(self.net(batch), y[part], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        held_x, held_y = _labelled(truth, truth.places(is_held_out=True), vae)
        self.accuracy = (self.name_of(held_x) == held_y).float().mean().item()

    @torch.no_grad()
    def name_of(self, pixels: Tensor) -> Tensor:
        """The style's place in STYLES of each picture [n, 3, 64, 64] from -1 to 1."""
        self.net.eval()
        return torch.cat([self.net(part).argmax(dim=1) for part in pixels.split(128)])

    def share(self, pixels: Tensor, style: str) -> float:
        """The share of pictures that are nearest to a style."""
        return (self.name_of(pixels) == STYLES.index(style)).float().mean().item()


def _make_net() -> nn.Sequential:
    torch.manual_seed(0)

    def block(inner: int, outer: int) -> list[nn.Module]:
        return [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.BatchNorm2d(outer), nn.ReLU()]

    return nn.Sequential(
        *block(3, 24),
        *block(24, 48),
        *block(48, 96),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(384, len(STYLES)),
    )


def _labelled(truth: Truth, places: Sequence[int], vae: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """Pictures with their style; the autoencoder's own blur is shown too, so that it gives no sample away."""
    x, y = [], []
    for number, style in enumerate(STYLES):
        true = scaled(truth.pixels[style][list(places)])
        latents = truth.latents[style][list(places)].view(-1, 4, 16, 16) / vae.config.scaling_factor
        with torch.no_grad():
            decoded = torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in latents.split(64)])
        x += [true, decoded]
        y.append(torch.full((2 * len(places),), number))
    return torch.cat(x), torch.cat(y)


def sheet(pixels: Tensor, columns: int, path: Path, scale: int = 2) -> None:
    """Save samples [n, 3, 64, 64] as one picture, row by row."""
    from PIL import Image  # noqa: PLC0415 - only to look

    shown = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    rows = [np.concatenate(shown[first : first + columns], axis=1) for first in range(0, len(shown), columns)]
    width = max(row.shape[1] for row in rows)
    full = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    image = Image.fromarray(np.concatenate(full))
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)


def choose(places: Sequence[int], count: int, seed: int = 0) -> list[int]:
    """Some of the places, the same every time."""
    return Random(seed).sample(list(places), count)
