"""What a single .safetensors file of Stability's own layout holds: told by names and shapes, never by its file name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.contract.families import FamilyKey
from app.contract.tensor_file import Header

Prediction = Literal["epsilon", "v_prediction"]

DENOISER = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_L = "conditioner.embedders.0.transformer."
CLIP_G = "conditioner.embedders.1.model."
SD1_TEXT = "cond_stage_model.transformer."
TEXT_PREFIXES: dict[FamilyKey, tuple[str, ...]] = {"sd15": (SD1_TEXT,), "sdxl": (CLIP_L, CLIP_G)}
V_KEY, ZERO_SNR_KEY = "v_pred", "ztsnr"
UNTOLD = "nothing says otherwise"
CROSS_ATTENTION = tuple(f"{DENOISER}input_blocks.{place}.1.transformer_blocks.0.attn2.to_k.weight" for place in (1, 4))
INPUT = f"{DENOISER}input_blocks.0.0.weight"
FAMILY_OF_WIDTH: dict[int, FamilyKey] = {768: "sd15", 2048: "sdxl"}
STRANGER_OF_WIDTH = {1024: "Stable Diffusion 2", 1280: "the SDXL refiner"}
STRANGERS = (
    ("a Stable Diffusion 3 model", ("joint_blocks.", f"{DENOISER}joint_blocks.", "joint_transformer_blocks.")),
    ("a Flux model", ("double_blocks.", f"{DENOISER}double_blocks.", "single_transformer_blocks.")),
    ("a ControlNet", ("control_model.", "controlnet_", "input_hint_block.")),
    ("a motion module of AnimateDiff", ("down_blocks.0.motion_modules.",)),
    ("a diffusers UNet without text encoders and VAE", ("down_blocks.", "mid_block.", "time_embedding.")),
)
LORA_PARTS = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1", ".lokr_w", "lora_unet_", "lora_te")
LATENT_CHANNELS = 4
SIDECAR_CHARACTERS = 100_000
SIDECAR_V = re.compile(r"""^\s*parameterization:\s*["']?v["']?\s*$""", re.MULTILINE)


def sidecar_of(path: Path) -> str:
    """The text of the .yaml beside a file, in which v-prediction may be told; empty without one."""
    try:
        return path.with_suffix(".yaml").read_text(encoding="utf-8", errors="replace")[:SIDECAR_CHARACTERS]
    except OSError:
        return ""


class NotABase(Exception):
    """The file is sound but no base we train; `what` says what it is, `hint` the way out."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint


@dataclass(frozen=True)
class BaseFacts:
    """What a base says of itself; `prediction_source` names who told its prediction."""

    family: FamilyKey
    prediction: Prediction
    prediction_source: str
    has_zero_snr: bool
    has_vae: bool

    @property
    def is_prediction_told(self) -> bool:
        """Whether its prediction stands in its files; else it is only what most bases have."""
        return self.prediction_source != UNTOLD


def is_vae(header: Header) -> bool:
    """Whether a file is a VAE of four latent channels and nothing else, in either layout."""
    if header.has(DENOISER, SD1_TEXT, CLIP_L):
        return False
    keys = ("decoder.conv_in.weight", f"{VAE}decoder.conv_in.weight")
    shapes = [header.shape(key) for key in keys if header.shape(key)]
    return bool(shapes) and shapes[0][1:2] == (LATENT_CHANNELS,) and header.has("encoder.", f"{VAE}encoder.")


def is_lora(header: Header) -> bool:
    """Whether a file holds small additions to a model rather than a model."""
    return any(part in key for key in header.tensors for part in LORA_PARTS)


def recognise(header: Header, sidecar: str = "") -> BaseFacts:
    """Say what base a header tells of; `sidecar` is the text of the .yaml beside it. Raises NotABase."""
    family = _family(header)
    if not header.has(TEXT_PREFIXES[family][0]) or not header.has(TEXT_PREFIXES[family][-1]):
        raise NotABase("It holds a denoiser, but not all of its text encoders.", "Get the complete model.")
    prediction, source = _prediction(header, sidecar)
    return BaseFacts(family, prediction, source, ZERO_SNR_KEY in header.tensors, header.has(VAE))


def _family(header: Header) -> FamilyKey:
    if is_lora(header):
        raise NotABase("It is a LoRA, not a base model.", "Name the model that it is for.")
    if is_vae(header):
        raise NotABase("It is a VAE alone.", "It can be chosen as the VAE of a base model.")
    for what, prefixes in STRANGERS:
        if header.has(*prefixes):
            raise NotABase(f"It is {what}, which cannot be trained on here.", "Stable Diffusion 1.x and SDXL can.")
    widths = [header.shape(key)[1:2] for key in CROSS_ATTENTION if header.shape(key)]
    if not widths or not widths[0]:
        raise NotABase("It holds no denoiser that is known here.", "Stable Diffusion 1.x and SDXL can be trained on.")
    (width,) = widths[0]
    if width not in FAMILY_OF_WIDTH:
        what = STRANGER_OF_WIDTH.get(width, f"a model that reads text {width} wide")
        raise NotABase(f"It is {what}, which cannot be trained on here.", "Stable Diffusion 1.x and SDXL can.")
    channels = header.shape(INPUT)[1:2]
    if channels != (LATENT_CHANNELS,):
        found = channels[0] if channels else "no"
        raise NotABase(
            f"Its denoiser takes {found} channels instead of {LATENT_CHANNELS}: an inpainting or editing model.",
            "Choose the plain text-to-image model it was made from.",
        )
    return FAMILY_OF_WIDTH[width]


def _prediction(header: Header, sidecar: str) -> tuple[Prediction, str]:
    if V_KEY in header.tensors:
        return "v_prediction", "a mark inside the file"
    told = header.metadata.get("modelspec.prediction_type", "").lower()
    if told in ("v", "v_prediction", "v-prediction"):
        return "v_prediction", "the file's own description"
    if SIDECAR_V.search(sidecar):
        return "v_prediction", "the .yaml file beside it"
    return "epsilon", "the file's own description" if told == "epsilon" else UNTOLD
