"""The LoRA file: names, metadata and hashes, and that diffusers reads back exactly what was trained."""

import hashlib
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from peft.tuners.lora import LoraLayer
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from app.contract.families import FAMILIES, FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, Network, TrainSpec
from tests.worker import tiny
from worker.errors import ModelMissing, NonFiniteLoss
from worker.families import load
from worker.families.base import Family
from worker.families.sgm_names import SgmNames
from worker.lora import ADAPTER, Lora, attach
from worker.lora_file import Training, metadata_of, tensors, write
from worker.lora_header import inspect
from worker.lora_sites import denoiser_targets, text_targets
from worker.objectives import Objective
from worker.render import load_lora
from worker.sampling import make_scheduler

EPSILON = Objective("epsilon", torch.tensor([0.8, 0.5, 0.1]))
SD15 = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}
CONSUMERS_PREFIXES = {"sd15": {"lora_unet", "lora_te"}, "sdxl": {"lora_unet", "lora_te1", "lora_te2"}}


def metadata(path: Path) -> dict[str, str]:
    """The file's metadata."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize(("settings", "whole", "attention"), [(SD15, 192, 128), (SDXL, 722, 560)], ids=["sd15", "sdxl"])
def test_the_real_architectures_get_as_many_modules_as_other_trainers_give(
    settings: dict[str, object], whole: int, attention: int
) -> None:
    with torch.device("meta"):
        denoiser = UNet2DConditionModel(**settings)
    assert len(denoiser_targets(denoiser, "attention-mlp")) == whole
    assert len(denoiser_targets(denoiser, "attention")) == attention


def test_text_encoders_get_six_modules_a_layer() -> None:
    encoder = CLIPTextModel(CLIPTextConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=12))
    assert len(text_targets(encoder, "attention-mlp")) == 72
    assert len(text_targets(encoder, "attention")) == 48


def test_the_real_sdxl_is_named_as_stability_names_it() -> None:
    with torch.device("meta"):
        denoiser = UNet2DConditionModel(**SDXL)
    names = SgmNames(denoiser).blocks
    paths = denoiser_targets(denoiser, "attention-mlp")
    used = {names[".".join(path.split(".")[: 3 if path.startswith("mid") else 4])] for path in paths}
    inputs = {f"input_blocks.{place}.1" for place in (4, 5, 7, 8)}
    outputs = {f"output_blocks.{place}.1" for place in range(6)}
    assert used == inputs | outputs | {"middle_block.1"}
    assert names["down_blocks.2.attentions.1"] == "input_blocks.8.1"
    assert names["up_blocks.1.attentions.2"] == "output_blocks.5.1"


def test_names_are_kohyas(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    kept = load_file(run_dir.lora(8))
    modules = {name.partition(".")[0] for name in kept}
    assert {name.partition(".")[2] for name in kept} == {"lora_down.weight", "lora_up.weight", "alpha"}
    assert len(kept) == 3 * len(modules)
    family = spec.base.family
    prefixes = CONSUMERS_PREFIXES[family]
    assert {next(p for p in prefixes if module.startswith(f"{p}_")) for module in modules} == prefixes
    example = {
        "sd15": "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
        "sdxl": "lora_unet_input_blocks_4_1_transformer_blocks_1_ff_net_0_proj",
    }[family]
    assert example in modules
    text = {"sd15": "lora_te", "sdxl": "lora_te2"}[family]
    assert f"{text}_text_model_encoder_layers_1_self_attn_q_proj" in modules
    assert f"{text}_text_model_encoder_layers_0_mlp_fc2" in modules
    assert all(tensor.dtype == torch.float16 and tensor.is_contiguous() for tensor in kept.values())
    assert {tensor.item() for name, tensor in kept.items() if name.endswith(".alpha")} == {2.0}


def layers_of(family: Family) -> list[tuple[str, LoraLayer]]:
    """Every layer of the family's models that a LoRA is attached to."""
    models = (family.parts.denoiser, *family.parts.text_encoders)
    return [(path, layer) for model in models for path, layer in model.named_modules() if isinstance(layer, LoraLayer)]


def test_diffusers_reads_back_every_weight_and_the_strength(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    ours, theirs = load(spec.base, torch.float32), load(spec.base, torch.float32)
    lora = attach(ours, spec.network, trains_text=(True, True), seed=1)
    state = load_file(run_dir.checkpoint(8) / "state" / "weights.safetensors")
    load_lora(theirs.pipeline(make_scheduler(theirs.parts.scheduler), is_whole=True), run_dir.lora(8))
    wanted, found = layers_of(ours), layers_of(theirs)
    assert len(wanted) == len(lora.modules)
    assert [path for path, _ in wanted] == [path for path, _ in found]
    for module, (_, layer) in zip(lora.modules, found, strict=True):
        assert torch.equal(layer.lora_A[ADAPTER].weight, state[f"{module.file_name}.lora_down.weight"].half().float())
        assert torch.equal(layer.lora_B[ADAPTER].weight, state[f"{module.file_name}.lora_up.weight"].half().float())
        assert layer.scaling[ADAPTER] == spec.network.alpha / spec.network.rank == 0.5


def test_the_file_draws_what_the_lora_in_memory_drew(trained: tuple[RunDir, TrainSpec]) -> None:
    """The picture drawn during training against one by a plain pipeline from prompts and the file alone."""
    run_dir, spec = trained
    family = load(spec.base, torch.float32)
    pipeline = family.pipeline(make_scheduler(family.parts.scheduler), is_whole=True)
    pipeline.set_progress_bar_config(disable=True)
    load_lora(pipeline, run_dir.lora(8))
    sampling, prompt = spec.sampling, spec.sampling.prompts[1]
    image = pipeline(
        prompt=prompt.text,
        negative_prompt=prompt.negative,
        num_inference_steps=sampling.inference_steps,
        guidance_scale=sampling.guidance,
        height=sampling.height_px,
        width=sampling.width_px,
        generator=torch.Generator().manual_seed(prompt.seed),
    ).images[0]
    drawn, base = (
        np.asarray(Image.open(run_dir.sample(step, 1, prompt.seed, 1.0)), dtype=np.float32) for step in (8, 0)
    )
    apart = np.abs(np.asarray(image, dtype=np.float32) - drawn).mean()
    assert apart < 0.5
    assert np.abs(base - drawn).mean() > 10 * apart


def test_metadata_says_what_other_programs_ask(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    said = metadata(run_dir.lora(8))
    facts = FAMILIES[spec.base.family]
    expected = {
        "ss_base_model_version": facts.base_version,
        "ss_v2": "False",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "2.0",
        "ss_steps": "8",
        "ss_seed": "7",
        "ss_resolution": "(64, 64)",
        "ss_num_train_images": "7",
        "ss_output_name": "tiny run",
        "ss_text_encoder_lr": {"sd15": "0.001", "sdxl": "[0.001, 0.001]"}[spec.base.family],
        "ss_total_batch_size": "2",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": facts.architecture,
        "modelspec.implementation": facts.implementation,
        "modelspec.prediction_type": "epsilon",
        "modelspec.resolution": "64x64",
        "modelspec.trigger_phrase": tiny.TRIGGER,
        "modelspec.title": "tiny run",
    }
    assert {key: said.get(key) for key in expected} == expected
    assert json.loads(said["ss_dataset_dirs"]) == {
        "1_tiny": {"n_repeats": 1, "img_count": 5}, "2_tiny": {"n_repeats": 2, "img_count": 1}
    }  # fmt: skip
    assert json.loads(said["ss_tag_frequency"])["1_tiny"]["red"] == 5
    buckets = json.loads(said["ss_bucket_info"])["buckets"].values()
    assert sum(bucket["count"] for bucket in buckets) == 7
    assert datetime.fromisoformat(said["modelspec.date"]).tzinfo is not None


def test_a1111_guesses_the_right_family(trained: tuple[RunDir, TrainSpec]) -> None:
    """Its rule: a version starting with sdxl_ is SDXL, ss_v2 True is SD2, any other metadata is SD1."""
    run_dir, spec = trained
    said = metadata(run_dir.lora(8))
    guess = (
        "sdxl" if said["ss_base_model_version"].startswith("sdxl_") else "sd2" if said["ss_v2"] == "True" else "sd15"
    )
    assert guess == spec.base.family


def test_hashes_are_of_the_tensor_bytes(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, _ = trained
    data = run_dir.lora(8).read_bytes()
    digest = hashlib.sha256(data[8 + struct.unpack("<Q", data[:8])[0] :]).hexdigest()
    said = metadata(run_dir.lora(8))
    assert said["sshs_model_hash"] == digest
    assert said["modelspec.hash_sha256"] == f"0x{digest}"
    assert len(said["sshs_legacy_hash"]) == 8


def lora_of(base: BaseModelRef, **network: object) -> Lora:
    """A fresh LoRA on the base."""
    return attach(load(base, torch.float32), Network.model_validate(network), trains_text=(False, False), seed=1)


def test_weights_beyond_fp16_are_refused(base: BaseModelRef) -> None:
    lora = lora_of(base, rank=2, alpha=1)
    with torch.no_grad():
        lora.modules[3].up[0, 0] = 70_000
    with pytest.raises(NonFiniteLoss, match=lora.modules[3].file_name):
        tensors(lora)


def test_attention_alone_attaches_to_attention_alone(base: BaseModelRef) -> None:
    lora = lora_of(base, rank=2, alpha=1, targets="attention")
    assert {module.file_name.rsplit("_", 2)[-1] for module in lora.modules} == {"q", "k", "v", "0"}
    assert len(lora.modules) < len(lora_of(base, rank=2, alpha=1).modules)


def test_a_fresh_lora_depends_on_the_seed_alone(base: BaseModelRef) -> None:
    first, second = lora_of(base, rank=2, alpha=1), lora_of(base, rank=2, alpha=1)
    assert all(torch.equal(one.down, other.down) for one, other in zip(first.modules, second.modules, strict=True))
    assert not any(module.up.any() for module in first.modules)


def test_inspect_reads_the_header(trained: tuple[RunDir, TrainSpec]) -> None:
    run_dir, spec = trained
    facts = inspect(run_dir.lora(8))
    assert (facts.family, facts.rank, facts.alpha, facts.trigger) == (spec.base.family, 4, 2.0, tiny.TRIGGER)
    assert facts.modules == len(load_file(run_dir.lora(8))) // 3


@pytest.mark.parametrize(("width", "family"), [(768, "sd15"), (2048, "sdxl"), (1024, None)])
def test_inspect_knows_foreign_files_by_their_text_width(tmp_path: Path, width: int, family: FamilyKey | None) -> None:
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    path = tmp_path / "foreign.safetensors"
    save_file({f"{name}.lora_down.weight": torch.zeros(4, width)}, path)
    facts = inspect(path)
    assert (facts.family, facts.rank, facts.alpha, facts.trigger) == (family, 4, None, "")


def header(data: object, length: int | None = None) -> bytes:
    """A safetensors file with a header of our making and no tensors."""
    text = json.dumps(data).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


HOSTILE = {
    "empty": b"",
    "not safetensors": b"PK\x03\x04" * 10,
    "long header": header({}, length=2**40),
    "tensors without places": header({f"t{number}": {"shape": []} for number in range(20_001)}),
    "long metadata": header({"__metadata__": {"note": "x" * 70_000}}),
    "list": header([]),
    "no shapes": header({"a.lora_down.weight": {}}),
    "deep": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "no lora": header({"weight": {"shape": [1]}}),
    "a layer that is no matrix": header({"a.lora_down.weight": {"dtype": "F16", "shape": [], "data_offsets": [0, 2]}})
    + b"xx",
    "an alpha of many values": header(
        {
            "a.lora_down.weight": {"dtype": "F16", "shape": [1, 1], "data_offsets": [0, 2]},
            "a.alpha": {"dtype": "F16", "shape": [2], "data_offsets": [2, 6]},
        }
    )
    + b"xxxxxx",
}


def test_inspect_reads_files_with_the_long_remarks_of_other_trainers(tmp_path: Path) -> None:
    """kohya counts every tag of a dataset in one of them, which is hundreds of kilobytes for large ones."""
    path = tmp_path / "kohya.safetensors"
    frequency = json.dumps({"10_fox": {f"tag number {number}": number for number in range(20_000)}})
    save_file(
        {"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.zeros(4, 320)},
        path,
        {"ss_tag_frequency": frequency, "ss_base_model_version": "sd_v1"},
    )
    assert len(frequency) > 300_000
    assert inspect(path).family == "sd15"


@pytest.mark.parametrize("kind", HOSTILE)
def test_inspect_refuses_hostile_headers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(ModelMissing, match=r"hostile\.safetensors"):
        inspect(path)


def test_metadata_of_many_long_captions_stays_within_what_we_read_back(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    spec = tiny.make_spec(bases["sd15"])
    (row,) = tiny.make_pictures(tmp_path, spec, ((64, 64),))
    rows = [row.model_copy(update={"text": f"{number} " + "ä" * 500}) for number in range(2000)]
    now = datetime.now(UTC)
    training = Training(spec, rows, 1000, 1, EPSILON, now, now)
    assert all(len(text) < 64_000 for text in metadata_of(training).values())
    path = tmp_path / "lora.safetensors"
    write(path, lora_of(bases["sd15"], rank=1, alpha=1), training)
    assert inspect(path).alpha == 1.0
    assert json.loads(metadata(path)["ss_network_args"]) == {"targets": "attention-mlp"}


def test_the_file_says_what_the_base_predicts(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    """Other trainers mark SD 1.x alone in its version; of the schedule they say whether it ends in noise alone."""
    now, keys = datetime.now(UTC), ("ss_base_model_version", "modelspec.prediction_type", "ss_zero_terminal_snr")
    found = {}
    for family, base in bases.items():
        spec = tiny.make_spec(base)
        rows = tiny.make_pictures(tmp_path / family, spec, ((64, 64),))
        for objective in (EPSILON, Objective("v_prediction", torch.tensor([0.8, 0.0]))):
            told = metadata_of(Training(spec, rows, 1, 1, objective, now, now))
            found[family, objective.prediction] = tuple(told[key] for key in keys)
    assert found == {
        ("sd15", "epsilon"): ("sd_v1", "epsilon", "False"),
        ("sd15", "v_prediction"): ("sd_v1_v", "v", "True"),
        ("sdxl", "epsilon"): ("sdxl_base_v1-0", "epsilon", "False"),
        ("sdxl", "v_prediction"): ("sdxl_base_v1-0", "v", "True"),
    }
