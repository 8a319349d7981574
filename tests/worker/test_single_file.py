"""Single-file bases: what comes out equals the diffusers folder they were made of; all else is refused in words."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from app.contract.buckets import Size, fit
from app.contract.families import FamilyKey
from app.contract.spec import BaseModelRef
from tests.worker import ldm_layout
from worker.errors import BadSpec, ModelMissing, WorkerError
from worker.families import load
from worker.families.base import Family
from worker.families.reading import Reading
from worker.families.sgm_names import SgmNames
from worker.sampling import make_scheduler
from worker.single_file import FamilyFiles, build, shipped


@pytest.fixture(autouse=True)
def tiny_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny bases read narrower texts than the real ones; the table of widths is data and gets two rows more."""
    monkeypatch.setattr("app.contract.base_file.FAMILY_OF_WIDTH", {768: "sd15", 2048: "sdxl", 32: "sd15", 40: "sdxl"})


@pytest.fixture
def whole(base: BaseModelRef) -> Family:
    """The family as its diffusers folder gives it."""
    return load(base, torch.float32)


@pytest.fixture
def tensors(base: BaseModelRef, whole: Family) -> dict[str, Tensor]:
    """The same weights under the names of a single file."""
    return ldm_layout.tensors_of(base.family, whole.parts)


def as_file(base: BaseModelRef, path: Path) -> BaseModelRef:
    return base.model_copy(update={"path": str(path)})


def files_of(base: BaseModelRef) -> FamilyFiles:
    """What a tiny file lacks is in the folder it was made of."""
    return FamilyFiles(Path(base.path), Path(base.path) / "tokenizer")


def answers(family: Family) -> list[Tensor]:
    """What the parts make of one picture and two texts."""
    torch.manual_seed(3)
    noisy, pixels = torch.randn(2, 4, 8, 8), torch.rand(1, 3, 64, 64)
    places = [fit(Size(120, 80), (Size(64, 64),))] * 2
    with torch.no_grad():
        texts = family.encode_texts(["a red hat", "blue, " * 40])
        drawn = family.predict(noisy, torch.tensor([10, 900]), texts, places)
        latent = family.parts.vae.encode(pixels).latent_dist.mode()
        return [*texts.values(), drawn, latent, family.parts.vae.decode(latent).sample]


def test_a_single_file_answers_as_its_diffusers_folder(
    base: BaseModelRef, whole: Family, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    file = ldm_layout.write(tmp_path / "model.safetensors", tensors)
    loaded = load(as_file(base, file), torch.float32, files=files_of(base))
    for ours, theirs in zip(answers(loaded), answers(whole), strict=True):
        assert torch.equal(ours, theirs)
    assert loaded.objective.prediction == whole.objective.prediction
    assert loaded.parts.vae_identity == whole.parts.vae_identity
    assert not any(weight.requires_grad for weight in loaded.parts.denoiser.parameters())
    half = load(as_file(base, file), torch.bfloat16, files=files_of(base)).parts
    assert (half.denoiser.dtype, half.vae.dtype) == (torch.bfloat16, torch.float32)


def test_v_prediction_and_zero_snr_are_told_by_the_file(
    base: BaseModelRef, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    def objective(name: str, more: dict[str, Tensor], metadata: dict[str, str] | None = None) -> tuple[str, float]:
        file = ldm_layout.write(tmp_path / f"{name}.safetensors", tensors | more, metadata)
        found = load(as_file(base, file), torch.float32, files=files_of(base)).objective
        return found.prediction, float(found.signal.min())

    empty = torch.zeros(0)
    assert objective("plain", {})[0] == "epsilon"
    assert objective("key", {"v_pred": empty})[0] == "v_prediction"
    assert objective("told", {}, {"modelspec.prediction_type": "v"})[0] == "v_prediction"
    (tmp_path / "beside.yaml").write_text('model:\n  params:\n    parameterization: "v"\n')
    assert objective("beside", {})[0] == "v_prediction"
    prediction, least = objective("both", {"v_pred": empty, "ztsnr": empty})
    assert prediction == "v_prediction"
    assert least < 1e-6


def test_what_a_person_says_of_a_file_that_tells_nothing(
    base: BaseModelRef, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    """It is trained, and drawn, as they said."""
    silent = as_file(base, ldm_layout.write(tmp_path / "noob-vpred.safetensors", tensors))
    for zero in (False, True):
        said = silent.model_copy(update={"prediction": "v_prediction", "has_zero_snr": zero})
        family = load(said, torch.float32, files=files_of(base))
        assert family.objective.prediction == "v_prediction"
        assert family.objective.has_zero_snr is zero
        sampler = make_scheduler(family.parts.scheduler)
        assert sampler.config.prediction_type == "v_prediction"
        assert sampler.config.rescale_betas_zero_snr is zero
    said = silent.model_copy(update={"prediction": "epsilon"})
    assert load(said, torch.float32, files=files_of(base)).objective.prediction == "epsilon"


def test_a_vae_of_its_own_takes_the_place_of_the_bases(
    base: BaseModelRef, whole: Family, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    other = {name: tensor * 0.5 for name, tensor in ldm_layout.vae_tensors(whole.parts.vae, "").items()}
    one = ldm_layout.write(tmp_path / "vae.safetensors", other)
    folder = tmp_path / "vae"
    half = load(base.model_copy(update={"vae_path": str(one)}), torch.float32).parts.vae
    half.save_pretrained(folder, safe_serialization=True)
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("first_stage_model.")}
    file = ldm_layout.write(tmp_path / "model.safetensors", without)
    with pytest.raises(ModelMissing, match="holds no VAE") as told:
        load(as_file(base, file), torch.float32, files=files_of(base))
    assert "Choose a VAE" in told.value.hint
    for place in (one, folder, folder / "diffusion_pytorch_model.safetensors"):
        chosen = as_file(base, file).model_copy(update={"vae_path": str(place)})
        parts = load(chosen, torch.float32, files=files_of(base)).parts
        assert torch.equal(parts.vae.decoder.conv_in.weight, whole.parts.vae.decoder.conv_in.weight * 0.5)
        assert parts.vae_identity != whole.parts.vae_identity


def test_a_vae_of_another_family_is_refused(base: BaseModelRef, whole: Family, tmp_path: Path) -> None:
    shutil.copytree(Path(base.path) / "vae", tmp_path / "vae")
    settings = tmp_path / "vae" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"scaling_factor": 0.5}))
    with pytest.raises(BadSpec, match=r"scales latents by 0\.5"):
        load(base.model_copy(update={"vae_path": str(tmp_path / "vae")}), torch.float32)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def trailed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"12345678")


def huge(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])


def nested(path: Path) -> None:
    header = b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def overlapping(path: Path) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    first = next(key for key, entry in header.items() if entry["data_offsets"][0] > 0)
    size = header[first]["data_offsets"][1] - header[first]["data_offsets"][0]
    header[first]["data_offsets"] = [0, size]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "cut short"),
        (trailed, "follow its last tensor"),
        (huge, "header is missing, absurd"),
        (nested, "makes no sense"),
        (overlapping, "overlap or leave gaps"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused_in_words(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    base = bases["sd15"]
    parts = load(base, torch.float32).parts
    file = ldm_layout.write(tmp_path / "model.safetensors", ldm_layout.tensors_of("sd15", parts))
    spoil(file)
    with pytest.raises(ModelMissing, match=words) as told:
        load(as_file(base, file), torch.float32, files=files_of(base))
    assert told.value.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(24, 9, 3, 3)}, "takes 9 channels"),
        ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 1024)},
         "Stable Diffusion 2"),
        ({"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 1280)},
         "SDXL refiner"),
        ({"model.diffusion_model.joint_blocks.0.x": torch.zeros(1)}, "Stable Diffusion 3"),
        ({"double_blocks.0.img_attn.qkv.weight": torch.zeros(1)}, "Flux"),
        ({"lora_unet_down_blocks_0.lora_up.weight": torch.zeros(1)}, "is a LoRA"),
        ({"control_model.input_blocks.0.0.weight": torch.zeros(1)}, "ControlNet"),
    ],
)  # fmt: skip
def test_what_is_no_such_base_is_named(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path, changes: dict[str, Tensor], words: str
) -> None:
    base = bases["sd15"]
    tensors = ldm_layout.tensors_of("sd15", load(base, torch.float32).parts)
    file = ldm_layout.write(tmp_path / "model.safetensors", tensors | changes)
    with pytest.raises(BadSpec, match=words):
        load(as_file(base, file), torch.float32, files=files_of(base))


def test_a_file_of_the_other_family_says_what_was_found_and_expected(
    bases: dict[FamilyKey, BaseModelRef], tmp_path: Path
) -> None:
    tensors = ldm_layout.tensors_of("sdxl", load(bases["sdxl"], torch.float32).parts)
    file = ldm_layout.write(tmp_path / "model.safetensors", tensors)
    with pytest.raises(BadSpec, match=r"is a Stable Diffusion XL model; the run expects Stable Diffusion 1\.5"):
        load(as_file(bases["sd15"], file), torch.float32)


def test_weights_of_another_shape_or_none_are_named(
    base: BaseModelRef, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    key = next(name for name in tensors if name.endswith("middle_block.1.proj_in.weight"))
    for change, words in ((None, "such as mid_block.attentions.0.proj_in.weight"), (torch.zeros(3), r"shape \[3\]")):
        changed = {name: tensor for name, tensor in tensors.items() if name != key}
        changed |= {} if change is None else {key: change}
        file = ldm_layout.write(tmp_path / f"{words[:4]}.safetensors", changed)
        with pytest.raises(ModelMissing, match=words):
            load(as_file(base, file), torch.float32, files=files_of(base))


def test_pickles_are_refused(base: BaseModelRef, tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"\x80\x04.")
    with pytest.raises(BadSpec, match=r"only \.safetensors") as told:
        load(as_file(base, file), torch.float32)
    assert "convert" in told.value.hint


def test_the_shipped_vocabulary_is_clips() -> None:
    with pytest.raises(WorkerError):
        load(BaseModelRef(name="x", path="/nowhere.safetensors", family="sd15", sha256=""), torch.float32)
    tokenizers = json.loads((shipped("sd15").vocabulary / "tokenizer.json").read_text(encoding="utf-8"))
    assert len(tokenizers["model"]["vocab"]) == 49_408


def test_long_texts_are_read_in_chunks_and_layers_from_the_end(bases: dict[FamilyKey, BaseModelRef]) -> None:
    base, text = bases["sd15"], "ab " * 60
    one, two = (load(base, torch.float32, Reading(1, chunks)) for chunks in (1, 2))
    with torch.no_grad():
        cut_off, whole = one.encode_texts([text])["hidden"], two.encode_texts([text])["hidden"]
        assert (cut_off.shape[1], whole.shape[1]) == (77, 154)
        assert torch.equal(whole[:, :77], cut_off)
        assert not torch.equal(whole[:, 77:], two.encode_texts(["ab"])["hidden"][:, 77:])
        skipped = load(base, torch.float32, Reading(2, 1)).encode_texts(["ab"])["hidden"]
        assert not torch.equal(skipped, one.encode_texts(["ab"])["hidden"])
    with pytest.raises(BadSpec, match="Clip skip 4"):
        load(base, torch.float32, Reading(4, 1))
    assert one.parts.text_identity != two.parts.text_identity


UNET_TENSORS: dict[FamilyKey, int] = {"sd15": 686, "sdxl": 1680}
"""As counted in the published files."""


@pytest.mark.parametrize("family", sorted(UNET_TENSORS))
def test_the_real_shapes_find_their_places(family: FamilyKey) -> None:
    models = ldm_layout.models_on_meta(family)
    tensors = ldm_layout.tensors_on_meta(family)
    assert sum(key.startswith("model.diffusion_model.") for key in tensors) == UNET_TENSORS[family]
    prefixes = {"unet": "model.", "vae": "first_stage_model.", "text_encoder": ldm_layout.TEXT_PREFIX[family],
                "text_encoder_2": "conditioner.embedders.1."}  # fmt: skip
    for name, model in models.items():
        config = json.loads((shipped(family).folder / name / "config.json").read_text())
        own = {key: tensor for key, tensor in tensors.items() if key.startswith(prefixes[name])}
        built = build(type(model), config, own, torch.float16)
        assert {key: each.shape for key, each in built.state_dict().items()} == {
            key: each.shape for key, each in model.state_dict().items()
        }


def test_every_layer_of_the_real_sdxl_has_its_name_in_stabilitys_code() -> None:
    denoiser = ldm_layout.models_on_meta("sdxl")["unet"]
    names, layers = SgmNames(denoiser), denoiser.config.layers_per_block
    paths = [path for path, layer in denoiser.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for path in paths:
        expected = ldm_layout.unet_key(f"{path}.weight", layers).removesuffix(".weight")
        assert names.name(path) == expected.replace("UPSAMPLER", "2")
    assert names.name("up_blocks.0.upsamplers.0.conv") == "output_blocks.2.2.conv"
    assert names.name("down_blocks.1.resnets.0.conv_shortcut") == "input_blocks.4.0.skip_connection"


@pytest.mark.slow
def test_a_full_size_file_is_loaded_by_what_ships(tmp_path: Path) -> None:
    """Stable Diffusion 1.5 as published: 2 GB in half precision."""
    tensors = {
        key: torch.zeros(each.shape, dtype=torch.float16) for key, each in ldm_layout.tensors_on_meta("sd15").items()
    }
    file = ldm_layout.write(tmp_path / "full.safetensors", tensors)
    tensors.clear()
    base = BaseModelRef(name="full", path=str(file), family="sd15", sha256="0" * 64)
    family = load(base, torch.float16)
    assert family.encode_texts(["a photo of a cat"])["hidden"].shape == (1, 77, 768)
    assert sum(weight.numel() for weight in family.parts.denoiser.parameters()) == 859_520_964
