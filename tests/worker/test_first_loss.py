"""The first step's loss against one worked out in plain torch and diffusers, without any of the trainer's code."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from app.contract.rundir import DatasetRow
from app.contract.spec import BaseModelRef
from tests.worker import tiny
from worker.data import Order, Visit
from worker.train import train

GAMMA = 2.0


def latent_of(vae: AutoencoderKL, row: DatasetRow) -> tuple[Tensor, tuple[int, int]]:
    """Scale the picture to cover its bucket, crop its middle, encode it; and where the crop began (top, left)."""
    bucket = row.bucket
    with Image.open(row.path) as image:
        scale = max(bucket.width / image.width, bucket.height / image.height)
        scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (scaled.width - bucket.width) // 2, (scaled.height - bucket.height) // 2
    cropped = scaled.crop((left, top, left + bucket.width, top + bucket.height))
    values = torch.tensor(list(cropped.tobytes()), dtype=torch.float32) / 127.5 - 1
    pixels = values.view(1, bucket.height, bucket.width, 3).permute(0, 3, 1, 2)
    return vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor, (top, left)


def text_states(folder: Path, texts: list[str]) -> tuple[Tensor, Tensor | None]:
    """The conditioning of texts and, with a second encoder, their pooled form."""

    def ids(name: str) -> Tensor:
        tokenizer = CLIPTokenizer.from_pretrained(folder / name)
        return tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids

    first = CLIPTextModel.from_pretrained(folder / "text_encoder")
    if not (folder / "text_encoder_2").is_dir():
        return first(ids("tokenizer")).last_hidden_state, None
    second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")
    one = first(ids("tokenizer"), output_hidden_states=True)
    two = second(ids("tokenizer_2"), output_hidden_states=True)
    return torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1), two.text_embeds


def errors_of(folder: Path, visits: list[Visit], generator: torch.Generator) -> Tensor:
    """Each picture's weighted error in one batch."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    schedule = DDPMScheduler.from_pretrained(folder / "scheduler")
    encoded = [latent_of(vae, visit.row) for visit in visits]
    latents = torch.cat([latent for latent, _ in encoded])
    steps = torch.randint(0, 1000, (len(visits),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    hidden, pooled = text_states(folder, [visit.text for visit in visits])
    added = None
    if pooled is not None:
        ids = [
            (visit.row.size.height, visit.row.size.width, *corner, visit.row.bucket.height, visit.row.bucket.width)
            for visit, (_, corner) in zip(visits, encoded, strict=True)
        ]
        added = {"text_embeds": pooled, "time_ids": torch.tensor(ids).float()}
    answer = unet(schedule.add_noise(latents, noise, steps), steps, hidden, added_cond_kwargs=added).sample
    is_v = schedule.config.prediction_type == "v_prediction"
    target = schedule.get_velocity(latents, noise, steps) if is_v else noise
    ratio = schedule.alphas_cumprod[steps] / (1 - schedule.alphas_cumprod[steps])
    weight = ratio.clamp(max=GAMMA) / (ratio + 1 if is_v else ratio)
    return weight * ((answer - target) ** 2).flatten(1).mean(1)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_first_loss(base: BaseModelRef, tmp_path: Path, prediction: str) -> None:
    folder = tmp_path / "base"
    shutil.copytree(base.path, folder)
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"prediction_type": prediction}))
    spec = tiny.make_spec(
        base.model_copy(update={"path": str(folder)}),
        optimization__steps=1,
        optimization__accumulation=3,
        optimization__min_snr_gamma=GAMMA,
        sampling__prompts=[],
    )
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))

    batches = Order(run_dir.read_dataset(), spec).of_step(0)
    assert len({len(batch) for batch in batches}) == 2, "full and rest batches should meet in this step"
    seed = int.from_bytes(hashlib.sha256(b"7/0").digest()[:8], "big") >> 1
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        errors = torch.cat([errors_of(folder, batch, generator) for batch in batches])
    assert tiny.losses_of(run_dir) == pytest.approx([errors.mean().item()], rel=1e-4)
