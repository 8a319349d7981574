"""Tiny random bases of every family, and runs on them small enough for two loaded cores."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from app.contract.buckets import Fit, Size, fit
from app.contract.captions import compose
from app.contract.events import AnyEvent, EventLog, Progress, read_events
from app.contract.families import FAMILIES, FamilyKey
from app.contract.rundir import DatasetRow, RunDir, publish
from app.contract.spec import AnySpec, BaseModelRef, RenderSpec, TrainSpec
from tests.worker import random_sd15 as recipe
from worker.context import RunContext

SIDE_PX = 64
STEP_PX = 16
TRIGGER = "pebblo"
SIZES = ((80, 80), (120, 80), (64, 64), (80, 130), (90, 88), (200, 100))


def write_sd15(to: Path) -> None:
    """The family's base is the recipe of the bundled one, in fp32."""
    recipe.write_base(to, seed=1, dtype=torch.float32)


def write_sdxl(to: Path) -> None:
    """Two text encoders 16 and 24 wide, attention at the second level and in the middle, as the real one has."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        denoiser = UNet2DConditionModel(
            sample_size=SIDE_PX // recipe.SCALE,
            block_out_channels=(16, 24),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=2,
            transformer_layers_per_block=(1, 2),
            cross_attention_dim=40,
            attention_head_dim=(2, 4),
            norm_num_groups=8,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 24,
        )
        vae = recipe.make_vae()
        recipe.calibrate(vae)
        first = CLIPTextModel(recipe.text_config(16))
        second = CLIPTextModelWithProjection(recipe.text_config(24))
    to.mkdir(parents=True)
    for name, model in (("unet", denoiser), ("vae", vae), ("text_encoder", first), ("text_encoder_2", second)):
        recipe.save_model(model, to / name, torch.float32)
    recipe.make_tokenizer().save_pretrained(to / "tokenizer")
    recipe.make_tokenizer(pad="!").save_pretrained(to / "tokenizer_2")
    recipe.make_scheduler().save_pretrained(to / "scheduler")
    recipe.write_index(to, "StableDiffusionXLPipeline", {"unet": ("diffusers", "UNet2DConditionModel")})


WRITERS: dict[FamilyKey, Callable[[Path], None]] = {"sd15": write_sd15, "sdxl": write_sdxl}


def base_ref(family: FamilyKey, folder: Path) -> BaseModelRef:
    """The base as a spec names it."""
    return BaseModelRef(name=f"tiny {family}", path=str(folder), family=family, sha256="0" * 64)


def make_spec(base: BaseModelRef, **changes: Any) -> TrainSpec:
    """A spec of eight steps on the base; `changes` are values by key, `area__name` for those inside an area."""
    data: dict[str, Any] = {
        "name": "tiny run",
        "project": "tiny",
        "purpose": "concept",
        "trigger_word": TRIGGER,
        "base": base.model_dump(),
        "network": {"rank": 4, "alpha": 2, "targets": "attention-mlp"},
        "optimization": {
            "steps": 8,
            "batch": 2,
            "learning_rate": 2e-3,
            "warmup_steps": 2,
            "gradient_checkpointing": False,
            "seed": 7,
        },
        "data": {"resolution_px": SIDE_PX, "bucket_step_px": STEP_PX},
        "sampling": {
            "prompts": [{"text": f"{TRIGGER}, red", "seed": 1}, {"text": "blue", "negative": "red", "seed": 2}],
            "every_steps": 4,
            "inference_steps": 2,
            "guidance": 3.0,
            "width_px": SIDE_PX,
            "height_px": SIDE_PX,
        },
        "saving": {"every_steps": 4},
    }
    for key, value in changes.items():
        area, _, name = key.rpartition("__")
        (data.setdefault(area, {}) if area else data)[name] = value
    return TrainSpec.model_validate(data)


def with_changes(spec: TrainSpec, **changes: Any) -> TrainSpec:
    """The spec with some values changed, named as for `make_spec`."""
    data = spec.model_dump()
    for key, value in changes.items():
        area, _, name = key.rpartition("__")
        (data.setdefault(area, {}) if area else data)[name] = value
    return TrainSpec.model_validate(data)


def text_rates(family: FamilyKey, rate: float) -> dict[str, float]:
    """Changes of a spec by which every text encoder of the family is trained at a rate."""
    names = ("text_encoder_learning_rate", "text_encoder_2_learning_rate")
    return {f"optimization__{name}": rate for name in names[: FAMILIES[family].text_encoders]}


def make_pictures(folder: Path, spec: TrainSpec, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[DatasetRow]:
    """Draw one picture a size and freeze it as the studio does."""
    rows = []
    for number, (width, height) in enumerate(sizes):
        path = folder / f"{number}.png"
        draw_picture(path, width, height, number)
        size = Size(width, height)
        place = spec.data.buckets.fit(size)
        caption = f"red, shape {number}, large"
        rows.append(
            DatasetRow(
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                path=str(path),
                name=f"picture-{number}.png",
                size=size,
                bucket=place.bucket,
                scaled=None if spec.data.enlarges else place.scaled,
                caption=caption,
                text=compose(caption, spec.trigger_word),
                repeats=2 if number == 0 else 1,
            )
        )
    return rows


def make_place(width: int, height: int) -> Fit:
    """How a picture of that size lies in a square bucket."""
    return fit(Size(width, height), (Size(SIDE_PX, SIDE_PX),))


def draw_picture(path: Path, width: int, height: int, seed: int) -> None:
    """Draw a disc in colours of the seed."""
    random = Random(seed)
    image = Image.new("RGB", (width, height), tuple(random.randrange(256) for _ in range(3)))
    ImageDraw.Draw(image).ellipse((8, 8, width - 8, height - 8), fill=tuple(random.randrange(256) for _ in range(3)))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def has_step(run_dir: RunDir, step: int) -> Callable[[], bool]:
    """A condition that turns true once the run's checkpoint of a step is published."""
    return lambda: (run_dir.checkpoint(step) / "manifest.json").is_file()


def in_phase(run_dir: RunDir, phase: str) -> Callable[[], bool]:
    """A condition that turns true once the run told that it is in a phase."""
    return lambda: any(getattr(event, "phase", "") == phase for event in read_events(run_dir.events))


def state_of(run_dir: RunDir, step: int) -> dict[str, torch.Tensor]:
    """Weights and optimizer state of a checkpoint."""
    folder = run_dir.checkpoint(step) / "state"
    return {
        f"{name}/{key}": tensor
        for name in ("weights", "optimizer")
        for key, tensor in load_file(folder / f"{name}.safetensors").items()
    }


def pixels(run_dir: RunDir, step: int, index: int, seed: int) -> bytes:
    """What a sample shows."""
    with Image.open(run_dir.sample(step, index, seed, 1.0)) as image:
        return image.tobytes()


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors agree in every bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def new_run(folder: Path, spec: TrainSpec, sizes: tuple[tuple[int, int], ...] = SIZES) -> RunDir:
    """A run folder with freshly drawn pictures beside it."""
    return make_run(folder / "run", spec, make_pictures(folder / "pictures", spec, sizes))


def after_questions(count: int) -> Callable[[], bool]:
    """A condition that turns true at the question of this number."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def make_run(folder: Path, spec: AnySpec, rows: list[DatasetRow]) -> RunDir:
    """Write a run folder as the studio does."""
    run_dir = RunDir(folder)
    folder.mkdir(parents=True)
    publish(run_dir.dataset, "".join(row.model_dump_json() + "\n" for row in rows).encode())
    publish(run_dir.spec, spec.model_dump_json(indent=2).encode())
    return run_dir


def context_of(
    run_dir: RunDir,
    spec: AnySpec,
    attempt: int = 1,
    wants_stop: Callable[[], bool] = lambda: False,
    wants_interrupt: Callable[[], bool] = lambda: False,
) -> RunContext:
    """One attempt at the run, as the child makes it."""
    return RunContext(run_dir, spec, EventLog(run_dir.events, attempt), attempt, wants_stop, wants_interrupt)


def events_of(run_dir: RunDir, kind: str) -> list[AnyEvent]:
    """The run's events of one type."""
    return [event for event in read_events(run_dir.events) if event.type == kind]


def losses_of(run_dir: RunDir) -> list[float]:
    """The losses of all steps of an unbroken run."""
    return [loss for event in events_of(run_dir, "progress") if isinstance(event, Progress) for loss in event.losses]


def render_spec(spec: TrainSpec, run_dir: RunDir, step: int, strengths: tuple[float, ...]) -> RenderSpec:
    """A sweep over one of the run's checkpoints."""
    lora = run_dir.lora(step)
    return RenderSpec(
        name="sweep",
        project=spec.project,
        base=spec.base,
        lora_path=str(lora),
        lora_sha256=hashlib.sha256(lora.read_bytes()).hexdigest(),
        step=step,
        strengths=strengths,
        sampling=spec.sampling,
    )
