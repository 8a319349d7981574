"""The cache: keyed by content, filled on demand, and never believed when damaged."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.contract.families import FamilyKey
from app.contract.recipe import Recipe
from app.contract.rundir import DatasetRow
from app.contract.spec import BaseModelRef
from tests.worker import tiny
from worker.cache import (
    Conditioning,
    Latents,
    TensorCache,
    UnreadablePicture,
    decode_latents,
    encode_pixels,
    identity_of,
    pixels_of,
)
from worker.families import load
from worker.memory import choose_machine

MACHINE = choose_machine("fp32")


@pytest.fixture
def row(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> DatasetRow:
    """One frozen picture."""
    return tiny.make_pictures(tmp_path / "pictures", tiny.make_spec(bases["sd15"]), ((120, 80),))[0]


def latents_of(base: BaseModelRef, folder: Path, identity: str = "vae") -> Latents:
    """Latents cached in a folder."""
    return Latents(load(base, torch.float32).parts, TensorCache(folder), identity, MACHINE)


def test_a_latent_is_the_posteriors_mode_of_the_fitted_picture(
    base: BaseModelRef, row: DatasetRow, tmp_path: Path
) -> None:
    with Image.open(row.path) as image:
        scale = max(row.bucket.width / 120, row.bucket.height / 80)
        width, height = round(120 * scale), round(80 * scale)
        scaled = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = (width - row.bucket.width) // 2, (height - row.bucket.height) // 2
    cropped = scaled.crop((left, top, left + row.bucket.width, top + row.bucket.height))
    values = torch.tensor(list(cropped.tobytes()), dtype=torch.float32) / 127.5 - 1
    pixels = values.view(1, row.bucket.height, row.bucket.width, 3).permute(0, 3, 1, 2)
    vae = load(base, torch.float32).parts.vae
    with torch.no_grad():
        expected = vae.encode(pixels).latent_dist.mean[0] * vae.config.scaling_factor
    assert torch.allclose(latents_of(base, tmp_path / "cache").get(row), expected, atol=1e-5)


def test_a_latent_is_encoded_once(base: BaseModelRef, row: DatasetRow, tmp_path: Path) -> None:
    first = latents_of(base, tmp_path / "cache").get(row)
    Path(row.path).unlink()
    assert torch.equal(latents_of(base, tmp_path / "cache").get(row), first)


def test_a_damaged_entry_is_encoded_again(base: BaseModelRef, row: DatasetRow, tmp_path: Path) -> None:
    first = latents_of(base, tmp_path / "cache").get(row)
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:60])
    assert torch.equal(latents_of(base, tmp_path / "cache").get(row), first)


def test_keys_follow_everything_a_latent_depends_on(base: BaseModelRef, row: DatasetRow, tmp_path: Path) -> None:
    latents = latents_of(base, tmp_path)
    same = row.model_copy(update={"name": "other.png", "path": "/elsewhere", "caption": "x", "text": "y", "repeats": 9})
    assert latents.key(row) == latents.key(same)
    others = [
        row.model_copy(update={"sha256": "0" * 64}),
        row.model_copy(update={"recipe": Recipe(background="#000000")}),
        row.model_copy(update={"bucket": row.size}),
    ]
    keys = {latents.key(each) for each in (row, *others)} | {latents_of(base, tmp_path, "other").key(row)}
    assert len(keys) == 5


def test_identity_follows_content_not_place(base: BaseModelRef, tmp_path: Path) -> None:
    vae = Path(base.path) / "vae"
    shutil.copytree(vae, tmp_path / "vae")
    assert identity_of(vae) == identity_of(tmp_path / "vae")
    weights = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert identity_of(vae) != identity_of(tmp_path / "vae")


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "gone"), (b"other bytes", "not those that were added"), (b"", "not those")]
)
def test_a_picture_that_is_not_what_it_was_is_unreadable(row: DatasetRow, data: bytes | None, reason: str) -> None:
    path = Path(row.path)
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(UnreadablePicture, match=reason):
        pixels_of(row)


def test_encoding_and_decoding_agree_on_the_scale(base: BaseModelRef, row: DatasetRow) -> None:
    parts = load(base, torch.float32).parts
    latents = encode_pixels(parts, pixels_of(row), MACHINE)
    image = decode_latents(parts, latents, MACHINE)
    assert (image.width, image.height) == (row.bucket.width, row.bucket.height)
    with torch.no_grad():
        decoded = parts.vae.decode(parts.vae.encode(pixels_of(row)).latent_dist.mode()).sample[0]
    shown = torch.tensor(list(image.tobytes())).view(image.height, image.width, 3).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(shown, decoded.clamp(-1, 1), atol=0.5 / 127.5 + 1e-3)


def test_texts_are_encoded_once_and_in_order(base: BaseModelRef, tmp_path: Path) -> None:
    family = load(base, torch.float32)
    cached = Conditioning(family, MACHINE, TensorCache(tmp_path), "encoders")
    live = Conditioning(family, MACHINE, None, "encoders")
    assert (cached.is_cached, live.is_cached) == (True, False)
    assert list(cached.fill(["a", "b"])) == ["a", "b"]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    with torch.no_grad():
        for name, tensor in live.of(["b", "a", "b"]).items():
            assert torch.allclose(cached.of(["b", "a", "b"])[name], tensor, atol=1e-5)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert cached.key("a") != Conditioning(family, MACHINE, TensorCache(tmp_path), "others").key("a")
