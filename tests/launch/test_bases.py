"""Base models: recognised by their own files, hashed by content."""

import json
import struct
from math import prod
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.errors import Invalid
from app.launch import base_choices
from app.launch.base_scan import BaseScan, hash_listed, known_folder, scan
from app.launch.bases import BUNDLED, BUNDLED_NAME, Told, bundled, find, hash_base, look, prediction_of, read_at
from app.launch.subject import subject_of
from app.store import bases, projects
from app.store.db import read, write

TEXTS = {
    "sd15": ("cond_stage_model.transformer.text_model.final_layer_norm.bias",),
    "sdxl": ("conditioner.embedders.0.transformer.text_model.x", "conditioner.embedders.1.model.ln_final.bias"),
}
ATTENTION = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
INPUT = "model.diffusion_model.input_blocks.0.0.weight"


def tensor_file(path: Path, shapes: dict[str, list[int]], metadata: dict[str, str] | None = None) -> None:
    """A whole file of zeros in half precision."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    place = 0
    for name, shape in shapes.items():
        end = place + 2 * prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(place))


def single_file(path: Path, width: int, channels: int = 4, **metadata: str) -> None:
    texts = TEXTS["sdxl" if width == 2048 else "sd15"]
    shapes = {ATTENTION: [2, width], INPUT: [2, channels, 3, 3], **{name: [2] for name in texts}}
    tensor_file(path, shapes, metadata)


def diffusers_folder(path: Path, pipeline: str) -> None:
    for part, config in (("unet", {"sample_size": 64}), ("vae", {"block_out_channels": [1, 2, 3, 4]})):
        (path / part).mkdir(parents=True)
        (path / part / "config.json").write_text(json.dumps(config))
        (path / part / "model.safetensors").write_bytes(part.encode())
    (path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))


def test_families_are_told_apart(tmp_path: Path) -> None:
    single_file(tmp_path / "one.safetensors", 768)
    single_file(tmp_path / "two.safetensors", 2048)
    single_file(tmp_path / "odd.safetensors", 1024)
    (tmp_path / "torn.safetensors").write_bytes(b"\xff" * 20)
    diffusers_folder(tmp_path / "deep" / "three", "StableDiffusionXLPipeline")
    diffusers_folder(tmp_path / "other", "FluxPipeline")
    found = {base.name: (base.family, base.layout, base.resolution_px) for base in find(tmp_path)}
    assert found == {
        "one": ("sd15", "single-file", 512),
        "two": ("sdxl", "single-file", 1024),
        "three": ("sdxl", "diffusers", 512),
    }


def test_the_bundled_base_is_there() -> None:
    base = bundled()
    assert (base.name, base.family, base.is_bundled) == (BUNDLED_NAME, "sd15", True)
    assert base.size_bytes < 30_000_000


def test_what_is_no_base_is_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="not a folder"):
        find(tmp_path / "gone")
    with pytest.raises(Invalid, match="not a Stable Diffusion"):
        read_at(tmp_path)


def test_a_hash_follows_content_and_not_place(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        diffusers_folder(tmp_path / name, "StableDiffusionPipeline")
    (tmp_path / "c" / "unet" / "model.safetensors").write_bytes(b"other")
    hashes = [hash_base(tmp_path / name) for name in ("a", "b", "c")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_scan_lists_at_once_and_hashes_behind(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    diffusers_folder(tmp_path / "mine", "StableDiffusionPipeline")
    scan = BaseScan(settings, engine)
    scan.start(tmp_path)
    with read(engine) as session:
        assert {base.name for base in bases.listed(session)} == {"mine", BUNDLED_NAME}
    scan.close(waits=True)
    with read(engine) as session:
        assert all(base.sha256 for base in bases.listed(session))
    assert known_folder(engine, settings) == tmp_path


MALFORMED = ("[]", "null", '{"_class_name": ["StableDiffusionPipeline"]}', "{", "[" * 100_000)


@pytest.mark.parametrize("index", MALFORMED)
def test_a_folder_that_only_looks_like_a_base_hides_no_other(tmp_path: Path, index: str) -> None:
    diffusers_folder(tmp_path / "good", "StableDiffusionPipeline")
    diffusers_folder(tmp_path / "odd", "StableDiffusionPipeline")
    (tmp_path / "odd" / "model_index.json").write_text(index)
    assert [base.name for base in find(tmp_path)] == ["good"]


@pytest.mark.parametrize("config", ["[]", '{"block_out_channels": null}', "{}"])
def test_a_base_of_unknown_shape_is_passed_over(tmp_path: Path, config: str) -> None:
    diffusers_folder(tmp_path / "odd", "StableDiffusionPipeline")
    (tmp_path / "odd" / "vae" / "config.json").write_text(config)
    assert find(tmp_path) == []


def test_links_that_lead_nowhere_hide_no_base(tmp_path: Path) -> None:
    diffusers_folder(tmp_path / "torn", "StableDiffusionPipeline")
    (tmp_path / "torn" / "unet" / "more.safetensors").symlink_to(tmp_path / "gone")
    diffusers_folder(tmp_path / "good", "StableDiffusionPipeline")
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert [base.name for base in find(tmp_path)] == ["good"]


def test_a_header_of_another_shape_is_no_base(tmp_path: Path) -> None:
    for place, entry in enumerate(({}, {"shape": [1]}, {"shape": None}, [], None, {"shape": [1, [2]]})):
        header = json.dumps({ATTENTION: entry}).encode()
        (tmp_path / f"{place}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    seen = look(tmp_path)
    assert seen.found == []
    assert len(seen.refused) == 6
    assert all("makes no sense" in each.reason for each in seen.refused)


def test_what_cannot_be_trained_on_is_named_and_loras_are_passed_over(tmp_path: Path) -> None:
    single_file(tmp_path / "good.safetensors", 768)
    single_file(tmp_path / "two.safetensors", 1024)
    single_file(tmp_path / "refiner.safetensors", 1280)
    single_file(tmp_path / "inpaint.safetensors", 768, channels=9)
    tensor_file(tmp_path / "sd3.safetensors", {"model.diffusion_model.joint_blocks.0.x": [2]})
    tensor_file(tmp_path / "lora.safetensors", {"lora_unet_down_blocks_0.lora_up.weight": [2, 2]})
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x04.")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes()[:-100])
    seen = look(tmp_path)
    assert [base.name for base in seen.found] == ["good"]
    told = {each.name: each.reason for each in seen.refused}
    words = {"two": "Stable Diffusion 2", "refiner": "SDXL refiner", "inpaint": "9 channels", "sd3": "Diffusion 3"}
    assert all(word in told[f"{name}.safetensors"] for name, word in words.items())
    assert "pickle" in told["old.ckpt"]
    assert "cut short" in told["cut.safetensors"]
    assert len(told) == 6
    with pytest.raises(Invalid, match="9 channels"):
        read_at(tmp_path / "inpaint.safetensors")


def test_what_a_base_predicts_is_read_from_its_own_files(tmp_path: Path) -> None:
    single_file(tmp_path / "plain.safetensors", 768)
    single_file(tmp_path / "told.safetensors", 2048, **{"modelspec.prediction_type": "v"})
    shapes = {ATTENTION: [2, 768], INPUT: [2, 4, 3, 3], TEXTS["sd15"][0]: [2], "v_pred": [0]}
    tensor_file(tmp_path / "marked.safetensors", shapes)
    found = {name: prediction_of(tmp_path / f"{name}.safetensors") for name in ("plain", "told", "marked", "gone")}
    assert found == {
        "plain": Told("epsilon", is_sure=False),
        "told": Told("v_prediction"),
        "marked": Told("v_prediction"),
        "gone": Told(None),
    }
    assert prediction_of(BUNDLED) == Told("v_prediction")


def test_a_person_says_what_a_base_predicts_that_does_not_tell(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    single_file(tmp_path / "noob-vpred.safetensors", 2048)
    single_file(tmp_path / "told.safetensors", 2048, **{"modelspec.prediction_type": "epsilon"})
    scan(engine, tmp_path)
    hash_listed(engine)
    with write(engine) as session:
        silent, told = (
            next(row for row in bases.listed(session) if row.name == name) for name in ("noob-vpred", "told")
        )
        project = projects.create(session, "Fox", "style", "fxo", None)

        def said() -> tuple[str | None, bool]:
            found = subject_of(session, project.id, silent).base
            return found.prediction, found.has_zero_snr

        assert said() == (None, False)
        expected = {"epsilon": ("epsilon", False), "v": ("v_prediction", False), "v-zero-snr": ("v_prediction", True)}
        for key, spoken in expected.items():
            base_choices.choose_prediction(session, silent.id, key)
            assert said() == spoken
        base_choices.choose_prediction(session, silent.id, "")
        assert said() == (None, False)
        with pytest.raises(Invalid, match="noise or velocity"):
            base_choices.choose_prediction(session, silent.id, "sample")
        with pytest.raises(Invalid, match="files of told tell"):
            base_choices.choose_prediction(session, told.id, "v")


def test_a_vae_is_chosen_for_a_base_of_its_family(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    single_file(tmp_path / "good.safetensors", 768)
    tensor_file(tmp_path / "mse.safetensors", {"encoder.conv_in.weight": [1], "decoder.conv_in.weight": [2, 4, 3, 3]})
    for name, scale in (("xl", 0.13025), ("own", 0.18215)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({"_class_name": "AutoencoderKL", "scaling_factor": scale})
        )
    scan(engine, tmp_path)
    hash_listed(engine)
    with write(engine) as session:
        base = next(row for row in bases.listed(session) if row.name == "good")
        offered = {vae.label: vae for vae in base_choices.vaes(session, "sd15")}
        assert offered.keys() == {"mse", "own"}
        base_choices.choose_vae(session, base.id, offered["mse"].key)
        project = projects.create(session, "Fox", "style", "fxo", None)
        assert subject_of(session, project.id, base).base.vae_path == str(tmp_path / "mse.safetensors")
        with pytest.raises(Invalid, match="not among those"):
            base_choices.choose_vae(session, base.id, "nonsense")
        base_choices.choose_vae(session, base.id, "")
        assert subject_of(session, project.id, base).base.vae_path == ""


def test_a_base_that_goes_away_before_it_is_hashed_is_missing(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    diffusers_folder(tmp_path / "one", "StableDiffusionPipeline")
    diffusers_folder(tmp_path / "two", "StableDiffusionPipeline")
    scan(engine, tmp_path)
    (tmp_path / "one" / "unet" / "model.safetensors").unlink()
    (tmp_path / "one" / "unet" / "model.safetensors").symlink_to(tmp_path / "gone")
    hash_listed(engine)
    with read(engine) as session:
        told = {base.name: (base.is_missing, bool(base.sha256)) for base in bases.listed(session)}
    assert told == {"one": (True, False), "two": (False, True), BUNDLED_NAME: (False, True)}
