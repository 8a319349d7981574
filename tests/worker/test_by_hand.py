"""A step's loss and gradients against ones worked out in plain torch and diffusers, without any of the trainer's code.

What is worked out: pixels to latents, texts to states, where each picture was cropped, noise, target, min-SNR weight,
and W + B·A·alpha÷rank in every layer that a LoRA is attached to. What is taken over is which pictures come first.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from app.contract.buckets import Buckets, Size, fit, make_buckets
from app.contract.families import FamilyKey
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from tests.worker.test_lora import learnt, network_of, write_file
from tests.worker.test_lora_file import layers_of
from worker.data import Order, Visit
from worker.families import load
from worker.families.sdxl import time_ids
from worker.train import train

GAMMA = 2.0
RANK, ALPHA = 4, 2
PREDICTIONS = ("epsilon", "v_prediction")
Weights = dict[str, Tensor]
"""Tensors by the path of the layer that they belong to."""


@dataclass(frozen=True)
class Delta:
    """A LoRA's two weights on one layer of one model: the denoiser, then the text encoders in their order."""

    model: int
    path: str
    down: Tensor
    up: Tensor

    def of(self, weight: Tensor) -> Tensor:
        """What it adds to the layer's weight."""
        return (self.up.flatten(1) @ self.down.flatten(1)).view_as(weight) * ALPHA / RANK


class Asked:
    """A model asked with deltas added to its weights."""

    def __init__(self, model: nn.Module, deltas: Sequence[Delta]) -> None:
        self.model = model.requires_grad_(False)
        weights = dict(model.named_parameters())
        self.changed = {
            f"{each.path}.weight": weights[f"{each.path}.weight"] + each.of(weights[f"{each.path}.weight"])
            for each in deltas
        }

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return functional_call(self.model, self.changed, arguments, named)


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
    with torch.no_grad():
        return vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor, (top, left)


class Base:
    """The base's models as diffusers and transformers load them, with a LoRA's deltas on them."""

    def __init__(self, folder: Path, deltas: Sequence[Delta] = (), **schedule: Any) -> None:
        self.folder = folder
        self.vae = AutoencoderKL.from_pretrained(folder / "vae")
        self.schedule = DDPMScheduler.from_pretrained(folder / "scheduler", **schedule)
        models: list[nn.Module] = [UNet2DConditionModel.from_pretrained(folder / "unet")]
        models.append(CLIPTextModel.from_pretrained(folder / "text_encoder"))
        if (folder / "text_encoder_2").is_dir():
            models.append(CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2"))
        asked = [Asked(model, [each for each in deltas if each.model == place]) for place, model in enumerate(models)]
        self.denoiser, *self.encoders = asked

    def ids(self, name: str, texts: Sequence[str]) -> Tensor:
        """The tokens of texts."""
        tokenizer = CLIPTokenizer.from_pretrained(self.folder / name)
        return tokenizer(list(texts), padding="max_length", max_length=77, return_tensors="pt").input_ids

    def text_states(self, texts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """The conditioning of texts and, with a second encoder, their pooled form."""
        if len(self.encoders) == 1:
            return self.encoders[0](self.ids("tokenizer", texts)).last_hidden_state, None
        one = self.encoders[0](self.ids("tokenizer", texts), output_hidden_states=True)
        two = self.encoders[1](self.ids("tokenizer_2", texts), output_hidden_states=True)
        return torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1), two.text_embeds

    def errors(self, visits: Sequence[Visit], generator: torch.Generator) -> Tensor:
        """Each picture's weighted error in one batch."""
        encoded = [latent_of(self.vae, visit.row) for visit in visits]
        latents = torch.cat([latent for latent, _ in encoded])
        steps = torch.randint(0, 1000, (len(visits),), generator=generator)
        noise = torch.randn(latents.shape, generator=generator)
        hidden, pooled = self.text_states([visit.text for visit in visits])
        added = None
        if pooled is not None:
            ids = [
                (visit.row.size.height, visit.row.size.width, *corner, visit.row.bucket.height, visit.row.bucket.width)
                for visit, (_, corner) in zip(visits, encoded, strict=True)
            ]
            added = {"text_embeds": pooled, "time_ids": torch.tensor(ids).float()}
        answer = self.denoiser(
            self.schedule.add_noise(latents, noise, steps), steps, hidden, added_cond_kwargs=added
        ).sample
        is_v = self.schedule.config.prediction_type == "v_prediction"
        target = self.schedule.get_velocity(latents, noise, steps) if is_v else noise
        ratio = self.schedule.alphas_cumprod[steps] / (1 - self.schedule.alphas_cumprod[steps])
        weight = ratio.clamp(max=GAMMA) / (ratio + 1 if is_v else ratio)
        own = torch.tensor([visit.row.weight for visit in visits])
        return own * weight * ((answer - target) ** 2).flatten(1).mean(1)

    def loss(self, batches: Sequence[Sequence[Visit]]) -> Tensor:
        """The mean over all pictures of the first step."""
        seed = int.from_bytes(hashlib.sha256(b"7/0").digest()[:8], "big") >> 1
        generator = torch.Generator().manual_seed(seed)
        return torch.cat([self.errors(batch, generator) for batch in batches]).mean()


def with_prediction(base: BaseModelRef, folder: Path, prediction: str) -> BaseModelRef:
    """A copy of the base that predicts as told."""
    shutil.copytree(base.path, folder)
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"prediction_type": prediction}))
    return base.model_copy(update={"path": str(folder)})


def one_step(base: BaseModelRef, folder: Path, **changes: Any) -> tuple[RunDir, TrainSpec]:
    """A run of one step over three batches, one of them a rest, whose pictures weigh differently."""
    spec = tiny.make_spec(
        base,
        optimization__steps=1,
        optimization__accumulation=3,
        optimization__min_snr_gamma=GAMMA,
        optimization__max_grad_norm=1e9,
        sampling__prompts=[],
        **changes,
    )
    rows = tiny.make_pictures(folder / "pictures", spec)
    rows = [row.model_copy(update={"weight": 0.5 + number / 4}) for number, row in enumerate(rows)]
    run_dir = tiny.make_run(folder / "run", spec, rows)
    train(tiny.context_of(run_dir, spec))
    return run_dir, spec


def batches_of(run_dir: RunDir, spec: TrainSpec) -> list[list[Visit]]:
    """The pictures of the first step."""
    batches = Order(run_dir.read_dataset(), spec).of_step(0)
    assert len({len(batch) for batch in batches}) == 2, "full and rest batches should meet in this step"
    return batches


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_first_loss(base: BaseModelRef, tmp_path: Path, prediction: str) -> None:
    base = with_prediction(base, tmp_path / "base", prediction)
    run_dir, spec = one_step(base, tmp_path)
    with torch.no_grad():
        loss = Base(Path(base.path)).loss(batches_of(run_dir, spec))
    assert tiny.losses_of(run_dir) == pytest.approx([loss.item()], rel=1e-4)


def test_the_first_loss_of_a_base_whose_prediction_a_person_told(base: BaseModelRef, tmp_path: Path) -> None:
    """Its files say noise; it is trained for velocity, over a schedule that ends in noise alone."""
    silent = with_prediction(base, tmp_path / "base", "epsilon")
    told = silent.model_copy(update={"prediction": "v_prediction", "has_zero_snr": True})
    run_dir, spec = one_step(told, tmp_path)
    by_hand = Base(Path(silent.path), prediction_type="v_prediction")
    roots = by_hand.schedule.alphas_cumprod.double().sqrt()
    rescaled = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    by_hand.schedule.alphas_cumprod = rescaled.square().float()
    with torch.no_grad():
        loss = by_hand.loss(batches_of(run_dir, spec))
    assert tiny.losses_of(run_dir) == pytest.approx([loss.item()], rel=1e-4)
    plain, _ = one_step(silent, tmp_path / "plain")
    assert tiny.losses_of(run_dir) != pytest.approx(tiny.losses_of(plain), rel=1e-2)


def trained_gradients(run_dir: RunDir, names: Sequence[str]) -> Mapping[str, Tensor]:
    """What Adam remembers of its first update is a tenth of the gradient; weights are numbered in their order."""
    kept = load_file(run_dir.checkpoint(1) / "state" / "optimizer.safetensors")
    places = {name: f"{number}.exp_avg" for number, name in enumerate(names)}
    return {name: 10 * kept[place] for name, place in places.items() if place in kept}


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_gradients_of_every_lora_weight(base: BaseModelRef, tmp_path: Path, prediction: str) -> None:
    """On a LoRA that is not at its start, where half of the gradients would be zero; text encoders train too."""
    base = with_prediction(base, tmp_path / "base", prediction)
    family, lora = learnt(base, network_of(rank=RANK, alpha=ALPHA))
    source = write_file(tmp_path / "source.safetensors", lora, base)
    run_dir, spec = one_step(
        base, tmp_path, network__continues=source.model_dump(), **tiny.text_rates(base.family, 2e-3)
    )

    file = load_file(source.path)
    deltas = [
        Delta(
            model=0 if module.encoder is None else module.encoder + 1,
            path=path,
            down=file[f"{module.file_name}.lora_down.weight"].float().requires_grad_(),
            up=file[f"{module.file_name}.lora_up.weight"].float().requires_grad_(),
        )
        for module, (path, _) in zip(lora.modules, layers_of(family), strict=True)
    ]
    loss = Base(Path(base.path), deltas).loss(batches_of(run_dir, spec))
    assert tiny.losses_of(run_dir) == pytest.approx([loss.item()], rel=1e-4)

    names = list(lora.named())
    wanted = torch.autograd.grad(
        loss, [weight for each in deltas for weight in (each.down, each.up)], allow_unused=True
    )
    found = trained_gradients(run_dir, names)
    assert set(found) == {name for name, gradient in zip(names, wanted, strict=True) if gradient is not None}
    for name, gradient in zip(names, wanted, strict=True):
        if gradient is not None:
            assert gradient.any(), f"nothing would be shown by {name}"
            torch.testing.assert_close(found[name], gradient, rtol=2e-3, atol=2e-3 * gradient.abs().max().item())


# Picture; what the denoiser is told at 1024: original height and width, crop top and left, target height and width.
TOLD = {
    (1024, 1024): (1024, 1024, 0, 0, 1024, 1024),
    (512, 512): (512, 512, 0, 0, 1024, 1024),
    (600, 400): (400, 600, 0, 16, 832, 1216),
    (400, 600): (600, 400, 16, 0, 1216, 832),
    (1920, 1080): (1080, 1920, 0, 10, 768, 1344),
    (3000, 4000): (4000, 3000, 21, 0, 1152, 896),
    (333, 777): (777, 333, 0, 9, 1536, 640),
    (777, 333): (333, 777, 9, 0, 640, 1536),
    (10000, 50): (50, 10000, 0, 50176, 512, 2048),
}


def test_the_denoiser_is_told_size_crop_and_target_of_each_picture(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    """A mirrored picture was cropped from its other side."""
    family = load(bases["sdxl"], torch.float32)
    heard: list[Tensor] = []
    family.parts.denoiser.register_forward_pre_hook(
        lambda _model, _arguments, named: heard.append(named["added_cond_kwargs"]["time_ids"]), with_kwargs=True
    )
    buckets = make_buckets(1024, 64)
    (row,) = tiny.make_pictures(tmp_path, tiny.make_spec(bases["sdxl"]), ((64, 64),))
    rows = [row.model_copy(update={"size": Size(*size), "bucket": fit(Size(*size), buckets).bucket}) for size in TOLD]
    visits = [*(Visit(each, "") for each in rows), Visit(rows[4], "", is_mirrored=True)]
    places = [visit.place for visit in visits]
    with torch.no_grad():
        texts = family.encode_texts([""] * len(visits))
        family.predict(torch.zeros(len(visits), 4, 8, 8), torch.zeros(len(visits)).long(), texts, places)
    # Scaled to 1365 x 768, of which 21 columns go: 10 on the left, 11 on the right.
    mirrored = (1080, 1920, 0, 11, 768, 1344)
    assert heard[0].tolist() == [list(map(float, told)) for told in (*TOLD.values(), mirrored)]


def test_a_picture_at_its_own_size_is_told_without_any_scale(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    """777 x 333 keeps all of its pixels but nine columns and thirteen rows."""
    (row,) = tiny.make_pictures(tmp_path, tiny.make_spec(bases["sdxl"]), ((64, 64),))
    place = Buckets(1024, 64, enlarges=False).fit(Size(777, 333))
    small = row.model_copy(update={"size": Size(777, 333), "bucket": place.bucket, "scaled": place.scaled})
    told = time_ids([Visit(small, "").place, Visit(small, "", is_mirrored=True).place])
    assert told.tolist() == [[333, 777, 6, 4, 320, 768], [333, 777, 6, 5, 320, 768]]
