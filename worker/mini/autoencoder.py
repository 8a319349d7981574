"""The bundled base's autoencoder: its pictures, its training, and the latents that the denoiser learns from."""

import math
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from worker.mini.parts import make_vae
from worker.mini.pictures import BASE_STYLES, SIDE_PX, load_pictures, scaled, to_tensor
from worker.mini.renderings import RENDERINGS
from worker.mini.training import device, keep, update

STEPS, BATCH, RATE = 3000, 24, 2e-3
DOODLES = 1500


def train_autoencoder(work: Path) -> None:
    """L1 + L2 + edges + a little KL; leaves vae.pt, and vae-unfinished.pt to go on from."""
    pictures = autoencoder_pictures(work)
    vae = make_vae().to(device())
    optimizer = torch.optim.AdamW(vae.parameters(), lr=RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    unfinished = work / "vae-unfinished.pt"
    first = 0
    if unfinished.exists():
        kept = torch.load(unfinished, map_location=device())
        vae.load_state_dict(kept["vae"])
        optimizer.load_state_dict(kept["optimizer"])
        first = kept["step"]
    for step in range(first, STEPS):
        generator = torch.Generator().manual_seed(step)
        warm = min(1, (step + 1) / 100)
        optimizer.param_groups[0]["lr"] = RATE * warm * (0.49 * (1 + math.cos(math.pi * step / STEPS)) + 0.02)
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        x = augmented(scaled(pictures[chosen]), generator).to(device())
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device())
        y = vae.decode(posterior.mean + posterior.std * noise).sample
        loss = reconstruction_loss(y, x) + 2e-5 * posterior.kl().mean() / 3
        update(optimizer, loss, list(vae.parameters()))
        if step % 100 == 99:
            keep({"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, unfinished)
            print(f"autoencoder {step + 1}/{STEPS}: loss {loss.item():.4f}", flush=True)
    keep(vae.cpu().state_dict(), work / "vae.pt")


def autoencoder_pictures(work: Path) -> Tensor:
    """The base styles' seen concepts and our own line art, uint8 [n, 3, 64, 64]."""
    known, drawn = load_pictures(work)
    seen = [place for place, concept in enumerate(known) if not concept.is_held_out]
    random = Random(5)
    doodles = np.stack([doodle(random) for _ in range(DOODLES)])
    return to_tensor(np.concatenate([*(drawn[style][seen] for style in BASE_STYLES), doodles]))


def doodle(random: Random) -> np.ndarray:
    """Our own outlined shapes: they put line art within the autoencoder's reach without the unseen style."""
    image = Image.new("RGB", (2 * SIDE_PX, 2 * SIDE_PX), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(random.randint(1, 6)):
        x, y, width, height = (
            random.randint(0, 100),
            random.randint(0, 100),
            random.randint(8, 90),
            random.randint(8, 90),
        )
        fill = None if random.random() < 0.3 else colour(random)
        line, outline = random.randint(2, 7), (0, 0, 0) if random.random() < 0.8 else colour(random)
        points = [(random.randint(0, 127), random.randint(0, 127)) for _ in range(3)]
        shape = random.random()
        if shape < 0.35:
            pen.ellipse((x, y, x + width, y + height), fill=fill, outline=outline, width=line)
        elif shape < 0.6:
            pen.rectangle((x, y, x + width, y + height), fill=fill, outline=outline, width=line)
        elif shape < 0.8:
            pen.line(points, fill=outline, width=line, joint="curve")
        else:
            pen.polygon(points, fill=fill, outline=outline, width=line)
    return np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))


def colour(random: Random) -> tuple[int, int, int]:
    """Any colour."""
    return random.randint(0, 255), random.randint(0, 255), random.randint(0, 255)


def augmented(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored, channels swapped or inverted at times: more colours than the sets have."""
    if torch.rand((), generator=generator) < 0.5:
        x = x.flip(-1)
    if torch.rand((), generator=generator) < 0.3:
        x = x[:, torch.randperm(3, generator=generator)]
    return -x if torch.rand((), generator=generator) < 0.1 else x


def reconstruction_loss(y: Tensor, x: Tensor) -> Tensor:
    """Pixels and edges."""
    off = y - x
    edges = off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()
    return F.l1_loss(y, x) + F.mse_loss(y, x) + 0.5 * edges


@torch.no_grad()
def encode_pictures(work: Path) -> None:
    """Encode every picture of the base styles once in every hand; leaves latents.pt.

    By style [1 + renderings, n, 4, 16, 16], the plain pictures first; these have unit deviation over the base styles.
    """
    _, drawn = load_pictures(work)
    vae = make_vae().to(device()).eval()
    vae.load_state_dict(torch.load(work / "vae.pt"))

    def encoded(pictures: np.ndarray) -> Tensor:
        parts = scaled(to_tensor(pictures)).split(64)
        return torch.cat([vae.encode(part.to(device())).latent_dist.mean.cpu() for part in parts])

    latents = {
        style: torch.stack(
            [encoded(drawn[style])]
            + [encoded(np.stack([render(each) for each in drawn[style]])) for render in RENDERINGS.values()]
        )
        for style in BASE_STYLES
    }
    scaling_factor = 1 / torch.cat([each[0] for each in latents.values()]).std().item()
    scaled_latents = {style: value * scaling_factor for style, value in latents.items()}
    keep({"latents": scaled_latents, "scaling_factor": scaling_factor}, work / "latents.pt")
