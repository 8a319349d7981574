"""Base models: recognised by their own files, hashed by content."""

import json
import struct
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.errors import Invalid
from app.launch.base_scan import BaseScan, hash_listed, known_folder, scan
from app.launch.bases import BUNDLED_NAME, bundled, find, hash_base, read_at
from app.store import bases
from app.store.db import read


def single_file(path: Path, width: int) -> None:
    key = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    header = json.dumps({key: {"dtype": "F16", "shape": [640, width], "data_offsets": [0, 0]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


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
    key = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    for place, entry in enumerate(({}, {"shape": [1]}, {"shape": None}, [], None, {"shape": [1, [2]]})):
        header = json.dumps({key: entry}).encode()
        (tmp_path / f"{place}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert find(tmp_path) == []


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
