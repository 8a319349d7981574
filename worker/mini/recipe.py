"""How the bundled base is made: `python -m worker.mini.recipe --work DIR --to DIR [--go-on-from DIR]`.

Pictures → autoencoder → latents → denoiser with text encoder → a diffusers folder. Every stage leaves its result in
the work folder and goes on where it was cut off. Seeded; the same machine and versions give the same weights. Needs
`npm` and `pip install resvg-py`. On two CPU cores the autoencoder takes a quarter of an hour and the denoiser about a
second a step; it wants some 20,000 steps, so a GPU, which is used when there is one, makes this minutes.
"""

import argparse
import json
import math
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel

from worker.mini.parts import make_scheduler, make_text_encoder, make_tokenizer, make_unet, make_vae
from worker.mini.pictures import BASE_STYLES, SIDE_PX, UNSEEN_STYLE, Concept, concepts, fetch, rasterise

STYLE_WORDS = {"noto": "noto", "twemoji": "twemoji", "fluent": "fluent flat", UNSEEN_STYLE: "openmoji"}
VAE_STEPS, VAE_BATCH, VAE_RATE = 3000, 24, 2e-3
STEPS, BATCH, RATE = 30_000, 32, 1e-3
EMA_DECAY = 0.999
SAVE_S = 240
DOODLES = 1500


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep(thing: object, path: Path) -> None:
    """Save whole or not at all."""
    beside = path.with_suffix(".part")
    torch.save(thing, beside)
    os.replace(beside, path)


def load_pictures(work: Path) -> tuple[list[Concept], dict[str, np.ndarray]]:
    """Concepts, and uint8 [n, 64, 64, 3] pictures by style in the same order."""
    fetch(work / "packages")
    known = concepts(work / "packages")
    path = work / "pictures.npz"
    if not path.exists():
        keys = [concept.key for concept in known]
        drawn = {style: rasterise(work / "packages", style, keys) for style in (*BASE_STYLES, UNSEEN_STYLE)}
        np.savez(path, allow_pickle=False, **drawn)
    with np.load(path) as stored:
        return known, {style: stored[style] for style in stored.files}


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


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [n, h, w, 3] → uint8 [n, 3, h, w]."""
    return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).contiguous()


def scaled(pictures: Tensor) -> Tensor:
    """0…255 → -1…1."""
    return pictures.float() / 127.5 - 1


def augmented(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored, channels swapped or inverted at times: more colours than the sets have."""
    if torch.rand((), generator=generator) < 0.5:
        x = x.flip(-1)
    if torch.rand((), generator=generator) < 0.3:
        x = x[:, torch.randperm(3, generator=generator)]
    return -x if torch.rand((), generator=generator) < 0.1 else x


def train_autoencoder(work: Path) -> None:
    """L1 + L2 + edges + a little KL; leaves vae.pt, and vae-unfinished.pt to go on from."""
    pictures = autoencoder_pictures(work)
    vae = make_vae().to(device())
    optimizer = torch.optim.AdamW(vae.parameters(), lr=VAE_RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    unfinished = work / "vae-unfinished.pt"
    first = 0
    if unfinished.exists():
        kept = torch.load(unfinished, map_location=device())
        vae.load_state_dict(kept["vae"])
        optimizer.load_state_dict(kept["optimizer"])
        first = kept["step"]
    for step in range(first, VAE_STEPS):
        generator = torch.Generator().manual_seed(step)
        warm = min(1, (step + 1) / 100)
        optimizer.param_groups[0]["lr"] = VAE_RATE * warm * (0.49 * (1 + math.cos(math.pi * step / VAE_STEPS)) + 0.02)
        chosen = torch.randint(len(pictures), (VAE_BATCH,), generator=generator)
        x = augmented(scaled(pictures[chosen]), generator).to(device())
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device())
        y = vae.decode(posterior.mean + posterior.std * noise).sample
        loss = reconstruction_loss(y, x) + 2e-5 * posterior.kl().mean() / 3
        update(optimizer, loss, list(vae.parameters()))
        if step % 100 == 99:
            keep({"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, unfinished)
            print(f"autoencoder {step + 1}/{VAE_STEPS}: loss {loss.item():.4f}", flush=True)
    keep(vae.cpu().state_dict(), work / "vae.pt")


def autoencoder_pictures(work: Path) -> Tensor:
    """The base styles' seen concepts and our own line art, uint8 [n, 3, 64, 64]."""
    known, drawn = load_pictures(work)
    seen = [place for place, concept in enumerate(known) if not concept.is_held_out]
    random = Random(5)
    doodles = np.stack([doodle(random) for _ in range(DOODLES)])
    return to_tensor(np.concatenate([*(drawn[style][seen] for style in BASE_STYLES), doodles]))


def update(optimizer: torch.optim.Optimizer, loss: Tensor, weights: list[Tensor]) -> None:
    """One clipped step."""
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()


def reconstruction_loss(y: Tensor, x: Tensor) -> Tensor:
    """Pixels and edges."""
    off = y - x
    edges = off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()
    return F.l1_loss(y, x) + F.mse_loss(y, x) + 0.5 * edges


@torch.no_grad()
def encode_pictures(work: Path) -> None:
    """Encode every picture once; leaves latents.pt with unit deviation over the base styles."""
    _, drawn = load_pictures(work)
    vae = make_vae().to(device()).eval()
    vae.load_state_dict(torch.load(work / "vae.pt"))
    latents = {
        style: torch.cat(
            [vae.encode(scaled(part).to(device())).latent_dist.mean.cpu() for part in to_tensor(pictures).split(64)]
        )
        for style, pictures in drawn.items()
    }
    scaling_factor = 1 / torch.cat([latents[style] for style in BASE_STYLES]).std().item()
    scaled_latents = {style: value * scaling_factor for style, value in latents.items()}
    keep({"latents": scaled_latents, "scaling_factor": scaling_factor}, work / "latents.pt")


def caption(concept: Concept, style: str, random: Random) -> str:
    """One of many ways to say it; empty one time in ten, for guidance."""
    words = [concept.name, *random.sample(concept.keywords, min(len(concept.keywords), random.randint(0, 3)))]
    said = f"{STYLE_WORDS[style]} style"
    way = random.random()
    if way < 0.1:
        return ""
    if way < 0.2:
        words = words[:1]
    if way < 0.75:
        return ", ".join([*words, said])
    return ", ".join([said, *words]) if way < 0.9 else ", ".join(words)


@dataclass
class Denoiser:
    """Denoiser and text encoder in training, with the running average that is shipped."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    optimizer: torch.optim.Optimizer
    average: list[Tensor]
    step: int = 0

    @property
    def weights(self) -> list[Tensor]:
        """Everything that learns, in a fixed order."""
        return [*self.unet.parameters(), *self.text_encoder.parameters()]

    def keep(self, path: Path) -> None:
        """Save all that is needed to go on."""
        parts = {"unet": self.unet, "text_encoder": self.text_encoder, "optimizer": self.optimizer}
        states = {name: part.state_dict() for name, part in parts.items()}
        keep({**states, "average": self.average, "step": self.step}, path)


def start_from(base: Path, work: Path) -> None:
    """Fill an empty work folder from a finished base, so that its training goes on; nothing there is replaced."""
    if not (work / "vae.pt").exists():
        keep(load_file(base / "vae" / "diffusion_pytorch_model.safetensors"), work / "vae.pt")
    if (work / "denoiser.pt").exists():
        return
    made = start_denoiser(work / "denoiser.pt")
    made.unet.load_state_dict(load_file(base / "unet" / "diffusion_pytorch_model.safetensors"))
    made.text_encoder.load_state_dict(load_file(base / "text_encoder" / "model.safetensors"))
    made.average = [weight.detach().clone() for weight in made.weights]
    made.keep(work / "denoiser.pt")


def start_denoiser(path: Path) -> Denoiser:
    """New parts, or those of an unfinished training."""
    unet, text_encoder = make_unet().to(device()).train(), make_text_encoder().to(device()).train()
    weights = [*unet.parameters(), *text_encoder.parameters()]
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": 0.01},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99))
    made = Denoiser(unet, text_encoder, optimizer, [weight.detach().clone() for weight in weights])
    if path.exists():
        kept = torch.load(path, map_location=device())
        unet.load_state_dict(kept["unet"])
        text_encoder.load_state_dict(kept["text_encoder"])
        optimizer.load_state_dict(kept["optimizer"])
        made.average, made.step = kept["average"], kept["step"]
    return made


def train_denoiser(work: Path, steps: int) -> None:
    """Train denoiser and text encoder together, averaging their weights; leaves denoiser.pt and goes on from it."""
    known, _ = load_pictures(work)
    latents = torch.load(work / "latents.pt")["latents"]
    seen = [place for place, concept in enumerate(known) if not concept.is_held_out]
    tokenizer, scheduler = make_tokenizer(work), make_scheduler()
    weight_at = (5 * (1 - scheduler.alphas_cumprod)).clamp(max=1)
    model = start_denoiser(work / "denoiser.pt")
    saved_at, losses = time.monotonic(), deque[float](maxlen=50)
    for step in range(model.step, steps):
        rate = RATE * min(1, (step + 1) / 300) * min(1, max(0.02, (steps - step) / (0.3 * steps)))
        for group in model.optimizer.param_groups:
            group["lr"] = rate
        random, generator = Random(11_000_000 + step), torch.Generator().manual_seed(step)
        drawn = [(random.choice(BASE_STYLES), random.choice(seen)) for _ in range(BATCH)]
        x = torch.stack([latents[style][place] for style, place in drawn])
        texts = [caption(known[place], style, random) for style, place in drawn]
        ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        t = torch.randint(0, 1000, (BATCH,), generator=generator)
        noise = torch.randn(x.shape, generator=generator)
        noisy, wanted = scheduler.add_noise(x, noise, t).to(device()), scheduler.get_velocity(x, noise, t).to(device())
        conditioning = model.text_encoder(ids.to(device())).last_hidden_state
        error = (model.unet(noisy, t.to(device()), conditioning).sample - wanted).square().mean((1, 2, 3))
        loss = (weight_at[t].to(device()) * error).mean()
        update(model.optimizer, loss, model.weights)
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        torch._foreach_lerp_(model.average, [weight.detach() for weight in model.weights], 1 - decay)
        model.step = step + 1
        losses.append(loss.item())
        if model.step % 50 == 0:
            print(f"denoiser {model.step}/{steps}: loss {np.mean(losses):.4f}", flush=True)
        if time.monotonic() - saved_at > SAVE_S or model.step == steps:
            model.keep(work / "denoiser.pt")
            saved_at = time.monotonic()


def write_base(work: Path, to: Path) -> None:
    """Write the averaged weights as a diffusers folder in fp16."""
    kept = torch.load(work / "denoiser.pt", map_location="cpu")
    vae = make_vae(torch.load(work / "latents.pt")["scaling_factor"])
    vae.load_state_dict(torch.load(work / "vae.pt"))
    unet, text_encoder = make_unet(), make_text_encoder()
    with torch.no_grad():
        for weight, mean in zip([*unet.parameters(), *text_encoder.parameters()], kept["average"], strict=True):
            weight.copy_(mean)
    for part, name in ((vae, "vae"), (unet, "unet"), (text_encoder, "text_encoder")):
        part.half().save_pretrained(to / name, safe_serialization=True)
    make_tokenizer(work).save_pretrained(to / "tokenizer")
    words = to / "tokenizer" / "tokenizer.json"
    # Indented as it is saved, half of the file would be spaces.
    words.write_text(json.dumps(json.loads(words.read_text("utf-8")), ensure_ascii=False), encoding="utf-8")
    make_scheduler().save_pretrained(to / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDPMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (to / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Run the stages that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for downloads and unfinished stages")
    parser.add_argument("--to", type=Path, required=True, help="folder for the finished base")
    parser.add_argument("--steps", type=int, default=STEPS, help="denoiser updates")
    parser.add_argument("--go-on-from", type=Path, help="finished base whose weights a new work folder starts with")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.go_on_from:
        start_from(arguments.go_on_from, arguments.work)
    if not (arguments.work / "vae.pt").exists():
        train_autoencoder(arguments.work)
    if not (arguments.work / "latents.pt").exists():
        encode_pictures(arguments.work)
    train_denoiser(arguments.work, arguments.steps)
    write_base(arguments.work, arguments.to)


if __name__ == "__main__":
    main()
