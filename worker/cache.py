"""Encoded pictures and texts, kept in the run's cache folder by content; whatever is missing there is encoded again."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from app.contract.pixels import UNREADABLE, DecoderMissing, fitted, mask_pixels, open_rgb
from app.contract.rundir import DatasetRow, publish
from worker.errors import OutOfMemory
from worker.families.base import Family, Parts, Texts
from worker.memory import Machine, needs_tiles, on_device
from worker.shortage import tried

LATENTS = "latents-3"
TEXTS = "texts-2"
AREAS = "areas-2"
"""Raise the number when pictures or texts come to be encoded in another way."""


class UnreadablePicture(Exception):
    """A frozen picture is not what it was, or is gone; the message says why."""


class TensorCache:
    """Small named tensors in one file a key; a damaged file counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Texts | None:
        """Return what was put under the key."""
        try:
            return load_file(self._path(key))
        except (OSError, SafetensorError):
            return None

    def put(self, key: str, tensors: Texts) -> None:
        """Publish tensors under the key."""
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        publish(self._path(key), save(kept))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.safetensors"


def key_of(*parts: object) -> str:
    """Return a cache key that depends on every part."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()


class Latents:
    """Pictures as latents [C, h, w], fp32, on the CPU.

    The mode of the VAE's posterior is kept, not a draw from it: a cached picture has one latent for the whole run, so
    a draw would add a fixed error to it, and the mode needs no random numbers that a resumed run would have to repeat.
    """

    def __init__(self, parts: Parts, cache: TensorCache, machine: Machine) -> None:
        self._parts = parts
        self._cache = cache
        self._machine = machine

    def key(self, row: DatasetRow, *, is_mirrored: bool = False) -> str:
        """Everything that the latent depends on: the picture's bytes, recipe, place in its bucket, and the VAE."""
        side = ("mirrored",) if is_mirrored else ()
        return key_of(LATENTS, row.sha256, row.recipe.model_dump_json(), row.place, self._parts.vae_identity, *side)

    def shape(self, row: DatasetRow) -> tuple[int, int, int]:
        """The shape of a picture's latent, known before it is read."""
        scale = self._parts.latent_scale
        return self._parts.vae.config.latent_channels, row.bucket.height // scale, row.bucket.width // scale

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Keep the VAE on the device while many pictures are encoded."""
        with on_device([self._parts.vae], self._machine.device):
            yield

    def get(self, row: DatasetRow, *, is_mirrored: bool = False) -> Tensor:
        """Return a picture's latent, encoding it when it is not cached. Raises UnreadablePicture."""
        key = self.key(row, is_mirrored=is_mirrored)
        kept = self._cache.get(key)
        if kept is None:
            pixels = pixels_of(row)
            latent = self._encoded(row, pixels.flip(-1) if is_mirrored else pixels)
            if not torch.isfinite(latent).all():
                raise UnreadablePicture("the base model's VAE makes no finite numbers of it")
            kept = {"latent": latent}
            self._cache.put(key, kept)
        return kept["latent"].cpu()

    def _encoded(self, row: DatasetRow, pixels: Tensor) -> Tensor:
        def encode(*, in_tiles: bool) -> Tensor:
            with self.ready():
                return encode_pixels(self._parts, pixels, self._machine, in_tiles=in_tiles)[0]

        for in_tiles in (False, True):
            latent = tried(partial(encode, in_tiles=in_tiles), self._machine.device)
            if latent is not None:
                return latent
        raise OutOfMemory(
            f"Memory ran out while {row.name} was encoded at {row.bucket.width} × {row.bucket.height} px, also in "
            "tiles.",
            "Train at a lower resolution, or close other programs that use the GPU.",
        )

    def area(self, row: DatasetRow, *, is_mirrored: bool = False) -> Tensor:
        """Return how much each place of the latent counts [1, h, w], from 0 to 1. Raises UnreadablePicture."""
        _, height, width = self.shape(row)
        if row.mask_path is None and row.recipe.alpha != "mask":
            return torch.ones(1, height, width)
        key = key_of(AREAS, row.sha256, row.recipe.model_dump_json(), row.place, height, width)
        kept = self._cache.get(key)
        if kept is None:
            kept = {"area": functional.interpolate(mask_of(row), size=(height, width), mode="area")[0]}
            self._cache.put(key, kept)
        return kept["area"].flip(-1) if is_mirrored else kept["area"]


def pixels_of(row: DatasetRow) -> Tensor:
    """Read a frozen picture as pixels [1, 3, height, width] from -1 to 1. Raises UnreadablePicture."""
    with _told_in_words():
        _check_bytes(Path(row.path), row.sha256, "its bytes are not those that were added to the project")
        image = open_rgb(Path(row.path), row.recipe)
        return to_pixels(fitted(image, row.place))


def mask_of(row: DatasetRow) -> Tensor:
    """Read how much each pixel of a frozen picture counts [1, 1, height, width]. Raises UnreadablePicture."""
    with _told_in_words():
        if row.mask_path is not None and row.recipe.mask is not None:
            _check_bytes(Path(row.mask_path), row.recipe.mask, "its mask is not the one that was drawn")
        mask = mask_pixels(Path(row.path), Path(row.mask_path) if row.mask_path is not None else None, row.recipe)
    if mask is None:
        return torch.ones(1, 1, row.bucket.height, row.bucket.width)
    return to_area(fitted(mask, row.place))


def _check_bytes(path: Path, sha256: str, fault: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise UnreadablePicture(fault)


@contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadablePicture("its file is gone") from error
    except MemoryError as error:
        raise UnreadablePicture("it takes more main memory than there is to decode") from error
    except DecoderMissing as error:
        raise UnreadablePicture(str(error)) from error
    except UNREADABLE as error:
        raise UnreadablePicture(f"it cannot be decoded ({type(error).__name__})") from error


def to_area(mask: Image.Image) -> Tensor:
    """Return a greyscale picture as [1, 1, height, width] from 0 to 1."""
    data = torch.frombuffer(bytearray(mask.convert("L").tobytes()), dtype=torch.uint8)
    return data.view(1, 1, mask.height, mask.width).float() / 255


def to_pixels(image: Image.Image) -> Tensor:
    """Return an RGB picture as [1, 3, height, width] from -1 to 1."""
    data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return data.view(1, image.height, image.width, 3).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def encode_pixels(parts: Parts, pixels: Tensor, machine: Machine, *, in_tiles: bool = False) -> Tensor:
    """Turn pixels [B, 3, height, width] into latents [B, C, h, w] of about unit variance."""
    parts.vae.use_tiling = in_tiles or needs_tiles(machine.device, pixels.shape[-1] * pixels.shape[-2])
    mode = parts.vae.encode(pixels.to(parts.vae.device, parts.vae.dtype)).latent_dist.mode()
    return (mode - (parts.vae.config.shift_factor or 0)) * parts.vae.config.scaling_factor


@torch.no_grad()
def decode_latents(parts: Parts, latents: Tensor, machine: Machine, *, in_tiles: bool = False) -> Image.Image:
    """Turn latents [1, C, h, w] into a picture, with the VAE in fp32."""
    scale = parts.latent_scale
    pixels_drawn = latents.shape[-1] * latents.shape[-2] * scale * scale
    parts.vae.use_tiling = in_tiles or needs_tiles(machine.device, pixels_drawn)
    unscaled = latents.to(parts.vae.device, parts.vae.dtype) / parts.vae.config.scaling_factor
    pixels = parts.vae.decode(unscaled + (parts.vae.config.shift_factor or 0), return_dict=False)[0]
    data = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8).permute(1, 2, 0).contiguous()
    return Image.frombytes("RGB", (data.shape[1], data.shape[0]), data.numpy().tobytes())


class Conditioning:
    """Texts as conditioning on the device: from the cache where the text encoders stay as they are, else encoded."""

    def __init__(self, family: Family, machine: Machine, cache: TensorCache | None, lora: str = "") -> None:
        """Without a cache the text encoders are asked every time, and must be on the device.

        `lora` is the hash of a LoRA that stays as it is on the text encoders.
        """
        self._family = family
        self._machine = machine
        self._cache = cache
        self._lora = lora

    @property
    def is_cached(self) -> bool:
        """Whether the text encoders stay as they are, so that a text need be encoded only once."""
        return self._cache is not None

    def key(self, text: str) -> str:
        """Everything that cached conditioning depends on."""
        return key_of(TEXTS, text, self._family.parts.text_identity, self._lora, self._machine.dtype)

    def of(self, texts: Sequence[str]) -> Texts:
        """Return the conditioning of texts, in their order."""
        if self._cache is None:
            return self._family.encode_texts(texts)
        kept = [self._kept(text) for text in texts]
        return {name: torch.cat([each[name] for each in kept]).to(self._machine.device) for name in kept[0]}

    def fill(self, texts: Iterable[str]) -> Iterator[str]:
        """Encode every text that is not yet cached, yielding each when it is there."""
        if self._cache is None:
            return
        with on_device(self._family.parts.text_encoders, self._machine.device):
            for text in texts:
                self._kept(text)
                yield text

    def _kept(self, text: str) -> Texts:
        assert self._cache is not None
        key = self.key(text)
        kept = self._cache.get(key)
        if kept is None:
            with torch.no_grad(), on_device(self._family.parts.text_encoders, self._machine.device):
                kept = self._family.encode_texts([text])
            self._cache.put(key, kept)
        return {name: tensor.cpu() for name, tensor in kept.items()}
