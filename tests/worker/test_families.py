"""Families: what is loaded, what is refused in words, and conditioning as diffusers' own pipelines make it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from app.contract.buckets import Size, fit
from app.contract.families import FAMILIES, FamilyKey
from app.contract.spec import BaseModelRef
from tests.worker import random_sd15 as recipe
from tests.worker import tiny
from worker.errors import BadSpec, ModelMissing
from worker.families import MODULES, load
from worker.families.sdxl import time_ids
from worker.sampling import make_scheduler


def test_every_family_has_a_module_and_a_tiny_base() -> None:
    assert MODULES.keys() == FAMILIES.keys() == tiny.WRITERS.keys()


def test_conditioning_is_what_the_pipeline_makes(base: BaseModelRef) -> None:
    family = load(base, torch.float32)
    pipeline = family.pipeline(make_scheduler(family.parts.scheduler), is_whole=True)
    texts = ["pebblo, red", "a very long text " * 20]
    with torch.no_grad():
        ours = family.prompt_arguments(family.encode_texts(texts), family.encode_texts(["", "blue"]))
        theirs = pipeline.encode_prompt(
            prompt=texts,
            negative_prompt=["", "blue"],
            device=torch.device("cpu"),
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
        )
    assert len(ours) == len(theirs)
    for name, tensor in zip(ours, theirs, strict=True):
        assert torch.equal(ours[name], tensor), name


def test_second_tokenizer_pads_with_its_own_token(bases: dict[FamilyKey, BaseModelRef]) -> None:
    first, second = load(bases["sdxl"], torch.float32).parts.tokenizers
    assert (first.pad_token, second.pad_token) == ("<|endoftext|>", "!")


def test_tokenizers_in_the_old_layout_read_the_same(tmp_path: Path) -> None:
    """Most bases on people's disks have vocab.json, merges.txt and a map of special tokens."""
    words = {"bos_token": recipe.BEGIN, "eos_token": recipe.END, "unk_token": recipe.END, "pad_token": "!"}
    (tmp_path / "vocab.json").write_text(json.dumps(recipe.vocabulary()))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(words))
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **words}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    old, new = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True), recipe.make_tokenizer(pad="!")
    read = [each("a Cat's red hat!", padding="max_length").input_ids for each in (old, new)]
    assert read[0] == read[1]
    assert len(read[0]) == 77


def test_time_ids_tell_size_crop_and_bucket() -> None:
    place = fit(Size(120, 80), (Size(64, 64),))
    assert (place.scaled, place.left, place.top) == (Size(96, 64), 16, 0)
    assert time_ids([place]).tolist() == [[80, 120, 0, 16, 64, 64]]


def test_parts_are_frozen_and_the_vae_is_full_precision(base: BaseModelRef) -> None:
    parts = load(base, torch.bfloat16).parts
    assert parts.denoiser.dtype == torch.bfloat16
    assert {encoder.dtype for encoder in parts.text_encoders} == {torch.bfloat16}
    assert parts.vae.dtype == torch.float32
    models = (parts.denoiser, parts.vae, *parts.text_encoders)
    assert not any(weight.requires_grad for model in models for weight in model.parameters())


def copy_of(base: BaseModelRef, to: Path) -> BaseModelRef:
    """A base that may be spoilt."""
    shutil.copytree(base.path, to)
    return base.model_copy(update={"path": str(to)})


def test_a_missing_base_is_named_with_the_way_out(base: BaseModelRef) -> None:
    with pytest.raises(ModelMissing, match=r"tiny sd\w+ is not at /nowhere") as told:
        load(base.model_copy(update={"path": "/nowhere"}), torch.float32)
    assert "Put it back" in told.value.hint


def test_a_base_of_the_other_family_is_refused(bases: dict[FamilyKey, BaseModelRef]) -> None:
    swapped = bases["sd15"].model_copy(update={"family": "sdxl"})
    with pytest.raises(BadSpec, match="is a StableDiffusionPipeline; the run expects a StableDiffusionXLPipeline"):
        load(swapped, torch.float32)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_part_is_named(base: BaseModelRef, tmp_path: Path, part: str) -> None:
    spoilt = copy_of(base, tmp_path / "base")
    shutil.rmtree(tmp_path / "base" / part)
    with pytest.raises(ModelMissing, match=part):
        load(spoilt, torch.float32)


def test_pickled_weights_are_never_read(base: BaseModelRef, tmp_path: Path) -> None:
    spoilt = copy_of(base, tmp_path / "base")
    weights = tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelMissing, match=r"no \.safetensors weights; it holds: config\.json, diffusion_\w+\.bin"):
        load(spoilt, torch.float32)


def test_code_in_a_base_folder_is_not_run(base: BaseModelRef, tmp_path: Path) -> None:
    spoilt = copy_of(base, tmp_path / "base")
    canary = tmp_path / "canary"
    for name in ("pipeline.py", "unet/unet.py", "text_encoder/modeling_clip.py"):
        (tmp_path / "base" / name).write_text(f"open({str(canary)!r}, 'w')")
    load(spoilt, torch.float32)
    assert not canary.exists()


def test_lost_weights_are_not_made_up(base: BaseModelRef, tmp_path: Path) -> None:
    spoilt = copy_of(base, tmp_path / "base")
    settings = tmp_path / "base" / "text_encoder" / "config.json"
    config = json.loads(settings.read_text())
    settings.write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ModelMissing, match=r"text_encoder lacks \d+ weights .* such as .*layers\.2"):
        load(spoilt, torch.float32)


def test_truncated_weights_are_named(base: BaseModelRef, tmp_path: Path) -> None:
    spoilt = copy_of(base, tmp_path / "base")
    weights = tmp_path / "base" / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelMissing, match=r"vae cannot be read as AutoencoderKL"):
        load(spoilt, torch.float32)


def test_half_precision_variants_are_found(base: BaseModelRef, tmp_path: Path) -> None:
    variant = copy_of(base, tmp_path / "base")
    for file in (tmp_path / "base").rglob("*.safetensors"):
        file.rename(file.with_name(f"{file.stem}.fp16.safetensors"))
    assert load(variant, torch.float32).parts.denoiser.dtype == torch.float32
