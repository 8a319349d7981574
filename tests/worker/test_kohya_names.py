"""A LoRA on the real architectures, without their weights: every name and shape that kohya's trainer would write."""

from collections.abc import Iterator, Mapping

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from app.contract.spec import Network
from tests.worker.test_lora_file import SD15, SDXL
from worker.families.base import Family, Parts
from worker.families.reading import Reading
from worker.families.sd15 import SD15 as SD15Family
from worker.families.sdxl import SDXL as SDXLFamily
from worker.lora import attach

RANK = 4
Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
"""A module's name, and the shapes of its lora_down and lora_up."""


def layer(name: str, into: int, out: int, kernel: tuple[int, ...] = ()) -> Shapes:
    """One module of a file; a convolution's `down` has its kernel, and `up` is one by one."""
    return {name: ((RANK, into, *kernel), (out, RANK, *(1 for _ in kernel)))}


def transformer(name: str, width: int, text: int, depth: int, *, is_linear: bool) -> Shapes:
    """What a transformer of the denoiser holds: its ends, and in each block two attentions and a feed-forward."""
    kernel = () if is_linear else (1, 1)
    found = layer(f"{name}_proj_in", width, width, kernel)
    for block in range(depth):
        inside = f"{name}_transformer_blocks_{block}"
        for attention, keys in (("attn1", width), ("attn2", text)):
            found |= layer(f"{inside}_{attention}_to_q", width, width)
            found |= layer(f"{inside}_{attention}_to_k", keys, width)
            found |= layer(f"{inside}_{attention}_to_v", keys, width)
            found |= layer(f"{inside}_{attention}_to_out_0", width, width)
        # The gate doubles what the first layer gives.
        found |= layer(f"{inside}_ff_net_0_proj", width, 8 * width)
        found |= layer(f"{inside}_ff_net_2", 4 * width, width)
    return found | layer(f"{name}_proj_out", width, width, kernel)


def encoder(prefix: str, layers: int, width: int) -> Shapes:
    """What a text encoder of CLIP holds."""
    found: Shapes = {}
    for number in range(layers):
        inside = f"{prefix}_text_model_encoder_layers_{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= layer(f"{inside}_self_attn_{part}", width, width)
        found |= layer(f"{inside}_mlp_fc1", width, 4 * width) | layer(f"{inside}_mlp_fc2", 4 * width, width)
    return found


def sdxl_places() -> Iterator[tuple[str, int, int]]:
    """Where SDXL's transformers stand in Stability's numbering, how wide and how deep they are."""
    for place in (4, 5):
        yield f"input_blocks_{place}_1", 640, 2
    for place in (7, 8):
        yield f"input_blocks_{place}_1", 1280, 10
    yield "middle_block_1", 1280, 10
    for place in (0, 1, 2):
        yield f"output_blocks_{place}_1", 1280, 10
    for place in (3, 4, 5):
        yield f"output_blocks_{place}_1", 640, 2


def sd15_places() -> Iterator[tuple[str, int]]:
    """Where the transformers of SD 1.5 stand in diffusers' numbering, and how wide they are."""
    for block, width in enumerate((320, 640, 1280)):
        for place in (0, 1):
            yield f"down_blocks_{block}_attentions_{place}", width
    yield "mid_block_attentions_0", 1280
    for block, width in ((1, 1280), (2, 640), (3, 320)):
        for place in (0, 1, 2):
            yield f"up_blocks_{block}_attentions_{place}", width


def written(family: Family, **network: object) -> Shapes:
    """The names and shapes of a fresh LoRA."""
    settings = Network.model_validate({"rank": RANK, "alpha": 2, **network})
    lora = attach(family, settings, trains_text=[True] * len(family.parts.text_encoders), seed=1)
    return {module.file_name: (tuple(module.down.shape), tuple(module.up.shape)) for module in lora.modules}


def encoder_config(width: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers)


def sdxl() -> Family:
    """SDXL's real architecture; the meta device keeps shapes and no numbers."""
    with torch.device("meta"):
        denoiser = UNet2DConditionModel.from_config(SDXL)
        first = CLIPTextModel(encoder_config(768, 12))
        second = CLIPTextModelWithProjection(encoder_config(1280, 32))
    parts = Parts(denoiser, None, (), (first, second), {})  # type: ignore[arg-type]  # no VAE is asked for
    return SDXLFamily(parts, Reading())


def sd15() -> Family:
    """The real architecture of SD 1.5."""
    with torch.device("meta"):
        denoiser = UNet2DConditionModel.from_config(SD15)
        parts = Parts(denoiser, None, (), (CLIPTextModel(encoder_config(768, 12)),), {})  # type: ignore[arg-type]  # as above
    return SD15Family(parts, Reading())


def counted(names: Mapping[str, object]) -> dict[str, int]:
    """How many modules each model has."""
    prefixes = ("lora_unet_", "lora_te1_", "lora_te2_", "lora_te_")
    found = {prefix: sum(name.startswith(prefix) for name in names) for prefix in prefixes}
    return {prefix: count for prefix, count in found.items() if count}


def test_sdxl_is_written_as_kohya_writes_it() -> None:
    expected: Shapes = {}
    for name, width, depth in sdxl_places():
        expected |= transformer(f"lora_unet_{name}", width, 2048, depth, is_linear=True)
    expected |= encoder("lora_te1", 12, 768) | encoder("lora_te2", 32, 1280)
    found = written(sdxl())
    assert counted(expected) == {"lora_unet_": 722, "lora_te1_": 72, "lora_te2_": 192}
    assert found == expected


def test_sd15_is_written_as_kohya_writes_it() -> None:
    """Its transformers end in convolutions of one pixel."""
    expected: Shapes = {}
    for name, width in sd15_places():
        expected |= transformer(f"lora_unet_{name}", width, 768, 1, is_linear=False)
    expected |= encoder("lora_te", 12, 768)
    found = written(sd15())
    assert counted(expected) == {"lora_unet_": 192, "lora_te_": 72}
    assert found == expected


@pytest.mark.parametrize("make", [sd15, sdxl])
def test_the_convolutions_of_other_trainers_have_names_here_too(make: object) -> None:
    """Three by three ones in every resnet, downsampler and upsampler, by the names that their files have."""
    assert callable(make)
    found = {
        name: shapes for name, shapes in written(make(), conv_rank=2, conv_alpha=1).items() if shapes[0][2:] == (3, 3)
    }
    if make is sdxl:
        names = {f"lora_unet_input_blocks_{place}_0_{end}" for place in (1, 2, 4, 5, 7, 8)
                 for end in ("in_layers_2", "out_layers_3")}  # fmt: skip
        names |= {f"lora_unet_output_blocks_{place}_0_{end}" for place in range(9)
                  for end in ("in_layers_2", "out_layers_3")}  # fmt: skip
        names |= {f"lora_unet_middle_block_{place}_{end}" for place in (0, 2)
                  for end in ("in_layers_2", "out_layers_3")}  # fmt: skip
        names |= {"lora_unet_input_blocks_3_0_op", "lora_unet_input_blocks_6_0_op"}
        names |= {"lora_unet_output_blocks_2_2_conv", "lora_unet_output_blocks_5_2_conv"}
        assert set(found) == names
        assert found["lora_unet_input_blocks_4_0_in_layers_2"] == ((2, 320, 3, 3), (640, 2, 1, 1))
    else:
        assert len(found) == 2 * (8 + 2 + 12) + 3 + 3
        assert found["lora_unet_down_blocks_1_resnets_0_conv1"] == ((2, 320, 3, 3), (640, 2, 1, 1))
        assert "lora_unet_up_blocks_0_upsamplers_0_conv" in found
