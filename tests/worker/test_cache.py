"""The cache: keyed by content, filled on demand, and never believed when damaged."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.contract.buckets import Size
from app.contract.families import FamilyKey
from app.contract.recipe import Crop, Recipe
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
    pixels_of,
)
from worker.families import load
from worker.families.source import identity
from worker.memory import choose_machine

MACHINE = choose_machine("fp32")


@pytest.fixture
def row(bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> DatasetRow:
    """One frozen picture."""
    return tiny.make_pictures(tmp_path / "pictures", tiny.make_spec(bases["sd15"]), ((120, 80),))[0]


def latents_of(base: BaseModelRef, folder: Path, **changes: object) -> Latents:
    """Latents cached in a folder, of parts that differ as told."""
    return Latents(replace(load(base, torch.float32).parts, **changes), TensorCache(folder), MACHINE)


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


@pytest.mark.parametrize(
    ("size", "left", "top"), [((61, 50), 6, 1), ((48, 63), 0, 7), ((64, 64), 0, 0), ((17, 33), 0, 0)]
)
def test_a_small_picture_that_is_not_enlarged_trains_on_its_own_pixels(
    base: BaseModelRef, tmp_path: Path, size: tuple[int, int], left: int, top: int
) -> None:
    """Not one of them resampled: only what is no whole step of sixteen is cut, half from each side."""
    spec = tiny.make_spec(base, data__enlarges=False)
    (row,) = tiny.make_pictures(tmp_path, spec, (size,))
    width, height = size[0] // 16 * 16, size[1] // 16 * 16
    assert row.bucket == Size(width, height)
    with Image.open(row.path) as image:
        own = list(image.crop((left, top, left + width, top + height)).tobytes())
    pixels = pixels_of(row)
    assert pixels.shape == (1, 3, height, width)
    assert ((pixels + 1) * 127.5).round().to(torch.uint8)[0].permute(1, 2, 0).flatten().tolist() == own
    enlarged = row.model_copy(update={"scaled": None, "bucket": Size(64, 64)})
    latents = latents_of(base, tmp_path / "cache")
    assert latents.key(row) != latents.key(enlarged) or size == (64, 64)
    assert latents.get(row).shape == latents.shape(row)


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
    keys = (
        {latents.key(each) for each in (row, *others)}
        | {latents.key(row, is_mirrored=True)}
        | {latents_of(base, tmp_path, vae_identity="other").key(row)}
    )
    assert len(keys) == 6


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
    cached = Conditioning(family, MACHINE, TensorCache(tmp_path))
    live = Conditioning(family, MACHINE, None)
    assert (cached.is_cached, live.is_cached) == (True, False)
    assert list(cached.fill(["a", "b"])) == ["a", "b"]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    with torch.no_grad():
        for name, tensor in live.of(["b", "a", "b"]).items():
            assert torch.allclose(cached.of(["b", "a", "b"])[name], tensor, atol=1e-5)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    assert cached.key("a") != Conditioning(family, MACHINE, TensorCache(tmp_path), "others").key("a")


def test_a_mirrored_latent_is_of_the_mirrored_pixels(base: BaseModelRef, row: DatasetRow, tmp_path: Path) -> None:
    latents = latents_of(base, tmp_path)
    vae = load(base, torch.float32).parts.vae
    with torch.no_grad():
        expected = vae.encode(pixels_of(row).flip(-1)).latent_dist.mode()[0] * vae.config.scaling_factor
    assert torch.allclose(latents.get(row, is_mirrored=True), expected, atol=1e-5)
    assert not torch.allclose(latents.get(row), expected, atol=1e-3)


def masked(row: DatasetRow, folder: Path, box: tuple[int, int, int, int]) -> DatasetRow:
    """The row with a mask that is white in a box of the picture."""
    with Image.open(row.path) as image:
        mask = Image.new("L", image.size, 0)
    mask.paste(255, box)
    path = folder / f"mask-{'-'.join(map(str, box))}.png"
    folder.mkdir(parents=True, exist_ok=True)
    mask.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return row.model_copy(update={"mask_path": str(path), "recipe": row.recipe.model_copy(update={"mask": digest})})


def test_a_mask_counts_where_it_is_white(base: BaseModelRef, row: DatasetRow, tmp_path: Path) -> None:
    latents = latents_of(base, tmp_path / "cache")
    left = latents.area(masked(row, tmp_path, (0, 0, 60, 80)))
    half = left.shape[-1] // 2
    assert left.shape == (1, *latents.get(row).shape[1:])
    assert left[..., : half - 1].min() == 1
    assert left[..., half + 1 :].max() == 0
    assert torch.equal(latents.area(masked(row, tmp_path, (0, 0, 60, 80)), is_mirrored=True), left.flip(-1))
    assert latents.area(row).min() == 1


def test_transparency_is_a_mask_where_the_recipe_says_so(base: BaseModelRef, row: DatasetRow, tmp_path: Path) -> None:
    with Image.open(row.path) as image:
        clear = image.convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    clear.paste((10, 20, 30, 255), (0, 0, 60, 80))
    clear.save(row.path)
    data = {"sha256": hashlib.sha256(Path(row.path).read_bytes()).hexdigest(), "recipe": Recipe(alpha="mask")}
    area = latents_of(base, tmp_path / "cache").area(row.model_copy(update=data))
    assert (area[..., 0].min(), area[..., -1].max()) == (1, 0)


def test_nothing_stale_is_ever_used_and_two_files_never_share(
    base: BaseModelRef, row: DatasetRow, tmp_path: Path
) -> None:
    """After one pixel, the crop, the resolution, the mask or the VAE changed, what comes is what is there now."""
    cache = tmp_path / "cache"
    seen = [latents_of(base, cache).get(row)]
    with Image.open(row.path) as image:
        changed = image.copy()
    changed.putpixel((60, 40), (1, 2, 3))
    path = tmp_path / "changed.png"
    changed.save(path)
    edits: list[DatasetRow] = [
        row.model_copy(update={"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}),
        row.model_copy(
            update={"recipe": Recipe(crop=Crop(left=4, top=0, width=116, height=80)), "size": Size(116, 80)}
        ),
        row.model_copy(update={"bucket": Size(row.bucket.width + 16, row.bucket.height)}),
    ]
    for edit in edits:
        fresh = latents_of(base, tmp_path / "fresh" / edit.sha256[:6]).get(edit)
        assert torch.equal(latents_of(base, cache).get(edit), fresh)
        assert all(fresh.shape != old.shape or not torch.equal(fresh, old) for old in seen)
        seen.append(fresh)
    first, second = masked(row, tmp_path, (0, 0, 60, 80)), masked(row, tmp_path, (60, 0, 120, 80))
    assert not torch.equal(latents_of(base, cache).area(first), latents_of(base, cache).area(second))
    parts = load(base, torch.float32).parts
    with torch.no_grad():
        next(parts.vae.parameters()).mul_(1.5)
    swapped = Latents(replace(parts, vae_identity=identity(parts.vae)), TensorCache(cache), MACHINE)
    assert not torch.equal(swapped.get(row), seen[0])


def test_a_vae_that_makes_no_numbers_loses_the_picture_in_words(
    base: BaseModelRef, row: DatasetRow, tmp_path: Path
) -> None:
    latents = latents_of(base, tmp_path)
    with torch.no_grad():
        next(latents._parts.vae.parameters()).fill_(float("nan"))
    with pytest.raises(UnreadablePicture, match="no finite numbers"):
        latents.get(row)
    assert not list(tmp_path.rglob("*.safetensors"))
