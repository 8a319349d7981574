"""How the bundled base is made: `python -m worker.mini.recipe --work DIR --to DIR [--go-on-from DIR]`.

Pictures → autoencoder → latents → denoiser with text encoder → a diffusers folder. Every stage leaves its result in
the work folder and goes on where it was cut off. Seeded; the same machine and versions give the same weights. Needs
`npm` and `pip install resvg-py`. On two CPU cores the autoencoder takes a quarter of an hour, the denoiser half a
second a step and some hours in all; a GPU, which is used when there is one, makes this minutes.
"""

import argparse
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from pytorch_optimizer import Muon
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from worker.mini.autoencoder import encode_pictures, train_autoencoder
from worker.mini.parts import make_scheduler, make_text_encoder, make_tokenizer, make_unet, make_vae
from worker.mini.pictures import BASE_STYLES, UNSEEN_STYLE, Concept, load_pictures
from worker.mini.renderings import RENDERINGS
from worker.mini.training import device, keep, update

STYLE_WORDS = {"noto": "noto", "twemoji": "twemoji", "fluent": "fluent flat", UNSEEN_STYLE: "openmoji"}
STEPS, BATCH, RATE = 20_000, 32, 1e-3
EMA_DECAY = 0.999
HANDS = ("", *RENDERINGS)
RENDERED_SHARE = 0.4
SAVE_S = 240
OUTER = ("conv_in", "conv_out")


def caption(concept: Concept, hand: tuple[str, str], random: Random, strangers: Sequence[str]) -> str:
    """One of many ways to say it, by style and rendering; empty one time in ten, for guidance.

    Half the time a word that means nothing stands in it, in front more often than not: later that is where a LoRA's
    trigger word goes, and the rest must still mean what it says.
    """
    style, rendering = hand
    words = [concept.name, *random.sample(concept.keywords, min(len(concept.keywords), random.randint(0, 3)))]
    way = random.random()
    if way < 0.1:
        return ""
    if way < 0.2:
        words = words[:1]
    said = [f"{STYLE_WORDS[style]} style"] if way < 0.75 else []
    said += [rendering] if rendering else []
    words = [*said, *words] if 0.6 <= way < 0.75 else [*words, *said]
    if random.random() < 0.5:
        place = 0 if random.random() < 0.7 else random.randint(0, len(words))
        words.insert(place, invented_word(random, strangers))
    return ", ".join(words)


def invented_word(random: Random, strangers: Sequence[str]) -> str:
    """A strange word, or one spliced from two, which falls into several tokens as made-up trigger words do."""
    first, second = random.choice(strangers), random.choice(strangers)
    return first if random.random() < 0.4 else first[: len(first) // 2] + second[len(second) // 2 :]


def choose_hand(random: Random) -> int:
    """The place in HANDS: plain more often than not."""
    return random.randrange(1, len(HANDS)) if random.random() < RENDERED_SHARE else 0


def stranger_words(known: Sequence[Concept], tokenizer: CLIPTokenizer) -> list[str]:
    """The vocabulary's whole words of letters that no concept is described by."""
    described = {
        word for concept in known for text in (concept.name, *concept.keywords) for word in text.lower().split()
    }
    whole = (word.removesuffix("</w>") for word in sorted(tokenizer.get_vocab()) if word.endswith("</w>"))
    return [word for word in whole if len(word) > 3 and word.isascii() and word.isalpha() and word not in described]


@dataclass
class Denoiser:
    """Denoiser and text encoder in training, with the running average that is shipped."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    optimizer: Muon
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
    # With heads this narrow, plain products in bfloat16 take two thirds of the fused kernel's time on a CPU.
    unet.set_attn_processor(AttnProcessor())
    named = [*unet.named_parameters(), *text_encoder.named_parameters()]
    weights = [weight for _, weight in named]
    optimizer = make_optimizer(named)
    made = Denoiser(unet, text_encoder, optimizer, [weight.detach().clone() for weight in weights])
    if path.exists():
        kept = torch.load(path, map_location=device())
        unet.load_state_dict(kept["unet"])
        text_encoder.load_state_dict(kept["text_encoder"])
        optimizer.load_state_dict(kept["optimizer"])
        made.average, made.step = kept["average"], kept["step"]
    return made


def make_optimizer(named: list[tuple[str, Tensor]]) -> Muon:
    """Muon for the hidden matrices, AdamW for embeddings, first and last layers, gains and biases."""
    hidden = [
        weight for name, weight in named if weight.ndim > 1 and not name.startswith(OUTER) and "embed" not in name
    ]
    inner = {id(weight) for weight in hidden}
    others = [weight for _, weight in named if id(weight) not in inner]
    return Muon(
        [
            {"params": hidden, "lr": RATE, "use_muon": True, "use_adjusted_lr": True, "weight_decay": 0.01},
            {"params": others, "lr": 2 * RATE, "use_muon": False, "betas": (0.9, 0.99), "weight_decay": 0.0},
        ]
    )


def spread_timesteps(count: int, generator: torch.Generator) -> Tensor:
    """One timestep from each of `count` equal parts of the schedule, denser towards high noise: int64 [count].

    Which thing it is gets settled at high noise; the parts keep one batch from seeing mostly low noise by chance.
    """
    even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return (1000 * even.sqrt()).long().clamp(max=999)


def train_denoiser(work: Path, steps: int) -> None:
    """Train denoiser and text encoder together, averaging their weights; leaves denoiser.pt and goes on from it."""
    known, _ = load_pictures(work)
    latents = torch.load(work / "latents.pt")["latents"]
    seen = [place for place, concept in enumerate(known) if not concept.is_held_out]
    tokenizer, scheduler = make_tokenizer(work), make_scheduler()
    strangers = stranger_words(known, tokenizer)
    weight_at = (5 * (1 - scheduler.alphas_cumprod)).clamp(max=1)
    model = start_denoiser(work / "denoiser.pt")
    saved_at, losses = time.monotonic(), deque[float](maxlen=50)
    for step in range(model.step, steps):
        rate = RATE * min(1, (step + 1) / 300) * min(1, max(0.02, (steps - step) / (0.3 * steps)))
        for group, times in zip(model.optimizer.param_groups, (1, 2), strict=True):
            group["lr"] = times * rate
        random, generator = Random(11_000_000 + step), torch.Generator().manual_seed(step)
        drawn = [(random.choice(BASE_STYLES), choose_hand(random), random.choice(seen)) for _ in range(BATCH)]
        x = torch.stack([latents[style][hand, place] for style, hand, place in drawn])
        texts = [caption(known[place], (style, HANDS[hand]), random, strangers) for style, hand, place in drawn]
        ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        t = spread_timesteps(BATCH, generator)
        noise = torch.randn(x.shape, generator=generator)
        noisy, wanted = scheduler.add_noise(x, noise, t).to(device()), scheduler.get_velocity(x, noise, t).to(device())
        with torch.autocast(device().type, torch.bfloat16):
            conditioning = model.text_encoder(ids.to(device())).last_hidden_state
            predicted = model.unet(noisy, t.to(device()), conditioning).sample
        error = (predicted.float() - wanted).square().mean((1, 2, 3))
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


def rounded(weight: Tensor) -> Tensor:
    """The nearest fp16 values whose last two bits are zero, so that they pack a tenth smaller.

    That leaves 8 bits of mantissa, one more than the bfloat16 that they were trained in.
    """
    bits = weight.half().view(torch.int16).int() & 0xFFFF
    return ((bits + 1 + (bits >> 2 & 1)) & ~3).to(torch.int16).view(torch.float16).to(weight.dtype)


def write_base(work: Path, to: Path) -> None:
    """Write the averaged weights as a diffusers folder in fp16."""
    kept = torch.load(work / "denoiser.pt", map_location="cpu")
    vae = make_vae(torch.load(work / "latents.pt")["scaling_factor"])
    vae.load_state_dict(torch.load(work / "vae.pt"))
    unet, text_encoder = make_unet(), make_text_encoder()
    with torch.no_grad():
        for weight, mean in zip([*unet.parameters(), *text_encoder.parameters()], kept["average"], strict=True):
            weight.copy_(mean)
    with torch.no_grad():
        for weight in [*unet.parameters(), *text_encoder.parameters()]:
            weight.copy_(rounded(weight))
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
